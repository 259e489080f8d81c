"""Files that were handed over to a run, told by their bytes: whoever goes on with the run hands over the same ones.

Names do not tell them, since files are moved and replaced; nor do receipts: those of an archive or of a recording are
of what was in it.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from trunkline.errors import InputError, SourceError
from trunkline.ingest.archives import archive_of, split_member
from trunkline.ingest.files import content_sha256, split_sheet
from trunkline.run.outcomes import Outcome
from trunkline.run.resolving import Handed
from trunkline.run.steps.documents import IngestDocument

__all__ = ["HandedFiles", "refuse_other_files"]

_Stamp = tuple[int, int, int]
_GONE: Final = (-1, -1, -1)


class HandedFiles:
    """Hashes the files among sources; one of an archive by the archive and its name.

    What was taken in as it is was hashed by that; archives and recordings are hashed here, each once. A file that
    cannot be read, or that has changed by then, has no hash: nobody goes on with it.

    Args:
        handed: The sources, before they are taken in.
    """

    def __init__(self, handed: Sequence[Handed]) -> None:
        paths = [one.path for one in handed if one.path is not None and one.beside is None]
        self._left = {path: _stamp(path) for path in paths}
        self._found: set[str] = set()

    def add(self, outcome: Outcome) -> None:
        """Note what became of a source."""
        path = outcome.handed.path
        if path is not None and path in self._left and outcome.ingested is not None and not outcome.is_part:
            del self._left[path]
            self._found.add(outcome.ingested.receipt.content_sha256)

    def sha256(self) -> tuple[str, ...]:
        """Give the hashes, sorted, once all was taken in."""
        whole = cache(content_sha256)
        for path, stamp in self._left.items():
            with suppress(SourceError):
                told = _ids(path, whole)[-1]
                if _stamp(path) == stamp:
                    self._found.add(told)
        self._left.clear()
        return tuple(sorted(self._found))


def refuse_other_files(document: IngestDocument, handed: Sequence[Handed], *, run_id: str) -> None:
    """Hold files against those that a run has taken in; some of them are enough, and so is one file of an archive.

    Args:
        document: What it has taken in.
        handed: What is handed over to go on with it.
        run_id: The run.

    Raises:
        InputError: There are others among them.
        SourceError: One does not exist, or cannot be read.
    """
    for one in handed:
        if one.error is not None:
            raise one.error
    whole = cache(content_sha256)
    of_receipts = (receipt.content_sha256 for receipt in document.receipts)
    known = set(of_receipts if document.handed is None else document.handed)
    archives: set[str] = set()
    if document.handed is None:  # of a version that kept none: receipts tell no more of an archive than its name
        parts = map(split_member, (receipt.source for receipt in document.receipts))
        archives = {archive for archive, member in parts if member}
    other = [
        one.path
        for one in handed
        if one.path is not None and one.beside is None
        if str(archive_of(one.path)[0]) not in archives and known.isdisjoint(_ids(one.path, whole))
    ]
    if other:
        raise InputError(
            f"run {run_id!r} has taken in other files",
            where=", ".join(map(str, other)),
            next_step="hand over the same files, which are told by their bytes, or leave --run-id out to start a new "
            "run with these",
        )


def _ids(path: Path, hashed: Callable[[Path], str]) -> tuple[str, ...]:
    """The id of a file; of one of an archive that of the archive before it."""
    archive, member = archive_of(path)
    whole = hashed(archive)
    if member is None:
        return (whole,)
    return whole, hashlib.sha256(f"{whole} {member}".encode(errors="surrogateescape")).hexdigest()


def _stamp(path: Path) -> _Stamp:
    try:
        status = split_sheet(archive_of(path)[0])[0].stat()
    except OSError:
        return _GONE
    return status.st_size, status.st_mtime_ns, status.st_ino
