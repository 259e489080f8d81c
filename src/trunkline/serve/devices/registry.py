"""The registry of devices: one row per device in a SQLite file of the workspace.

Takes names; gives each a key that is shown once, or ties it to a client certificate, and says to whom a key or a
certificate belongs. Keys are kept as digests only. A revoked device stays listed and is refused; added anew it gets
another key. Several processes may use the file; a revocation holds for the next request.
"""

import base64
import hashlib
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel

from trunkline.errors import InputError, UnavailableError, UnknownNameError

__all__ = ["Added", "Device", "DeviceRegistry"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_KEY_BYTES: Final = 24
_NOTE_SEEN_S: Final = 5.0
_ROUNDS: Final = 101  # of a random key, which no dictionary holds: as Mosquitto's own tool does
_BUSY_S: Final = 5.0

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS devices (name TEXT PRIMARY KEY, key BLOB, mosquitto TEXT, certificate TEXT, "
    "reads INTEGER NOT NULL, added_at TEXT NOT NULL, revoked_at TEXT, seen_at TEXT) WITHOUT ROWID"
)
_ADD: Final = (
    "INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?, NULL, NULL) ON CONFLICT (name) DO UPDATE SET key = excluded.key, "
    "mosquitto = excluded.mosquitto, certificate = excluded.certificate, reads = excluded.reads, "
    "added_at = excluded.added_at, revoked_at = NULL WHERE revoked_at IS NOT NULL"
)
_LIST: Final = "SELECT name, key IS NOT NULL, certificate, reads, added_at, revoked_at, seen_at FROM devices "


class Device(BaseModel, frozen=True):
    """What is known of a device.

    Attributes:
        name: Its name, the value of its records' device field and its level of MQTT topics.
        has_key: Whether it has a key.
        certificate_sha256: Of its client certificate (DER), hexadecimal; None where it has none.
        reads: Whether it reads the topics of others rather than writing its own: the platform's own user.
        added_at: When it was added, UTC.
        revoked_at: When it was revoked, UTC; None while it may write.
        seen_at: When it was heard of last, to some seconds, UTC; None where it never was.
    """

    name: str
    has_key: bool
    certificate_sha256: str | None
    reads: bool
    added_at: datetime
    revoked_at: datetime | None
    seen_at: datetime | None


class Added(NamedTuple):
    """A device that was added.

    Attributes:
        device: The device.
        key: Its key, which nobody can be shown again; empty where it is known by a certificate.
    """

    device: Device
    key: str


class DeviceRegistry:
    """The devices of a workspace; safe to share between threads.

    Args:
        path: The file; made by the first :meth:`add`. Without it there are no devices.
        clock: Gives the present instant, UTC.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self._by_key: dict[bytes, str] = {}
        self._by_certificate: dict[str, str] = {}
        self._is_any = False
        self._seen: dict[str, datetime] = {}
        self._noted_at = clock()

    @property
    def is_any(self) -> bool:
        """Whether any device was ever added: from then on records of devices need a device's key, or an API key."""
        with self._lock:
            self._look()
            return self._is_any

    def add(self, name: str, *, certificate_sha256: str | None = None, reads: bool = False) -> Added:
        """Add a device, or a revoked one anew.

        Args:
            name: Letters, digits and ``_ . : -``, at most 64.
            certificate_sha256: Of its client certificate in DER; None gives it a key.
            reads: Whether it reads topics rather than writing its own.

        Raises:
            InputError: The name is malformed or taken, or the fingerprint is another device's.
            UnavailableError: The file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name[:40]!r} cannot be a device's name",
                where="devices",
                allowed=("letters, digits and _ . : -, at most 64, a letter or digit first",),
            )
        if certificate_sha256 is not None and not _FINGERPRINT.fullmatch(certificate_sha256):
            raise InputError("this is no fingerprint", where="devices", allowed=("SHA-256, 64 hexadecimal digits",))
        key = "" if certificate_sha256 is not None else secrets.token_urlsafe(_KEY_BYTES)
        with self._lock, self._told():
            connection = self._opened(make=True)
            taken = connection.execute(
                "SELECT 1 FROM devices WHERE certificate = ? AND name != ? AND revoked_at IS NULL",
                (certificate_sha256, name),
            ).fetchall()
            if taken:
                raise InputError("this certificate is another device's", where=f"device {name}")
            added = connection.execute(
                _ADD,
                (
                    name,
                    _digest(key.encode()) if key else None,
                    _mosquitto_hash(key) if key else None,
                    certificate_sha256,
                    reads,
                    self._clock().astimezone(UTC).isoformat(),
                ),
            ).rowcount
            if not added:
                raise InputError(
                    f"there is a device {name!r}", where="devices", next_step=f"trunkline devices revoke {name}, first"
                )
        return Added(self._one(name), key)

    def revoke(self, name: str) -> Device:
        """Refuse a device from now on.

        Raises:
            UnknownNameError: There is none of that name.
            UnavailableError: The file cannot be written.
        """
        device = self._one(name)
        with self._lock, self._told():
            self._opened(make=True).execute(
                "UPDATE devices SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
                (self._clock().astimezone(UTC).isoformat(), device.name),
            )
        return self._one(name)

    def devices(self) -> tuple[Device, ...]:
        """List all devices by name, revoked ones too.

        Raises:
            UnavailableError: The file cannot be read.
        """
        with self._lock, self._told():
            if not self._path.exists():
                return ()
            rows = self._opened().execute(f"{_LIST} ORDER BY name").fetchall()
        return tuple(map(_device, rows))

    def mosquitto_hashes(self) -> dict[str, str]:
        """Give the hashes by which Mosquitto knows the keys of devices that are not revoked, by name.

        Raises:
            UnavailableError: The file cannot be read.
        """
        with self._lock, self._told():
            if not self._path.exists():
                return {}
            wanted = "SELECT name, mosquitto FROM devices WHERE revoked_at IS NULL AND mosquitto IS NOT NULL"
            return dict(self._opened().execute(f"{wanted} ORDER BY name").fetchall())

    def by_key(self, key: bytes) -> str | None:
        """Name the device whose key this is; None where it is nobody's, or revoked."""
        with self._lock:
            self._look()
            return self._by_key.get(_digest(key))

    def by_certificate(self, fingerprint: str) -> str | None:
        """Name the device whose certificate has this SHA-256; None where it is nobody's, or revoked."""
        with self._lock:
            self._look()
            return self._by_certificate.get(fingerprint)

    def saw(self, name: str) -> None:
        """Note that a device was heard of; written down every few seconds."""
        now = self._clock()
        with self._lock:
            self._seen[name] = now
            if (now - self._noted_at).total_seconds() >= _NOTE_SEEN_S:
                self._note_seen()

    def close(self) -> None:
        """Write down who was heard of, and close the file; closing twice is allowed."""
        with self._lock:
            self._note_seen()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _note_seen(self) -> None:
        seen, self._seen, self._noted_at = self._seen, {}, self._clock()
        if seen and self._path.exists():
            with self._told():
                self._opened().executemany(
                    "UPDATE devices SET seen_at = ? WHERE name = ?",
                    [(at.astimezone(UTC).isoformat(), name) for name, at in seen.items()],
                )

    def _one(self, name: str) -> Device:
        with self._lock, self._told():
            found = self._opened().execute(f"{_LIST} WHERE name = ?", (name,)).fetchall() if self._path.exists() else []
        if not found:
            raise UnknownNameError(f"there is no device {name[:60]!r}", next_step="trunkline devices list")
        return _device(found[0])

    def _look(self) -> None:
        """Read the devices again if another process, or this one, changed them."""
        if not self._path.exists():
            return
        with self._told():
            connection = self._opened()
            version = connection.execute("PRAGMA data_version").fetchone()[0] * 2**32 + connection.total_changes
            if version == self._version:
                return
            rows = connection.execute("SELECT name, key, certificate, revoked_at, reads FROM devices").fetchall()
        active = [(name, key, certificate) for name, key, certificate, revoked, reads in rows if not (revoked or reads)]
        self._by_key = {key: name for name, key, _ in active if key is not None}
        self._by_certificate = {certificate: name for name, _, certificate in active if certificate is not None}
        self._is_any = bool(rows)
        self._version = version

    def _opened(self, *, make: bool = False) -> sqlite3.Connection:
        if self._connection is None:
            if make:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.execute(_SCHEMA)
            self._path.chmod(0o600)
            self._connection = connection
        return self._connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UnavailableError(
                "the registry of devices cannot be read or written",
                where=str(self._path),
                next_step="see that the disk is not full and that the file is the registry",
            ) from error


def _device(row: tuple[str, int, str | None, int, str, str | None, str | None]) -> Device:
    name, has_key, certificate, reads, added, revoked, seen = row
    return Device(
        name=name,
        has_key=bool(has_key),
        certificate_sha256=certificate,
        reads=bool(reads),
        added_at=datetime.fromisoformat(added),
        revoked_at=None if revoked is None else datetime.fromisoformat(revoked),
        seen_at=None if seen is None else datetime.fromisoformat(seen),
    )


def _digest(key: bytes) -> bytes:
    """A fast hash is right for a random key: there is nothing to guess."""
    return hashlib.sha256(key).digest()


def _mosquitto_hash(key: str) -> str:
    """The form of ``mosquitto_passwd``: ``$7$``, rounds, salt and PBKDF2-HMAC-SHA512 of the key."""
    salt = secrets.token_bytes(12)
    hashed = hashlib.pbkdf2_hmac("sha512", key.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"
