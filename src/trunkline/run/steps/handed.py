"""Files that were handed over to a run, told by their bytes: whoever goes on with the run hands over the same ones.

Names do not tell them, since files are moved and replaced; nor do receipts: those of an archive or of a recording are
of what was in it.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trunkline.errors import InputError, SourceError
from trunkline.ingest.archives import archive_of, split_member
from trunkline.ingest.files import content_sha256
from trunkline.run.resolving import Handed
from trunkline.run.steps.documents import IngestDocument

__all__ = ["handed_sha256", "refuse_other_files"]


def handed_sha256(handed: Sequence[Handed]) -> tuple[str, ...]:
    """Hash the files among sources, sorted; one of an archive by the archive and its name.

    A file that cannot be read has none: taking it in says what is wrong with it.
    """
    found: set[str] = set()
    for one in handed:
        if one.path is not None and one.beside is None:
            with suppress(SourceError):
                found.add(_ids(one.path)[-1])
    return tuple(sorted(found))


def refuse_other_files(document: IngestDocument, handed: Sequence[Handed], *, run_id: str) -> None:
    """Hold files against those that a run has taken in; some of them are enough, and so is one file of an archive.

    Args:
        document: What it has taken in.
        handed: What is handed over to go on with it.
        run_id: The run.

    Raises:
        InputError: There are others among them.
        SourceError: One cannot be read.
    """
    known = {receipt.content_sha256 for receipt in document.receipts} if document.handed is None else document.handed
    archives: set[str] = set()
    if document.handed is None:  # of a version that kept none: receipts tell no more of an archive than its name
        parts = map(split_member, (receipt.source for receipt in document.receipts))
        archives = {archive for archive, member in parts if member}
    other = [
        one.path
        for one in handed
        if one.path is not None and one.beside is None
        if str(archive_of(one.path)[0]) not in archives and not set(_ids(one.path)) & set(known)
    ]
    if other:
        raise InputError(
            f"run {run_id!r} has taken in other files",
            where=", ".join(map(str, other)),
            next_step="hand over the same files, which are told by their bytes, or leave --run-id out to start a new "
            "run with these",
        )


def _ids(path: Path) -> tuple[str, ...]:
    """The id of a file; of one of an archive that of the archive before it."""
    archive, member = archive_of(path)
    whole = content_sha256(archive)
    if member is None:
        return (whole,)
    return whole, hashlib.sha256(f"{whole} {member}".encode(errors="surrogateescape")).hexdigest()
