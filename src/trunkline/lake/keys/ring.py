"""The keys of one workspace: given by type and by id, made when they are first needed, rotated."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from trunkline.checks.pseudonyms import PseudonymKey, Pseudonyms, protected_columns
from trunkline.checks.sealing import DataKey, Sealer, unwrapped, wrapped
from trunkline.contracts import Contract
from trunkline.errors import InputError
from trunkline.lake.keys.files import ENCRYPTION, ID_BYTES, KEY_BYTES, Entry, KeyFacts, KeyFiles, KeyringFile, name_of
from trunkline.lake.locks import held, shared
from trunkline.settings import drills
from trunkline.settings.privacy import PrivacySettings

__all__ = ["CRASH_POINTS", "Keyring"]

CRASH_POINTS: Final = ("keys.before_write", "keys.after_write", "keys.after_master")
"""Points at which a drill may kill a process that makes or rotates keys."""

_LOCK_S: Final = 10.0
_RENAMING_S: Final = 0.2
_NAMES: Final = "pseudonyms of the workspace"


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
        self._files = KeyFiles(root, settings=settings)
        self._guard = threading.RLock()
        self._entries: tuple[Entry, ...] | None = None
        self._secrets: dict[str, bytes] = {}

    @property
    def folder(self) -> Path:
        """Where the keys lie."""
        return self._files.folder

    def files(self) -> tuple[Path, ...]:
        """Name the key files that there are."""
        return self._files.present()

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

    def naming(self) -> AbstractContextManager[None]:
        """Keep the pseudonyms as they are for a ``with`` block; whoever makes some and writes them down is in one.

        Entering it raises ``BusyError`` where the pseudonyms are being changed, and that takes longer than ten seconds.
        """
        return shared(self._renames, what=_NAMES, timeout_s=_LOCK_S, clock=self._clock)

    def renaming(self) -> AbstractContextManager[None]:
        """Keep everybody from making pseudonyms for a ``with`` block, in which they are changed.

        Entering it raises ``BusyError`` where somebody makes some.
        """
        return held(self._renames, what=_NAMES, timeout_s=_RENAMING_S, clock=self._clock)

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
        raise self._files.lost(f"data is encrypted under the key {key_id}, and the keyring does not hold it")

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
            masters = self._files.masters()
            master = masters[0] if masters else self._files.new_master()
            if use == ENCRYPTION:
                if self._settings.master_key is None:
                    master = secrets.token_bytes(KEY_BYTES)
                    self._files.write_masters([master, *masters])
                elif entries and self._files.keyring().master == name_of(master):
                    raise InputError(
                        "the master key comes from the settings, and the keys are encrypted under that one already",
                        where="privacy.master_key",
                        next_step="set privacy.previous_master_key to it, privacy.master_key to a new one, and repeat",
                    )
            made = self._made_entry(use, master)
            again = [self._entry(one, self._secret(one), master) for one in entries]
            self._files.write(KeyringFile(master=name_of(master), keys=(*again, made)))
            if use == ENCRYPTION and self._settings.master_key is None:
                drills.point("keys.after_master")
                self._files.write_masters([master])
            self.refresh()
        return KeyFacts(key_id=made.key_id, use=made.use, made_at=made.made_at)

    # Inside

    @property
    def _renames(self) -> Path:
        return self._root / "locks" / "pseudonyms.lock"

    def _current(self, use: str) -> Entry:
        found = self._of(use)
        if found:
            return found[-1]
        with self._locked():
            self.refresh()
            found = self._of(use)  # another process was faster
            if found:
                return found[-1]
            masters = self._files.masters()
            master = masters[0] if masters else self._files.new_master()
            entries = self._loaded()
            if entries and self._files.keyring().master != name_of(master):
                master = self._files.master_of(self._files.keyring())
            made = self._made_entry(use, master)
            self._files.write(KeyringFile(master=name_of(master), keys=(*entries, made)))
            self.refresh()
        return self._of(use)[-1]

    def _of(self, use: str) -> list[Entry]:
        return [entry for entry in self._loaded() if entry.use == use]

    def _loaded(self) -> tuple[Entry, ...]:
        with self._guard:
            if self._entries is not None:
                return self._entries
            made = self._files.made()
            if not self._files.has_keyring():
                if made:
                    raise self._files.lost("the keys of this workspace are not there")
                return ()
            file, master = self._files.opened()
            secret_of = {}
            for entry in file.keys:
                secret = unwrapped(base64.b64decode(entry.wrapped), under=master, bound=f"{entry.use}|{entry.key_id}")
                if secret is None:
                    raise self._files.lost(f"the key {entry.key_id} of {entry.use} is damaged")
                secret_of[entry.key_id] = secret
            gone = [one for one in made if one.key_id not in secret_of]
            if gone:
                raise self._files.lost(f"the keyring lacks the key {gone[0].key_id} of {gone[0].use}")
            if len(made) < len(file.keys):  # who made the last one was killed before it was noted
                self._files.note(file.keys)
            self._entries, self._secrets = file.keys, secret_of
            return file.keys

    def _secret(self, entry: Entry) -> bytes:
        with self._guard:
            if entry.key_id not in self._secrets:
                self._loaded()
            return self._secrets[entry.key_id]

    def _made_entry(self, use: str, master: bytes) -> Entry:
        facts = KeyFacts(key_id=secrets.token_hex(ID_BYTES), use=use, made_at=self._clock().astimezone(UTC))
        return self._entry(facts, secrets.token_bytes(KEY_BYTES), master)

    @staticmethod
    def _entry(facts: KeyFacts, secret: bytes, master: bytes) -> Entry:
        token = wrapped(secret, under=master, bound=f"{facts.use}|{facts.key_id}")
        return Entry(
            key_id=facts.key_id, use=facts.use, made_at=facts.made_at, wrapped=base64.b64encode(token).decode()
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._root / "locks" / "keys.lock"
        with self._guard, held(lock, what="keys of the workspace", timeout_s=_LOCK_S, clock=self._clock):
            yield
