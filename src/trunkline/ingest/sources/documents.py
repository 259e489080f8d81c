"""Documents on their way into files: a JSON array, one document a line, written as they come.

The reader of JSON documents makes columns of them: names inside objects become dotted, lists stay JSON. A number that
JSON would round (more digits than a double holds) is written as a text, so that every digit reaches the contract.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

from trunkline.errors import UnavailableError
from trunkline.ingest.sources.protocol import Position, Pulled

__all__ = ["DocumentPieces", "line_hash", "line_of", "plain_number"]

_HASH_BYTES: Final = 8
_SAFE: Final = 1 << 63


class DocumentPieces:
    """The files of a pull, one after the other; nothing but the open line is in memory.

    Args:
        folder: Where they go.
        origin: Where the documents came from, for people.
    """

    def __init__(self, folder: Path, origin: str) -> None:
        self._folder, self._origin = folder, origin
        self.number, self.rows = 1, 0
        self._out: BinaryIO | None = None

    def add(self, row: bytes) -> None:
        """Add a document, as :func:`line_of` gives it.

        Raises:
            UnavailableError: The disk did not take it.
        """
        with self._told():
            if self._out is None:
                self._out = self._path.open("wb")
            self._out.write(b",\n" + row if self.rows else b"[" + row)
        self.rows += 1

    def cut(self, position: Position) -> Pulled:
        """End the open file, which has at least one document.

        Raises:
            UnavailableError: The disk did not take it.
        """
        assert self._out is not None, "a piece has rows"
        with self._told():
            self._out.write(b"]\n")
            self._out.close()
        pulled = Pulled(self._path, f"{self._origin}, {self.rows} rows", position)
        self._out, self.rows = None, 0
        self.number += 1
        return pulled

    def close(self) -> None:
        """Let go of a file that no piece became of."""
        if self._out is not None:
            self._out.close()

    @property
    def _path(self) -> Path:
        return self._folder / f"{self.number:06d}.json"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnavailableError(
                f"the disk did not take a piece: {error.strerror or type(error).__name__}",
                where=str(self._folder),
                next_step="make room on the disk; what landed stays",
            ) from error


def line_of(document: Mapping[str, object]) -> bytes:
    """Write a document of JSON's own values, its names in the order in which they came."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def line_hash(line: bytes) -> str:
    """Give a hash of a document, 16 hexadecimal digits; the order of names counts."""
    return hashlib.blake2b(line, digest_size=_HASH_BYTES).hexdigest()


def plain_number(number: Decimal) -> int | float | str:
    """Give a number that JSON keeps as it is: a whole one of 64 bits, a double that is exactly it, else its text.

    >>> [plain_number(Decimal(text)) for text in ("7", "0.1", "0.12345678901234567890", "1E+40", "NaN")]
    [7, 0.1, '0.12345678901234567890', '10000000000000000000000000000000000000000', 'NaN']
    """
    if not number.is_finite():
        return str(number)
    if number == number.to_integral_value() and abs(number) < _SAFE:
        return int(number)
    near = float(number)
    if Decimal(repr(near)) == number and abs(number) < _SAFE:
        return near
    return f"{number:f}"
