"""Values under AES-256-GCM (NIST SP 800-38D), bound to where they stand.

Takes bytes or text and what they are bound to (table, batch, column, row); gives a token that opens only under the same
key and in the same place, so that ciphertexts can neither be read, nor changed, nor exchanged. A token names its key.

A token is ``mark | key id | salt | counter | ciphertext and tag``. Each sealer encrypts under a key of its own, derived
from the data key, its purpose and a random salt (HMAC-SHA256 as a PRF, NIST SP 800-108), and counts its nonces: none is
used twice under one key, however many values there are.
"""

import base64
import binascii
import hmac
import io
import itertools
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Final, Protocol

from typing_extensions import Buffer

from trunkline.errors import TamperedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = [
    "MARK",
    "TEXT_MARK",
    "DataKey",
    "DataKeys",
    "SealedStream",
    "Sealer",
    "is_sealed",
    "is_sealed_text",
    "key_id_of",
    "opened_stream",
    "unwrapped",
    "wrapped",
]

MARK: Final = b"\x00TS1"
"""How a token begins: no JSON, no text and no packed file does."""

TEXT_MARK: Final = "sealed:"
"""How a token that is written as text begins."""

_FILE_MARK: Final = b"\x00TF1"
_ID_BYTES: Final = 4
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = len(MARK) + _ID_BYTES + _SALT_BYTES + _NONCE_BYTES
_FILE_HEAD_BYTES: Final = len(_FILE_MARK) + _ID_BYTES + _SALT_BYTES
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class DataKey:
    """A key that data is encrypted under.

    Attributes:
        key_id: Eight hexadecimal digits; stands in every token.
        secret: 32 bytes; never printed.
    """

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        """Name the key without showing it."""
        return f"DataKey({self.key_id!r})"


class DataKeys(Protocol):
    """Where keys come from."""

    def data_key(self) -> DataKey:
        """Give the current key, made on first need."""
        ...

    def data_key_of(self, key_id: str) -> DataKey:
        """Give a key by its id.

        Raises:
            TamperedError: It is lost.
        """
        ...


def is_sealed(value: bytes) -> bool:
    """Say whether bytes are a token."""
    return value.startswith(MARK)


def is_sealed_text(value: str) -> bool:
    """Say whether a text is a token."""
    return value.startswith(TEXT_MARK)


def key_id_of(token: bytes) -> str:
    """Name the key of a token."""
    return token[len(MARK) : len(MARK) + _ID_BYTES].hex()


class Sealer:
    """Seals and opens values of one purpose. Threads may share it; processes each make their own.

    Args:
        keys: Where keys come from.
        purpose: What the values are, e.g. ``quarantine``.
    """

    def __init__(self, keys: DataKeys, *, purpose: str) -> None:
        self._keys = keys
        self._purpose = purpose.encode()
        self._salt = secrets.token_bytes(_SALT_BYTES)
        self._count = itertools.count(1)
        self._key: DataKey | None = None

    def seal(self, value: bytes, *, bound: str) -> bytes:
        """Encrypt bytes.

        Args:
            value: The bytes.
            bound: Where they stand; they open nowhere else.
        """
        if self._key is None:
            self._key = self._keys.data_key()
        key = self._key
        nonce = next(self._count).to_bytes(_NONCE_BYTES, "big")
        cipher = _cipher(key.secret, self._purpose, self._salt)
        return b"".join(
            (MARK, bytes.fromhex(key.key_id), self._salt, nonce, cipher.encrypt(nonce, value, self._bound(bound)))
        )

    def open(self, token: bytes, *, bound: str) -> bytes:
        """Decrypt a token; bytes that are none are given back as they are.

        Raises:
            TamperedError: Its key is lost, it was changed, or it stands where it was not sealed.
        """
        from cryptography.exceptions import InvalidTag

        if not token.startswith(MARK):
            return token
        if len(token) < _HEAD_BYTES + _TAG_BYTES:
            raise _damaged(bound)
        head = len(MARK) + _ID_BYTES
        key = self._keys.data_key_of(key_id_of(token))
        salt, nonce = token[head : head + _SALT_BYTES], token[head + _SALT_BYTES : _HEAD_BYTES]
        try:
            return _cipher(key.secret, self._purpose, salt).decrypt(nonce, token[_HEAD_BYTES:], self._bound(bound))
        except InvalidTag:
            raise _damaged(bound) from None

    def seal_text(self, value: str, *, bound: str) -> str:
        """Encrypt a text; the token is a text, too."""
        return TEXT_MARK + base64.urlsafe_b64encode(self.seal(value.encode(), bound=bound)).decode()

    def open_text(self, token: str, *, bound: str) -> str:
        """Decrypt a text; one that is no token is given back as it is.

        Raises:
            TamperedError: As :meth:`open`.
        """
        if not token.startswith(TEXT_MARK):
            return token
        try:
            sealed = base64.b64decode(token[len(TEXT_MARK) :], altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _damaged(bound) from None
        if not is_sealed(sealed):
            raise _damaged(bound)
        return self.open(sealed, bound=bound).decode()

    def _bound(self, bound: str) -> bytes:
        return self._purpose + b"\x00" + bound.encode()


class SealedStream(io.RawIOBase):
    """Writes a file under a key of its own, in chunks; memory stays the same whatever its size.

    Each chunk is bound to its place in the file, the last one to what the file is (STREAM, Hoang et al. 2015,
    doi:10.1007/978-3-662-47989-6_24): chunks can be neither exchanged, nor left out, nor cut off.

    Args:
        out: Takes the file.
        keys: Where keys come from.
        purpose: What the file is.
    """

    def __init__(self, out: IO[bytes], keys: DataKeys, *, purpose: str) -> None:
        super().__init__()
        key = keys.data_key()
        salt = secrets.token_bytes(_SALT_BYTES)
        self._out = out
        self._cipher = _cipher(key.secret, purpose.encode(), salt)
        self._held = bytearray()
        self._count = 0
        out.write(_FILE_MARK + bytes.fromhex(key.key_id) + salt)

    def writable(self) -> bool:
        """It takes bytes."""
        return True

    def write(self, data: Buffer) -> int:
        """Take some bytes."""
        before = len(self._held)
        self._held += memoryview(data).cast("B")
        taken = len(self._held) - before
        while len(self._held) > _CHUNK_BYTES:
            self._chunk(bytes(self._held[:_CHUNK_BYTES]), bound=b"")
            del self._held[:_CHUNK_BYTES]
        return taken

    def finish(self, *, bound: str) -> None:
        """Write the last chunk, bound to what the file is."""
        self._chunk(bytes(self._held), bound=b"\x01" + bound.encode())
        self._held.clear()

    def _chunk(self, data: bytes, *, bound: bytes) -> None:
        self._count += 1
        self._out.write(self._cipher.encrypt(self._count.to_bytes(_NONCE_BYTES, "big"), data, bound))


def opened_stream(source: IO[bytes], keys: DataKeys, *, purpose: str, bound: str) -> Iterator[bytes]:
    """Read a file that :class:`SealedStream` wrote, chunk by chunk.

    What came before a fault has been given by then: use nothing of it until the end is reached.

    Raises:
        TamperedError: Its key is lost, it was changed or cut, or it is another file than it should be.
    """
    from cryptography.exceptions import InvalidTag

    head = source.read(_FILE_HEAD_BYTES)
    if len(head) < _FILE_HEAD_BYTES or not head.startswith(_FILE_MARK):
        raise _damaged(bound)
    mark = len(_FILE_MARK)
    key = keys.data_key_of(head[mark : mark + _ID_BYTES].hex())
    cipher = _cipher(key.secret, purpose.encode(), head[mark + _ID_BYTES :])
    size, count = _CHUNK_BYTES + _TAG_BYTES, 0
    chunk = source.read(size)
    while True:
        after = source.read(size)
        count += 1
        told = b"" if after else b"\x01" + bound.encode()
        try:
            yield cipher.decrypt(count.to_bytes(_NONCE_BYTES, "big"), chunk, told)
        except (InvalidTag, ValueError):
            raise _damaged(bound) from None
        if not after:
            return
        chunk = after


def wrapped(secret: bytes, *, under: bytes, bound: str) -> bytes:
    """Encrypt a key under another one.

    Args:
        secret: The key.
        under: 32 bytes.
        bound: What the key is for; it is unwrapped for nothing else.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(under).encrypt(nonce, secret, bound.encode())


def unwrapped(token: bytes, *, under: bytes, bound: str) -> bytes | None:
    """Decrypt a key; None where it is not one of that other key, or for something else."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(under).decrypt(token[:_NONCE_BYTES], token[_NONCE_BYTES:], bound.encode())
    except (InvalidTag, ValueError):
        return None


@lru_cache(maxsize=4096)
def _cipher(secret: bytes, purpose: bytes, salt: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    said = b"trunkline\x00" + struct.pack(">H", len(purpose)) + purpose + salt
    return AESGCM(hmac.digest(secret, said, "sha256"))


def _damaged(bound: str) -> TamperedError:
    return TamperedError(
        "an encrypted value does not open where it stands: it was changed, cut, or belongs elsewhere",
        where=bound.split("|", 1)[0][:80],
        next_step="restore the file or table from a backup",
    )
