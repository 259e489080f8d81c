"""Sources on their way into the lake: read, split by contract, written with a receipt, or quarantined with reasons."""

from trunkline.ingest.batch import CRASH_POINTS, Ingested, Target, checked_rows, ingest_file
from trunkline.ingest.files import FILE_SUFFIXES, open_file

__all__ = ["CRASH_POINTS", "FILE_SUFFIXES", "Ingested", "Target", "checked_rows", "ingest_file", "open_file"]
