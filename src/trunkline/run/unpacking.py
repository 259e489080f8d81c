"""Files that hold files, unpacked before they are taken in: recordings of a use case, and archives of several files.

Takes sources and hands on, in windows that need bounded room on the disk, files that can be read; gives what became of
each under the name of what was handed over. A recording that the use case claims is taken apart by it, whether it is an
archive or not; the files of any other archive come in one by one, in its order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError, TrunklineError
from trunkline.ingest.archives import archive_of, is_archive, members
from trunkline.ingest.byte_stream import ByteStream, Soundness
from trunkline.run.outcomes import Outcome
from trunkline.run.recordings import recording_rows
from trunkline.run.resolving import Handed
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    from trunkline.spec import UseCase

__all__ = ["Part", "is_whole", "let_speak_of", "parts_of", "taken_apart"]

_WINDOW_BYTES: Final = 512 << 20
_WINDOW_FILES: Final = 2_000


@dataclass(frozen=True)
class Part:
    """A file that can be read.

    Attributes:
        handed: The file.
        whole: What was handed over, under whose name it is told; None where it is the file itself.
        member: Which file of an archive it is; empty for any other.
    """

    handed: Handed
    whole: Handed | None = None
    member: str = ""


def is_whole(usecase: "UseCase", one: Handed) -> bool:
    """Say whether a source is surely taken in as it is, so that nothing of it needs room to be unpacked."""
    if one.path is None or one.beside is not None:
        return True
    archive, member = archive_of(one.path)
    return not usecase.recordings and member is None and not is_archive(archive)


def parts_of(
    usecase: "UseCase", handed: Sequence[Handed], *, folder: Path, limits: IngestSettings
) -> Iterator[Part | Outcome]:
    """Unpack sources one after the other; files that need none are given as they are.

    Args:
        usecase: Says what recordings look like.
        handed: The sources.
        folder: An empty folder; what is unpacked there is to be removed by the caller.
        limits: How large files and archives may be.

    Yields:
        A file, the error of one that cannot be unpacked, or what is passed over.

    Raises:
        UnavailableError: The disk did not take a file.
    """
    soundness = cache(ByteStream.soundness)  # several may be files of one archive
    for number, one in enumerate(handed):  # several may have one name
        yield from _parts(usecase, one, folder=folder / str(number), limits=one.limits(limits), soundness=soundness)


def _parts(
    usecase: "UseCase",
    one: Handed,
    *,
    folder: Path,
    limits: IngestSettings,
    soundness: Callable[[ByteStream], Soundness],
) -> Iterator[Part | Outcome]:
    if one.beside is not None:
        yield Outcome(one, None, None, beside=one.beside)
        return
    try:
        rows = recording_rows(usecase, one, folder=folder, limits=limits)
        if rows is not one:
            yield Part(rows, one)
            return
        archive, only = (None, None) if one.path is None else archive_of(one.path)
        if archive is None or not (only or is_archive(archive)):
            yield Part(one)
            return
        found = members(archive, folder=folder, limits=limits, only=only, soundness=soundness)
        for number, member in enumerate(found):
            whole = replace(one, name=f"{one.name}#{member.name}" if only is None else one.name)
            if member.path is None:
                yield Outcome(whole, None, member.error, member=member.name, beside=member.beside)
                continue
            inside = replace(whole, path=member.path, origin=f"{archive}#{member.name}")
            try:
                rows = recording_rows(usecase, inside, folder=folder / f"of-{number}", limits=limits)
            except SourceError as error:
                let_speak_of(inside, error)
                member.path.unlink()
                yield Outcome(whole, None, error, member=member.name)
                continue
            if rows is not inside:
                member.path.unlink()
            yield Part(rows, whole, member.name)
    except SourceError as error:
        yield Outcome(one, None, error)


def taken_apart(
    parts: Iterator[Part | Outcome], *, take: Callable[[Sequence[Handed]], Iterator[Outcome]], at_once: bool
) -> Iterator[Outcome]:
    """Take files in, in windows; what was unpacked for one goes with it.

    Args:
        parts: From :func:`parts_of`.
        take: Takes files and other sources in.
        at_once: All of them are one window: their order is not that in which they come.

    Yields:
        One outcome per file and piece, of what was handed over.
    """
    window = _Window()
    for part in parts:
        if isinstance(part, Outcome):
            yield part
            continue
        window.add(part)
        if not at_once and window.is_full:
            yield from window.taken(take)
            window = _Window()
    yield from window.taken(take)


@dataclass
class _Window:
    """Files that are taken in together."""

    handed: list[Handed] = field(default_factory=list)
    parts: dict[Path, Part] = field(default_factory=dict)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size >= _WINDOW_BYTES or len(self.parts) >= _WINDOW_FILES

    def add(self, part: Part) -> None:
        self.handed.append(part.handed)
        if part.whole is not None and part.handed.path is not None:
            self.parts[part.handed.path] = part
            self.size += part.handed.path.stat().st_size

    def taken(self, take: Callable[[Sequence[Handed]], Iterator[Outcome]]) -> Iterator[Outcome]:
        for outcome in take(self.handed):
            path = outcome.handed.path
            part = None if path is None else self.parts.get(path)
            if part is None or path is None or part.whole is None:
                yield outcome
                continue
            path.unlink(missing_ok=True)
            if outcome.error is not None:
                let_speak_of(part.handed, outcome.error)
            whole = replace(part.whole, dataset=outcome.handed.dataset)
            yield replace(outcome, handed=whole, member=part.member, is_part=True)


def let_speak_of(part: Handed, error: TrunklineError) -> None:
    """Let an error speak of what was handed over, not of what was unpacked."""
    if part.path is not None and part.origin is not None:
        error.where = error.where.replace(str(part.path), part.origin)
