"""The keys of a workspace: one per identifier type for pseudonyms, and those that data is encrypted under.

Takes the settings, gives keys by type and by id, makes them when they are first needed, rotates them. They lie in
``keyring.json``, each encrypted under the master key (an envelope: when that one changes, only this small file is
written anew). The master key lies beside it, or comes from the settings.

A second list, ``keys.json`` in the workspace, says which keys were ever made, without their secrets: so a keyring that
went missing is an error that says what to put back, and never a silent new key under which nothing could be joined.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, SecretStr, ValidationError

from trunkline.checks.pseudonyms import PseudonymKey, Pseudonyms, protected_columns
from trunkline.checks.sealing import DataKey, Sealer, unwrapped, wrapped
from trunkline.contracts import Contract
from trunkline.errors import InputError, TamperedError
from trunkline.lake.locks import held
from trunkline.settings import drills
from trunkline.settings.privacy import PrivacySettings

__all__ = ["CRASH_POINTS", "ENCRYPTION", "KeyFacts", "Keyring"]

CRASH_POINTS: Final = ("keys.before_write", "keys.after_write", "keys.after_master")
"""Points at which a drill may kill a process that makes or rotates keys."""

ENCRYPTION: Final = "encryption"
"""What the keys that data is encrypted under are called, beside the identifier types."""

_KEYRING: Final = "keyring.json"
_MASTER: Final = "master.key"
_MADE: Final = "keys.json"
_BYTES: Final = 32
_ID_BYTES: Final = 4
_LOCK_S: Final = 10.0


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


class _Entry(KeyFacts, frozen=True):
    wrapped: str


class _File(BaseModel, frozen=True, extra="forbid"):
    """The keyring as it is written; of several keys of one use the last is the current one."""

    version: Literal[1] = 1
    master: str
    keys: tuple[_Entry, ...] = ()


class _Made(BaseModel, frozen=True, extra="forbid"):
    keys: tuple[KeyFacts, ...] = ()


class Keyring:
    """The keys of one workspace. Threads and processes may share it; nothing is made before it is needed.

    Args:
        root: The workspace.
        settings: Where the keys lie, and how much is encrypted.
        clock: Gives the current instant.
    """

    def __init__(self, root: Path, *, settings: PrivacySettings, clock: Callable[[], datetime]) -> None:
        self._root = root
        self._settings = settings
        self._clock = clock
        self._folder = settings.key_folder or root / "keys"
        self._guard = threading.RLock()
        self._entries: tuple[_Entry, ...] | None = None
        self._secrets: dict[str, bytes] = {}

    @property
    def folder(self) -> Path:
        """Where the keys lie."""
        return self._folder

    def files(self) -> tuple[Path, ...]:
        """Name the key files that there are."""
        return tuple(path for name in (_KEYRING, _MASTER) if (path := self._folder / name).exists())

    def pseudonyms(self, contract: type[Contract]) -> Pseudonyms | None:
        """Give what replaces the protected fields of a contract; None where none is protected.

        Raises:
            InputError: The keys cannot be read.
            TamperedError: A key is lost.
        """
        if not protected_columns(contract):
            return None
        self.refresh()
        return Pseudonyms(contract, self.pseudonym_key)

    def is_encrypted(self, *contracts: type[Contract]) -> bool:
        """Say whether raw rows of a contract, or of one of several, are encrypted."""
        everything = self._settings.encrypt == "personal"
        return any(
            column.is_protected or (everything and column.pii) for contract in contracts for column in contract.columns
        )

    def sealer(self, purpose: str) -> Sealer:
        """Give what seals and opens values of one purpose."""
        return Sealer(self, purpose=purpose)

    def pseudonym_key(self, kind: str) -> PseudonymKey:
        """Give the current key of an identifier type, made if there is none.

        Raises:
            InputError: The keys cannot be read or written.
            TamperedError: The key is lost.
        """
        entry = self._current(kind)
        return PseudonymKey(entry.key_id, self._secret(entry))

    def pseudonym_keys(self, kind: str) -> tuple[PseudonymKey, ...]:
        """Give all keys that a type ever had, the current one last; none are made.

        Raises:
            InputError: The keys cannot be read.
            TamperedError: One is lost.
        """
        return tuple(PseudonymKey(entry.key_id, self._secret(entry)) for entry in self._of(kind))

    def data_key(self) -> DataKey:
        """Give the key that data is encrypted under from now on, made if there is none.

        Raises:
            InputError: The keys cannot be read or written.
            TamperedError: The key is lost.
        """
        entry = self._current(ENCRYPTION)
        return DataKey(entry.key_id, self._secret(entry))

    def data_key_of(self, key_id: str) -> DataKey:
        """Give a key that data was encrypted under.

        Raises:
            InputError: The keys cannot be read.
            TamperedError: It is lost.
        """
        for attempt in range(2):
            for entry in self._of(ENCRYPTION):
                if entry.key_id == key_id:
                    return DataKey(key_id, self._secret(entry))
            if attempt == 0:
                self.refresh()  # another process has made it
        raise self._lost(f"data is encrypted under the key {key_id}, and the keyring does not hold it")

    def facts(self) -> tuple[KeyFacts, ...]:
        """List the keys without their secrets, in the order in which they were made.

        Raises:
            InputError: The keys cannot be read.
            TamperedError: One is lost.
        """
        return tuple(KeyFacts(key_id=one.key_id, use=one.use, made_at=one.made_at) for one in self._loaded())

    def refresh(self) -> None:
        """Look anew at what other processes may have written."""
        with self._guard:
            self._entries = None

    def rotate(self, use: str) -> KeyFacts:
        """Make a new key that is used from now on; the older ones stay, for what was written under them.

        Args:
            use: An identifier type, or ``encryption``: then the master key changes as well, and all keys are encrypted
                under the new one.

        Raises:
            InputError: The keys cannot be read or written; or the master key comes from the settings, and the new one
                does not stand there yet.
            TamperedError: A key is lost.
            BusyError: Another process makes keys.
        """
        with self._locked():
            self.refresh()
            entries = self._loaded()
            masters = self._masters()
            master = masters[0] if masters else self._new_master()
            if use == ENCRYPTION:
                if self._settings.master_key is None:
                    master = secrets.token_bytes(_BYTES)
                    self._write_master([master, *masters])
                elif entries and self._read_file().master == _name_of(master):
                    raise InputError(
                        "the master key comes from the settings, and the keys are encrypted under that one already",
                        where="privacy.master_key",
                        next_step="set privacy.previous_master_key to it, privacy.master_key to a new one, and repeat",
                    )
            made = self._made_entry(use, master)
            again = [self._entry(one, self._secret(one), master) for one in entries]
            self._write(_File(master=_name_of(master), keys=(*again, made)))
            if use == ENCRYPTION and self._settings.master_key is None:
                drills.point("keys.after_master")
                self._write_master([master])
            self.refresh()
        return KeyFacts(key_id=made.key_id, use=made.use, made_at=made.made_at)

    # Inside

    def _current(self, use: str) -> _Entry:
        found = self._of(use)
        if found:
            return found[-1]
        with self._locked():
            self.refresh()
            found = self._of(use)  # another process was faster
            if found:
                return found[-1]
            masters = self._masters()
            master = masters[0] if masters else self._new_master()
            entries = self._loaded()
            if entries and self._read_file().master != _name_of(master):
                master = self._master_of(self._read_file())
            made = self._made_entry(use, master)
            self._write(_File(master=_name_of(master), keys=(*entries, made)))
            self.refresh()
        return self._of(use)[-1]

    def _of(self, use: str) -> list[_Entry]:
        return [entry for entry in self._loaded() if entry.use == use]

    def _loaded(self) -> tuple[_Entry, ...]:
        with self._guard:
            if self._entries is not None:
                return self._entries
            made = self._read_made()
            if not (self._folder / _KEYRING).exists():
                if made:
                    raise self._lost("the keys of this workspace are not there")
                return ()
            file = self._read_file()
            master = self._master_of(file) if file.keys else b""
            secret_of = {}
            for entry in file.keys:
                secret = unwrapped(base64.b64decode(entry.wrapped), under=master, bound=f"{entry.use}|{entry.key_id}")
                if secret is None:
                    raise self._lost(f"the key {entry.key_id} of {entry.use} is damaged")
                secret_of[entry.key_id] = secret
            gone = [one for one in made if one.key_id not in secret_of]
            if gone:
                raise self._lost(f"the keyring lacks the key {gone[0].key_id} of {gone[0].use}")
            if len(made) < len(file.keys):  # who made the last one was killed before it was noted
                self._note(file.keys)
            self._entries, self._secrets = file.keys, secret_of
            return file.keys

    def _secret(self, entry: _Entry) -> bytes:
        with self._guard:
            if entry.key_id not in self._secrets:
                self._loaded()
            return self._secrets[entry.key_id]

    def _made_entry(self, use: str, master: bytes) -> _Entry:
        facts = KeyFacts(key_id=secrets.token_hex(_ID_BYTES), use=use, made_at=self._clock().astimezone(UTC))
        return self._entry(facts, secrets.token_bytes(_BYTES), master)

    @staticmethod
    def _entry(facts: KeyFacts, secret: bytes, master: bytes) -> _Entry:
        token = wrapped(secret, under=master, bound=f"{facts.use}|{facts.key_id}")
        return _Entry(
            key_id=facts.key_id, use=facts.use, made_at=facts.made_at, wrapped=base64.b64encode(token).decode()
        )

    def _read_file(self) -> _File:
        path = self._folder / _KEYRING
        try:
            return _File.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(
                f"the keys cannot be read: {error.strerror}", where=str(path), next_step="check its permissions"
            ) from None
        except ValidationError:
            raise self._lost("the keyring is damaged") from None

    def _read_made(self) -> tuple[KeyFacts, ...]:
        path = self._root / _MADE
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

    def _masters(self) -> list[bytes]:
        """The master keys that there are, the one to use first."""
        told = (self._settings.master_key, self._settings.previous_master_key)
        if told[0] is not None:
            return [_decoded(secret, name) for secret, name in zip(told, _SETTINGS, strict=True) if secret is not None]
        path = self._folder / _MASTER
        try:
            lines = path.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "the master key cannot be read", where=str(path), next_step="check its permissions"
            ) from error
        return [_decoded(SecretStr(line), str(path)) for line in lines]

    def _master_of(self, file: _File) -> bytes:
        for master in self._masters():
            if _name_of(master) == file.master:
                return master
        where = "privacy.master_key" if self._settings.master_key is not None else str(self._folder / _MASTER)
        raise InputError(
            f"the master key {file.master}, under which the keys of this workspace are encrypted, is not there",
            where=where,
            next_step=_PUT_BACK,
        )

    def _new_master(self) -> bytes:
        master = secrets.token_bytes(_BYTES)
        self._write_master([master])
        return master

    def _write_master(self, masters: Sequence[bytes]) -> None:
        if self._settings.master_key is None:
            lines = "".join(f"{base64.b64encode(master).decode()}\n" for master in masters)
            self._put(self._folder / _MASTER, lines.encode(), mode=0o600)

    def _write(self, file: _File) -> None:
        drills.point("keys.before_write")
        self._put(self._folder / _KEYRING, file.model_dump_json(indent=1).encode(), mode=0o600)
        drills.point("keys.after_write")
        self._note(file.keys)

    def _note(self, entries: Sequence[KeyFacts]) -> None:
        """Write down which keys there are; nothing is under a key before it is noted."""
        keys = [one.model_dump(mode="json", include={"key_id", "use", "made_at"}) for one in entries]
        self._put(self._root / _MADE, json.dumps({"keys": keys}, indent=1).encode(), mode=0o644)

    def _put(self, path: Path, data: bytes, *, mode: int) -> None:
        """Write a file whole or not at all."""
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, mode=0o700)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise InputError(
                f"the keys cannot be written: {error.strerror}",
                where=str(path),
                next_step="make the folder writable, or name another one by privacy.key_folder",
            ) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._root / "locks" / "keys.lock"
        with self._guard, held(lock, what="keys of the workspace", timeout_s=_LOCK_S, clock=self._clock):
            yield

    def _lost(self, what: str) -> TamperedError:
        return TamperedError(
            what,
            where=str(self._folder / _KEYRING),
            next_step=_PUT_BACK,
        )


_PUT_BACK: Final = (
    "put it back from a backup or the secret store: without it pseudonyms cannot be made, and what is encrypted cannot "
    "be read"
)
_SETTINGS: Final = ("privacy.master_key", "privacy.previous_master_key")


def _name_of(master: bytes) -> str:
    """Name a master key without telling it."""
    return hashlib.sha256(b"trunkline master key\x00" + master).hexdigest()[: 2 * _ID_BYTES]


def _decoded(secret: SecretStr, where: str) -> bytes:
    try:
        master = base64.b64decode(secret.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        master = b""
    if len(master) != _BYTES:
        raise InputError(
            "a master key is 32 bytes as base64",
            where=where,
            next_step="make one: python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'",
        )
    return master
