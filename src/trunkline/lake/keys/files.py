"""The files of a workspace's keys: the keyring, the master key beside it, and the list of the keys that were made.

Takes the workspace and the settings, gives what is written there; each file is written whole or not at all. Refuses
what is missing, damaged, or encrypted under a master key that is not there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, SecretStr, ValidationError

from trunkline.errors import InputError, TamperedError
from trunkline.files import replacing
from trunkline.settings import drills
from trunkline.settings.privacy import PrivacySettings

__all__ = ["ENCRYPTION", "ID_BYTES", "KEY_BYTES", "Entry", "KeyFacts", "KeyFiles", "KeyringFile", "name_of"]

ENCRYPTION: Final = "encryption"
"""What the keys that data is encrypted under are called, beside the identifier types."""

KEY_BYTES: Final = 32
"""Length of a key, and of a master key."""

ID_BYTES: Final = 4
"""Length of a key's id, which is written in twice as many hexadecimal digits."""

_KEYRING: Final = "keyring.json"
_MASTER: Final = "master.key"
_MADE: Final = "keys.json"
_PUT_BACK: Final = (
    "put it back from a backup or the secret store: without it pseudonyms cannot be made, and what is encrypted cannot "
    "be read"
)
_SETTINGS: Final = ("privacy.master_key", "privacy.previous_master_key")


class KeyFacts(BaseModel, frozen=True, extra="forbid"):
    """What may be known of a key.

    Attributes:
        key_id: Eight hexadecimal digits.
        use: An identifier type, or ``encryption``.
        made_at: When, UTC.
    """

    key_id: str
    use: str
    made_at: AwareDatetime


class Entry(KeyFacts, frozen=True):
    """A key as it is written: beside its facts itself, encrypted under the master key, as base64."""

    wrapped: str


class KeyringFile(BaseModel, frozen=True, extra="forbid"):
    """The keyring as it is written; of several keys of one use the last is the current one.

    Attributes:
        version: Of its form.
        master: Name of the master key that the keys are encrypted under, see :func:`name_of`.
        keys: In the order in which they were made.
    """

    version: Literal[1] = 1
    master: str
    keys: tuple[Entry, ...] = ()


class _Made(BaseModel, frozen=True, extra="forbid"):
    keys: tuple[KeyFacts, ...] = ()


class KeyFiles:
    """The files of one workspace's keys; who writes them holds the keys' lock.

    Args:
        root: The workspace.
        settings: Where the keys lie.

    Attributes:
        folder: Where the keys lie.
    """

    def __init__(self, root: Path, *, settings: PrivacySettings) -> None:
        self._settings = settings
        self.folder = settings.key_folder or root / "keys"
        self._list = root / _MADE

    def present(self) -> tuple[Path, ...]:
        """Name the key files that there are."""
        return tuple(path for name in (_KEYRING, _MASTER) if (path := self.folder / name).exists())

    def has_keyring(self) -> bool:
        """Say whether the keyring is there."""
        return (self.folder / _KEYRING).exists()

    def keyring(self) -> KeyringFile:
        """Read the keyring.

        Raises:
            InputError: It cannot be read.
            TamperedError: It is damaged.
        """
        path = self.folder / _KEYRING
        try:
            return KeyringFile.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(
                f"the keys cannot be read: {error.strerror}", where=str(path), next_step="check its permissions"
            ) from None
        except ValidationError:
            raise self.lost("the keyring is damaged") from None

    def made(self) -> tuple[KeyFacts, ...]:
        """List the keys that were ever made.

        Raises:
            TamperedError: The list is damaged.
        """
        path = self._list
        try:
            return _Made.model_validate_json(path.read_bytes()).keys
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError):
            raise TamperedError(
                "the list of the keys that were made is damaged",
                where=str(path),
                next_step="restore it from a backup; it holds no secrets",
            ) from None

    def masters(self) -> list[bytes]:
        """List the master keys that there are, the one to use first.

        Raises:
            InputError: One cannot be read, or is none.
        """
        told = (self._settings.master_key, self._settings.previous_master_key)
        if told[0] is not None:
            return [_decoded(secret, name) for secret, name in zip(told, _SETTINGS, strict=True) if secret is not None]
        path = self.folder / _MASTER
        try:
            lines = path.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "the master key cannot be read", where=str(path), next_step="check its permissions"
            ) from error
        return [_decoded(SecretStr(line), str(path)) for line in lines]

    def opened(self) -> tuple[KeyringFile, bytes]:
        """Read the keyring with the master key that it is encrypted under; empty where there are no keys.

        Somebody who changes the master key may replace both files between the two reads: then both are read once more.

        Raises:
            InputError: One of them is not there, or cannot be read.
            TamperedError: The keyring is damaged.
        """
        file = self.keyring()
        if file.keys and not any(name_of(master) == file.master for master in self.masters()):
            file = self.keyring()
        return file, self.master_of(file) if file.keys else b""

    def master_of(self, file: KeyringFile) -> bytes:
        """Give the master key that a keyring is encrypted under.

        Raises:
            InputError: It is not there, or cannot be read.
        """
        for master in self.masters():
            if name_of(master) == file.master:
                return master
        where = "privacy.master_key" if self._settings.master_key is not None else str(self.folder / _MASTER)
        raise InputError(
            f"the master key {file.master}, under which the keys of this workspace are encrypted, is not there",
            where=where,
            next_step=_PUT_BACK,
        )

    def new_master(self) -> bytes:
        """Make a master key and write it down.

        Raises:
            InputError: It cannot be written.
        """
        master = secrets.token_bytes(KEY_BYTES)
        self.write_masters([master])
        return master

    def write_masters(self, masters: Sequence[bytes]) -> None:
        """Write the master keys, the one to use first; nothing where the settings tell them.

        Raises:
            InputError: They cannot be written.
        """
        if self._settings.master_key is None:
            lines = "".join(f"{base64.b64encode(master).decode()}\n" for master in masters)
            self._put(self.folder / _MASTER, lines.encode(), mode=0o600)

    def write(self, file: KeyringFile) -> None:
        """Write the keyring, and note which keys there are.

        Raises:
            InputError: A file cannot be written.
        """
        drills.point("keys.before_write")
        self._put(self.folder / _KEYRING, file.model_dump_json(indent=1).encode(), mode=0o600)
        drills.point("keys.after_write")
        self.note(file.keys)

    def note(self, entries: Sequence[KeyFacts]) -> None:
        """Write down which keys there are; nothing is under a key before it is noted.

        Raises:
            InputError: The list cannot be written.
        """
        keys = [one.model_dump(mode="json", include={"key_id", "use", "made_at"}) for one in entries]
        self._put(self._list, json.dumps({"keys": keys}, indent=1).encode(), mode=0o644)

    def lost(self, what: str) -> TamperedError:
        """Say that keys are lost, and what to put back."""
        return TamperedError(what, where=str(self.folder / _KEYRING), next_step=_PUT_BACK)

    def _put(self, path: Path, data: bytes, *, mode: int) -> None:
        """Write a file whole or not at all."""
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, mode=0o700)
            with replacing(path, durable=True) as part:
                part.touch(mode=mode, exist_ok=False)
                part.write_bytes(data)
        except OSError as error:
            raise InputError(
                f"the keys cannot be written: {error.strerror}",
                where=str(path),
                next_step="make the folder writable, or name another one by privacy.key_folder",
            ) from None


def name_of(master: bytes) -> str:
    """Name a master key without telling it."""
    return hashlib.sha256(b"trunkline master key\x00" + master).hexdigest()[: 2 * ID_BYTES]


def _decoded(secret: SecretStr, where: str) -> bytes:
    try:
        master = base64.b64decode(secret.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        master = b""
    if len(master) != KEY_BYTES:
        raise InputError(
            "a master key is 32 bytes as base64",
            where=where,
            next_step="make one: python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'",
        )
    return master
