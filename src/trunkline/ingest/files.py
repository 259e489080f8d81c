"""Files as batches of raw text rows: CSV, JSON, NDJSON, Parquet, Avro, spreadsheets and 3GPP measurement files.

Takes a path and gives a header, a content hash and a stream of Arrow batches of text, in bounded memory. Refuses with
``SourceError`` what cannot be read whole: missing, unreadable, empty, truncated (a half-written file), not of a known
form, or beyond the limits of the settings. Lines that do not have as many fields as the header are handed over apart,
to be quarantined.
"""

import codecs
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.archives import refuse_archive
from trunkline.ingest.byte_stream import PACKINGS, TAR_PACKINGS, ByteStream, inner_name
from trunkline.ingest.raw import FILE_SUFFIXES, MalformedLine, RawFile, empty, unreadable
from trunkline.settings.ingest import IngestSettings

__all__ = [
    "DEFAULT_LIMITS",
    "FILE_SUFFIXES",
    "MalformedLine",
    "RawFile",
    "content_sha256",
    "is_plain",
    "open_file",
    "reads_dialect",
    "split_sheet",
]

_SPREADSHEETS: Final = (".xlsx", ".xls", ".xlsb", ".ods")
_DELIMITED: Final = (".csv", ".tsv", ".txt")
_DOCUMENTS: Final = (".avro", ".xml", ".json", ".ndjson", ".jsonl")
_NOT_PACKED: Final = (".parquet", *_SPREADSHEETS)
_SNIFFED_BYTES: Final = 1 << 12
DEFAULT_LIMITS: Final = IngestSettings()
"""The limits of the settings where nobody changed them."""


def content_sha256(path: Path) -> str:
    """Hash the bytes of a file, and the name of the sheet where one is asked for.

    Raises:
        SourceError: The file is missing or unreadable.
    """
    path, sheet = split_sheet(path)
    _refuse_folder(path)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
    except OSError as error:
        raise unreadable(path, error) from error
    if sheet is not None:
        digest.update(b"\x00sheet\x00" + sheet.encode("utf-8", errors="surrogateescape"))
    return digest.hexdigest()


def split_sheet(path: Path) -> tuple[Path, str | None]:
    """Take ``FILE.xlsx#Sheet name`` apart.

    Returns:
        The file, and the name of its sheet; None where none is named, or a file of the whole name exists.
    """
    name, mark, sheet = path.name.rpartition("#")
    if mark and sheet and name.lower().endswith(_SPREADSHEETS) and not path.exists():
        return path.with_name(name), sheet
    return path, None


def is_plain(path: Path, limits: IngestSettings) -> bool:
    """Say whether to open a file is no more than to look through its bytes: it is a CSV, not packed."""
    try:
        source, form = _told(path, limits)
        return source.packing is None and form in _DELIMITED and source.path.is_file()
    except SourceError:
        return False


def reads_dialect(path: Path, limits: IngestSettings) -> bool:
    """Say whether a file is read as CSV, packed or not, so that a dialect that is said decides what is in it."""
    try:
        source, form = _told(split_sheet(path)[0], limits)
        return form not in (*_NOT_PACKED, *_DOCUMENTS) and not _is_measurements(source)
    except SourceError:
        return False


def open_file(path: Path, *, limits: IngestSettings = DEFAULT_LIMITS) -> RawFile:
    """Open a file as batches of text rows.

    Args:
        path: The form is told by the suffix, also below ``.gz``, ``.bz2``, ``.xz``, ``.zst`` and ``.zip``; 3GPP
            measurement files are told by their root, and CSV is assumed for what is left. ``FILE.xlsx#Sheet name``
            names a sheet.
        limits: How long, wide and large it may be.

    Returns:
        The opened file. Reading its batches may still raise ``SourceError``.

    Raises:
        SourceError: Missing, unreadable, empty, truncated, or beyond the limits.
        MissingExtraError: The reader of its form is not installed.
    """
    path, sheet = split_sheet(path)
    _refuse_folder(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size == 0:
        raise empty(path)
    source, form = _told(path, limits)
    if form in _NOT_PACKED and source.packing is not None:
        raise SourceError(
            f"a {form} file is read as it is, not packed",
            where=str(path),
            next_step="unpack it, and name what is inside",
        )
    if form in _SPREADSHEETS:
        from trunkline.ingest.formats.excel import open_excel

        return open_excel(source, sheet=sheet)
    return _opener(source, form)(source)


def _opener(source: ByteStream, form: str) -> Callable[[ByteStream], RawFile]:
    if form == ".parquet":
        from trunkline.ingest.formats.columnar import open_parquet

        return open_parquet
    if form == ".avro":
        from trunkline.ingest.formats.avro import open_avro

        return open_avro
    if form == ".xml" or _is_measurements(source):
        from trunkline.ingest.formats.pm_xml import open_pm_xml

        return open_pm_xml
    if form in (".ndjson", ".jsonl"):
        from trunkline.ingest.formats.json_lines import open_ndjson

        return open_ndjson
    if form == ".json":
        from trunkline.ingest.formats.json_documents import open_json

        return open_json
    from trunkline.ingest.formats.delimited import open_csv

    return open_csv


def _told(path: Path, limits: IngestSettings) -> tuple[ByteStream, str]:
    """Tell packing and form from the name, and from the name inside an archive."""
    refuse_archive(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packing = PACKINGS.get(suffixes[-1]) if suffixes else None
    if packing == "zip":
        suffixes = [suffix.lower() for suffix in Path(inner_name(path)).suffixes]
        if suffixes and (suffixes[-1] in PACKINGS or suffixes[-1] in TAR_PACKINGS):
            raise SourceError(
                "the archive holds a packed file", where=str(path), next_step="unpack it, and name what is inside"
            )
    elif packing is not None:
        suffixes = suffixes[:-1]
    return ByteStream(path, packing, limits), suffixes[-1] if suffixes else ""


def _is_measurements(source: ByteStream) -> bool:
    """Say whether a file's root is that of a 3GPP measurement file, whatever its name."""
    head = source.head(_SNIFFED_BYTES)
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        head = head.replace(b"\x00", b"")[2:]
    return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"<" and b"measCollecFile" in head


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise SourceError(
            "a folder stands where a file is expected", where=str(path), next_step="name one of its files"
        )
