"""Sources on their way into the lake: read, split by contract, written with a receipt, or quarantined with reasons."""

from trunkline.ingest.batch import CRASH_POINTS, Ingested, Target, checked_rows, ingest_file
from trunkline.ingest.files import FILE_SUFFIXES, open_file
from trunkline.ingest.groups import FileResult, ingest_files

__all__ = [
    "CRASH_POINTS",
    "FILE_SUFFIXES",
    "FileResult",
    "Ingested",
    "Target",
    "checked_rows",
    "ingest_file",
    "ingest_files",
    "open_file",
]
