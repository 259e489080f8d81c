"""Files as batches of raw text rows: CSV (any delimiter, gzip, bz2, zstd), NDJSON and Parquet.

Takes a path and gives a header, a content hash and a stream of Arrow batches of text, in bounded memory. Refuses with
``SourceError`` what cannot be read whole: missing, unreadable, empty, truncated (a half-written file), or not of a
known form. Lines that do not have as many fields as the header are handed over apart, to be quarantined.
"""

import hashlib
from pathlib import Path
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.raw import FILE_SUFFIXES, MalformedLine, RawFile, unreadable

__all__ = ["FILE_SUFFIXES", "MalformedLine", "RawFile", "content_sha256", "open_file"]

_COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def content_sha256(path: Path) -> str:
    """Hash the bytes of a file.

    Raises:
        SourceError: The file is missing or unreadable.
    """
    _refuse_folder(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def open_file(path: Path) -> RawFile:
    """Open a file as batches of text rows.

    Args:
        path: A CSV, NDJSON or Parquet file; the form is told by the suffix, and CSV is assumed for an unknown one.

    Returns:
        The opened file. Reading its batches may still raise ``SourceError``.

    Raises:
        SourceError: Missing, unreadable, empty or truncated.
    """
    _refuse_folder(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size == 0:
        raise SourceError("the file is empty", where=str(path), next_step="check whether its export has finished")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    form = (suffixes[-2] if len(suffixes) > 1 else "") if compression else (suffixes[-1] if suffixes else "")
    if form == ".parquet" and compression is None:
        from trunkline.ingest.columnar import open_parquet

        return open_parquet(path)
    if form in (".ndjson", ".jsonl"):
        from trunkline.ingest.json_lines import open_ndjson

        return open_ndjson(path, compression)
    from trunkline.ingest.delimited import open_csv

    return open_csv(path, compression)


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise SourceError(
            "a folder stands where a file is expected", where=str(path), next_step="name one of its files"
        )
