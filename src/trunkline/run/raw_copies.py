"""Raw copies of the landing zone that hold an identifier, found by reading each of them.

Takes the landing zone of a dataset and an identifier, and says of every piece that still has its file whether the
identifier is in it: as a cell of any column and sheet, as a column's name, inside a nested value, or anywhere in a line
that is no row. What cannot be read by its form is searched as bytes. Lake and receipts are not asked, because a piece
may have brought rows that left no trace there: duplicates, folded rows, or a piece that was never taken in.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from trunkline.contracts import Column
from trunkline.contracts.judging import value_of
from trunkline.contracts.kinds import Malformed
from trunkline.contracts.privacy import Form, canonical
from trunkline.errors import InputError, SourceError, TrunklineError
from trunkline.ingest import open_file
from trunkline.ingest.archives import is_archive, members
from trunkline.ingest.byte_stream import PACKINGS, ByteStream
from trunkline.ingest.landing import Landed, Landing
from trunkline.ingest.raw import RawFile
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Sought", "is_in_file", "pieces_with"]

_TOLD_DIGITS: Final = 7
_ANY: Final = 1 << 40
_AS_LARGE_AS_IT_IS: Final = {"max_expanded_ratio": _ANY, "max_expanded_gb": _ANY, "max_archive_files": _ANY}
_BLOCK_BYTES: Final = 1 << 20
_SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsb", ".ods")
_OPAQUE: Final = (".parquet", ".avro", *_SPREADSHEETS)
_NO_SHEET: Final = "x" * 40  # a sheet's name has at most 31 characters
_FAULTS: Final = (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, TrunklineError)


class Sought:
    """An identifier as cells may spell it.

    Args:
        value: The identifier; white space around it does not count.
        columns: The columns that contracts mark with its type: where one is no text, ``007`` is 7; where one is
            protected, every spelling of its canonical form counts.

    Attributes:
        spellings: The usual spellings of what is protected, without separators.
        patterns: Regular expressions of spellings with separators or in another case, for RE2 and Python alike; whoever
            matches one of telephone numbers may be somebody else.
    """

    def __init__(self, value: str, columns: Sequence[Column]) -> None:
        self.text = value.strip()
        self._typed = []
        for column in columns:
            with suppress(Malformed):
                if column.kind not in ("text", "category"):
                    self._typed.append((column, value_of(column, self.text)))
        forms = {(column.form, column.country) for column in columns if column.is_protected}
        self._meant = {(form, country, canonical(self.text, form, country=country)) for form, country in forms}
        self.patterns = sorted({pattern for form, _, meant in self._meant if (pattern := _pattern(form, meant))})
        self.spellings = {text for form, country, meant in self._meant for text in _spellings(form, country, meant)}
        self.needles = sorted({self.text, *self.spellings, *(str(typed) for _, typed in self._typed)})

    def is_in(self, cell: object) -> bool:
        """Say whether a value is the identifier, or a nested one holds it."""
        if isinstance(cell, dict):
            return any(self.is_in(each) for pair in cell.items() for each in pair)
        if isinstance(cell, list | tuple):
            return any(map(self.is_in, cell))
        if cell is None:
            return False
        text = str(cell).strip()
        if text == self.text or any(_means(column, text, typed) for column, typed in self._typed):
            return True
        if any(canonical(text, form, country=country) == meant for form, country, meant in self._meant):
            return True
        if text[:1] not in ("{", "["):
            return False
        try:
            inside = json.loads(text)
        except (ValueError, RecursionError):
            return self.text in text
        return self.is_in(inside)

    def is_in_batch(self, batch: "pa.RecordBatch") -> bool:
        """Say whether a cell of a batch of texts is the identifier."""
        import pyarrow.compute as pc

        for column in batch.columns:
            found = [pc.match_substring(column, needle) for needle in self.needles]
            found += [pc.match_substring_regex(column, pattern) for pattern in self.patterns]
            for is_candidate in found:
                candidates = pc.unique(column.filter(is_candidate))
                if any(map(self.is_in, candidates.to_pylist())):
                    return True
        return False

    def is_in_text(self, text: str) -> bool:
        """Say whether the identifier is, or may be, anywhere in a text that is no cell."""
        return any(needle in text for needle in (self.text, *self.spellings)) or any(
            re.search(pattern, text) is not None for pattern in self.patterns
        )


def pieces_with(
    landing: Landing, sought: Sought, *, limits: IngestSettings, folder: Path
) -> Iterator[tuple[Landed, bool]]:
    """Look through every piece of a landing zone that has its file, of all sources, taken in or not.

    Args:
        landing: The landing zone of a dataset.
        sought: The identifier.
        limits: How long and wide a file may be to be read by its form; how far it unpacks is not limited here.
        folder: Where the files of archives are unpacked, one by one.

    Yields:
        A piece, and True where the identifier is in it. False: the piece cannot be seen into (encrypted, damaged, or
        its reader is not installed), so it may be. Pieces without it are left out.

    Raises:
        TamperedError: A record of the landing zone is damaged.
    """
    for source in landing.sources():
        for piece in landing.pieces(source):
            if piece.path is None:
                continue
            found = _is_in_piece(landing, piece, sought, limits, folder)
            if found is not False:
                yield piece, found is True


def _is_in_piece(landing: Landing, piece: Landed, sought: Sought, limits: IngestSettings, folder: Path) -> bool | None:
    """Read a piece, decrypted where need be; None where nobody can see into it."""
    with ExitStack() as stack:
        try:
            path = stack.enter_context(landing.lent(piece))
        except InputError:  # its key is lost, or it was changed
            return None
        return is_in_file(path, sought, limits=piece.dialect_of(limits), folder=folder)


def is_in_file(path: Path, sought: Sought, *, limits: IngestSettings, folder: Path) -> bool | None:
    """Say whether the identifier is in a file, read by its form, else as bytes; of an archive in any of its files.

    Args:
        path: The file.
        sought: The identifier.
        limits: How long and wide it may be to be read by its form.
        folder: Where the files of an archive are unpacked, one by one.

    Returns:
        None where neither its form nor its bytes show what is in it.
    """
    limits = limits.model_copy(update=_AS_LARGE_AS_IT_IS)
    if is_archive(path):
        return _is_in_archive(path, sought, limits, folder)
    try:
        if any(_is_in_opened(open_file(each, limits=limits), sought) for each in _parts(path, limits)):
            return True
        return _is_in_nested(path, sought)
    except TrunklineError:
        return _is_in_bytes(path, sought, limits)


def _is_in_archive(path: Path, sought: Sought, limits: IngestSettings, folder: Path) -> bool | None:
    is_clear = True
    try:
        with closing(members(path, folder=folder, limits=limits, passes_over=False)) as found:
            for member in found:
                if member.path is None:
                    is_clear = False
                    continue
                is_there = is_in_file(member.path, sought, limits=limits, folder=folder)
                member.path.unlink()
                if is_there:
                    return True
                is_clear = is_clear and is_there is not None
    except SourceError:  # it breaks off: what is behind that nobody sees
        is_clear = False
    return False if is_clear else None


def _parts(path: Path, limits: IngestSettings) -> list[Path]:
    """The sheets of a spreadsheet; any other file is itself."""
    if path.suffix not in _SPREADSHEETS:
        return [path]
    try:
        open_file(path.with_name(f"{path.name}#{_NO_SHEET}"), limits=limits)
    except SourceError as error:
        if error.allowed:  # the sheets that there are
            return [path.with_name(f"{path.name}#{sheet}") for sheet in error.allowed]
        raise
    return [path]


def _is_in_opened(opened: RawFile, sought: Sought) -> bool:
    if any(map(sought.is_in, opened.header)):
        return True
    batches = opened.batches
    try:
        if any(map(sought.is_in_batch, batches)):
            return True
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()
    return any(sought.is_in_text(line.text) for line in opened.malformed)


def _is_in_nested(path: Path, sought: Sought) -> bool:
    """Look into the nested columns of a Parquet file, which an ingestion leaves aside."""
    if path.suffix != ".parquet":
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
        if not nested:
            return False
        return any(
            sought.is_in(value)
            for batch in file.iter_batches(batch_size=1024, columns=nested)
            for column in batch.columns
            for value in column.to_pylist()
        )


def _is_in_bytes(path: Path, sought: Sought, limits: IngestSettings) -> bool | None:
    """Search unpacked bytes in the usual encodings; None where they stay packed."""
    texts = sorted({sought.text, *sought.spellings})
    needles = [text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
    with suppress(UnicodeEncodeError):
        needles += [text.encode("cp1252") for text in texts]
    is_clear = path.suffix not in _OPAQUE
    try:
        if zipfile.is_zipfile(path):
            is_clear = path.suffix in _SPREADSHEETS or is_clear
            with zipfile.ZipFile(path) as archive:
                for part in archive.infolist():
                    with closing(archive.open(part)) as stream:
                        if _is_in_stream(stream, needles):
                            return True
        elif path.suffix in PACKINGS:
            with ByteStream(path, PACKINGS[path.suffix], limits).stream() as unpacked:
                if _is_in_stream(unpacked, needles):
                    return True
    except _FAULTS:
        is_clear = False
    try:
        with path.open("rb") as plain:
            if _is_in_stream(plain, needles):
                return True
    except OSError:
        return None
    return False if is_clear else None


def _is_in_stream(stream: IO[bytes], needles: Sequence[bytes]) -> bool:
    overlap = max(map(len, needles)) - 1
    kept = b""
    while block := stream.read(_BLOCK_BYTES):
        kept += block
        if any(needle in kept for needle in needles):
            return True
        kept = kept[-overlap:] if overlap else b""
    return False


def _pattern(form: Form, meant: str) -> str:
    """Give a regular expression of a canonical form's other spellings; empty where there are none."""
    if form == "lower":
        return f"(?i){re.escape(meant)}"
    digits = meant.removeprefix("+")
    if form != "e164" or not digits.isdigit():
        return ""
    # the calling code is left out: it may be there, or a 0 in its place; whoever matches is looked at again
    return r"[ \t.()/-]*".join(digits[-_TOLD_DIGITS:])


def _spellings(form: Form, country: str, meant: str) -> set[str]:
    """Give the usual spellings without separators."""
    if form == "as_is" or not meant.startswith("+"):
        return {meant}
    digits = meant[1:]
    national = {f"0{digits[len(country) :]}"} if country and digits.startswith(country) else set()
    return {meant, digits, f"00{digits}", *national}


def _means(column: Column, text: str, typed: object) -> bool:
    try:
        return bool(value_of(column, text) == typed)
    except Malformed:
        return False
