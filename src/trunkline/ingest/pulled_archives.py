"""Archives that a pulled source gives: their files land as pieces of their own, one after the other.

The position of the source moves with the last of them. Killed before that, the source gives the archive again, and
what has landed of it is left out: its files from the first on, as long as they are the same in the same order. Where
a file of it cannot be read, the archive itself lands behind the others: it waits, and its error is told at each pull,
until somebody sees to it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from trunkline.errors import SourceError
from trunkline.ingest.archives import is_archive, members
from trunkline.ingest.beside_data import Beside
from trunkline.ingest.landing import Landed
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.settings.ingest import IngestSettings

__all__ = ["Part", "archive_fault", "unpacked"]


@dataclass(frozen=True)
class Part:
    """What lands of what a source gave.

    Attributes:
        path: A whole file; it is moved away.
        origin: Where it came from, for people, without secrets.
        position: Where the source goes on once it has landed; None where that is still its beginning.
        so_far_sha256: The files of its archive up to it, where more is to come; see :class:`Landed`.
    """

    path: Path
    origin: str
    position: Position | None
    so_far_sha256: str | None = None


def unpacked(
    pulled: Pulled,
    *,
    landed: Sequence[Landed],
    folder: Path,
    limits: IngestSettings,
    passed: Callable[[str, Beside], None],
) -> Iterator[Part]:
    """Give the files of an archive, each as a part of what a source gave; anything else is given as it is.

    Args:
        pulled: What the source gave.
        landed: The pieces of the source before it.
        folder: A folder on the landing zone's file system, for its files.
        limits: How many files it may hold, and how far it may unpack.
        passed: Told of each file that is passed over: its name, and what it is.

    Yields:
        Parts whose files are moved away before the next one is asked for.

    Raises:
        UnavailableError: The disk did not take a file.
    """
    if not is_archive(pulled.path):
        yield Part(pulled.path, pulled.origin, pulled.position)
        return
    before = landed[-1].position if landed else None
    known = _begun(pulled, landed)
    so_far = ""
    last: Part | None = None
    is_whole = True
    try:
        for member in members(pulled.path, folder=folder, limits=limits):
            if member.beside is not None:
                passed(f"{pulled.origin}#{member.name}", member.beside)
                continue
            if member.path is None:
                is_whole = False
                continue
            if last is not None:
                yield from _unless_landed(last, known)
            so_far = hashlib.sha256(f"{so_far} {_digest(member.path)} {member.name}".encode()).hexdigest()
            last = Part(member.path, f"{pulled.origin}#{member.name}", before, so_far)
    except SourceError:
        is_whole = False
    if last is not None and is_whole:
        yield replace(last, position=pulled.position, so_far_sha256=None)
    elif last is not None:
        yield from _unless_landed(last, known)
    if not is_whole:
        yield Part(pulled.path, pulled.origin, pulled.position)


def archive_fault(path: Path, *, folder: Path, limits: IngestSettings) -> SourceError:
    """Say why an archive landed as a whole.

    Args:
        path: The archive.
        folder: For its files, one by one.
        limits: How many files it may hold, and how far it may unpack.
    """
    try:
        with closing(members(path, folder=folder, limits=limits)) as found:
            for member in found:
                if member.error is not None:
                    return member.error
                if member.path is not None:
                    member.path.unlink()
    except SourceError as error:
        return error
    return SourceError(
        "the archive landed as a whole", where=str(path), next_step="hand it over: trunkline ingest USECASE FILE"
    )


def _begun(pulled: Pulled, landed: Sequence[Landed]) -> set[str | None]:
    """What has landed of an archive since the source last gave something whole under its name."""
    own = (one for one in reversed(landed) if one.origin == pulled.origin or one.origin.startswith(f"{pulled.origin}#"))
    return {one.so_far_sha256 for one in takewhile(lambda one: one.so_far_sha256 is not None, own)}


def _unless_landed(part: Part, known: set[str | None]) -> Iterator[Part]:
    if part.so_far_sha256 in known:
        part.path.unlink()
    else:
        yield part


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
