"""Archives of several files: tar, packed or not, and ZIP; their members one after the other, each as a file.

Takes an archive and a folder, gives each member unpacked there under a name made here, so that no name in an archive
leads anywhere. A member that is no plain file (a link, a device, an archive again), is encrypted or damaged is given
with its error and stops no other; an archive that breaks off, holds more than the settings allow, or goes on behind its
end is an error after the members before it. A packed tar is unpacked to its end before that: checksums stand behind
what they are of, so where one does not fit nothing is given. One member is on its way at a time, block by block.
"""

import re
import stat
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from trunkline.errors import SourceError, TrunklineError, UnavailableError
from trunkline.ingest.beside_data import Beside, beside_data
from trunkline.ingest.byte_stream import PACKINGS, TAR_PACKINGS, ByteStream, Expanding, Packing, Soundness
from trunkline.ingest.raw import told_suffixes
from trunkline.ingest.tar_stream import BrokenArchiveError, TarStream
from trunkline.ingest.zip_directory import DIRECTORY_BYTES, directory_bytes, opened_zip
from trunkline.settings.ingest import IngestSettings

__all__ = ["Member", "archive_of", "first_file", "is_archive", "members", "refuse_archive", "split_member"]

_NESTED: Final = (*TAR_PACKINGS, ".zip", ".7z", ".rar")
_BLOCK_BYTES: Final = 1 << 20
_ENCRYPTED: Final = 1
_LONGEST_NAME: Final = 400
_LONGEST_FILE: Final = 60
_PART: Final = re.compile(
    r"(.+?\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz|tbz2|txz|tzst|zip))#(.+)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes:
        name: Its path within the archive, as text that can be shown.
        path: The file, unpacked; to be removed by who asked for it. None where it is refused or passed over.
        error: Why it is refused.
        beside: What it is where it surely holds no rows, and is passed over.
    """

    name: str
    path: Path | None
    error: SourceError | None = None
    beside: Beside | None = None


def split_member(source: str) -> tuple[str, str | None]:
    """Take ``ARCHIVE#MEMBER`` apart.

    Returns:
        The archive, and the member's path within it; None where none is named.

    >>> split_member("/in/pm.tar.gz#day/a.xml")
    ('/in/pm.tar.gz', 'day/a.xml')
    >>> split_member("/in/book.xlsx#March")
    ('/in/book.xlsx#March', None)
    """
    found = _PART.fullmatch(source)
    return (found[1], found[2]) if found else (source, None)


def archive_of(path: Path) -> tuple[Path, str | None]:
    """Take the path of a member apart, see :func:`split_member`; a file of the whole name is itself."""
    archive, member = split_member(str(path))
    return (path, None) if member is None or path.exists() else (Path(archive), member)


def is_archive(path: Path) -> bool:
    """Say whether a file is an archive of several files: a tar by its name, a ZIP by what is in it.

    A ZIP of one file is that file, packed; what cannot be opened is left to the reader of files.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if _is_tar(suffixes):
        return path.is_file()
    if suffixes[-1:] != [".zip"] or not path.is_file():
        return False
    try:
        if directory_bytes(path) > DIRECTORY_BYTES:
            return True
        with opened_zip(path) as archive:
            return sum(not info.is_dir() for info in archive.infolist()) > 1
    except Exception:  # noqa: BLE001 - whatever hostile bytes do to the library, the reader of files says it
        return False


def refuse_archive(path: Path) -> None:
    """Refuse to read an archive as if it were one file.

    Raises:
        SourceError: The name is that of an archive of several files.
    """
    if _is_tar([suffix.lower() for suffix in path.suffixes]):
        raise SourceError(
            "an archive of several files is no file of rows itself",
            where=str(path),
            next_step="take it in with `trunkline ingest`, which reads its files one by one, or unpack it",
        )


def members(
    path: Path,
    *,
    folder: Path,
    limits: IngestSettings,
    only: str | None = None,
    passes_over: bool = True,
    soundness: Callable[[ByteStream], Soundness] | None = None,
) -> Generator[Member, None, None]:
    """Unpack the files of an archive, in its order.

    Files that surely hold no rows (:mod:`trunkline.ingest.beside_data`) are passed over, unless one is asked for.

    Args:
        path: The archive.
        folder: An empty folder for the files.
        limits: How many files it may hold, and how far it may unpack.
        only: The one that is asked for; None gives all.
        passes_over: False unpacks what surely holds no rows, too.
        soundness: Says how a packed tar is packed; None unpacks it to its end for that. Who says "whole" unseen is
            given files that no checksum vouches for.

    Yields:
        Each file, unpacked, refused or passed over.

    Raises:
        SourceError: The archive is damaged, breaks off, holds nothing, or more than it may. What was given before
            stands.
        UnavailableError: The disk did not take a file.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    read = _tar_members if _is_tar(suffixes) else _zip_members
    wanted = _Wanted(only, passes_over=passes_over, soundness=soundness or ByteStream.soundness)
    has_data = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = read(ByteStream(path, _packing(suffixes), limits), folder, wanted)
        for number, member in enumerate(found, start=1):
            has_data = has_data or member.beside is None
            _refuse_many(path, number, limits)
            yield member
    except TrunklineError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever hostile bytes do to the libraries is the archive's fault
        raise _damaged(path, error) from None
    if not has_data:
        raise SourceError(
            "the archive holds no data file" if only is None else f"the archive holds no file {only[:120]!r}",
            where=str(path),
            next_step="see what is in it, and how it was packed",
        )


@contextmanager
def first_file(path: Path, *, limits: IngestSettings, folder: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Lend the first file of an archive that can be read, or the one that ``ARCHIVE#MEMBER`` names.

    A packed tar is unpacked no further than that file, so checksums behind it are not looked at.

    Args:
        path: An archive, or any other file.
        limits: How many files it may hold, and how far it may unpack.
        folder: Where it is unpacked; None takes the system's folder for what is temporary.

    Yields:
        The file, under its own name, and its path within the archive; any other file as it is, and no text.

    Raises:
        SourceError: The archive is damaged, or holds no such file.
    """
    archive, only = archive_of(path)
    if only is None and not is_archive(archive):
        yield path, ""
        return
    with tempfile.TemporaryDirectory(prefix="trunkline-archive-", dir=folder) as name, ExitStack() as stack:
        found = members(archive, folder=Path(name), limits=limits, only=only, soundness=lambda _stream: "whole")
        stack.callback(found.close)
        error: SourceError | None = None
        for member in found:
            if member.path is not None:
                shown = member.path.with_name(PurePosixPath(member.name).name[-_LONGEST_FILE:])
                yield member.path.rename(shown), member.name
                return
            error = error or member.error
    assert error is not None, "an archive without a file is refused"
    raise error


@dataclass(frozen=True)
class _Wanted:
    """Which files of an archive are asked for; the arguments are those of :func:`members`."""

    only: str | None
    passes_over: bool
    soundness: Callable[[ByteStream], Soundness]

    def is_asked(self, name: str) -> bool:
        return self.only in (None, name)

    def beside(self, name: str) -> Beside | None:
        """What a file is that is passed over; nothing in an archive is still being written."""
        found = beside_data(name) if self.passes_over and self.only is None else None
        return None if found == "unfinished file" else found


def _tar_members(source: ByteStream, folder: Path, wanted: _Wanted) -> Iterator[Member]:
    soundness = "whole" if source.packing is None else wanted.soundness(source)
    if soundness == "damaged":
        raise SourceError(
            "the archive is damaged",
            where=f"{source.path} (its bytes are not those that were packed)",
            next_step="export it again; nothing of it was taken in",
        )
    with source.stream() as stream:
        forward = TarStream(stream)
        yield from _files_of_tar(source, forward, folder, wanted, is_whole=soundness == "whole")
        forward.refuse_rest()


def _files_of_tar(
    source: ByteStream, forward: TarStream, folder: Path, wanted: _Wanted, *, is_whole: bool
) -> Iterator[Member]:
    """Give the files of a tar; where its stream breaks off, each once the header behind it has been read.

    Damage may look as if the stream broke off: rubbish runs from there to the end, and no header is in it.
    """
    held: Member | None = None
    number = 0
    try:
        with tarfile.TarFile(fileobj=cast("IO[bytes]", forward), mode="r", encoding="utf-8") as archive:
            while True:
                forward.begin_header()
                info = archive.next()
                if info is None:
                    break
                archive.members = []  # type: ignore[attr-defined]  # they would be kept for as long as it is read
                before, held = held, None
                if before is not None:
                    yield before
                name = _shown(info.name)
                if info.isdir() or not wanted.is_asked(name):
                    continue
                if (beside := wanted.beside(name)) is not None:
                    yield Member(name, None, beside=beside)
                    continue
                number += 1
                error = _refusal(source.path, name, "" if info.isreg() and not info.issparse() else _kind(info))
                if error is not None:
                    yield Member(name, None, error)
                    continue
                path = folder / f"{number}{''.join(told_suffixes(name))}"
                _write(path, forward.content(info.size))
                member = Member(name, path)
                if is_whole:
                    yield member
                else:
                    held = member
    finally:
        if held is not None and held.path is not None:
            held.path.unlink()


def _refuse_many(path: Path, given: int, limits: IngestSettings) -> None:
    if given > limits.max_archive_files:
        raise SourceError(
            f"the archive holds more than {limits.max_archive_files:,} files",
            where=str(path),
            next_step="take it in in parts, or raise the setting ingest.max_archive_files",
        )


def _kind(info: tarfile.TarInfo) -> str:
    return "a link" if info.issym() or info.islnk() else "a sparse file" if info.issparse() else "no plain file"


def _zip_members(source: ByteStream, folder: Path, wanted: _Wanted) -> Iterator[Member]:
    if directory_bytes(source.path) > DIRECTORY_BYTES:
        raise SourceError(
            f"the directory of the archive takes more than {DIRECTORY_BYTES >> 20} MiB",
            where=str(source.path),
            next_step="pack its files into several archives",
        )
    with opened_zip(source.path) as archive:
        counted = Expanding(source)
        for number, info in enumerate(archive.infolist()):
            name = _shown(info.filename)
            if info.is_dir() or not wanted.is_asked(name):
                continue
            if (beside := wanted.beside(name)) is not None:
                yield Member(name, None, beside=beside)
                continue
            kind = "a link" if stat.S_ISLNK(info.external_attr >> 16) else ""
            kind = "encrypted" if info.flag_bits & _ENCRYPTED else kind
            error = _refusal(source.path, name, kind)
            if error is not None:
                yield Member(name, None, error)
                continue
            path = folder / f"{number}{''.join(told_suffixes(name))}"
            try:
                with archive.open(info) as content:
                    _write(path, _counted(content, counted))
            except TrunklineError:
                raise
            except Exception as damage:  # noqa: BLE001 - whatever is wrong with one file, the others are read
                path.unlink(missing_ok=True)
                yield Member(name, None, _damaged(source.path, damage, name))
            else:
                yield Member(name, path)


def _counted(content: IO[bytes], counted: Expanding) -> Iterator[bytes]:
    while block := content.read(_BLOCK_BYTES):
        counted.add(len(block))
        yield block


def _write(path: Path, content: Iterable[bytes]) -> None:
    blocks = iter(content)
    try:
        file = path.open("wb")
    except OSError as error:
        raise _full(path, error) from error
    with file:
        for block in blocks:
            try:
                file.write(block)
            except OSError as error:
                raise _full(path, error) from error


def _full(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"the disk did not take a file of an archive: {error.strerror}",
        where=str(path.parent),
        next_step="make room on the disk, and take the archive in again",
    )


def _refusal(path: Path, name: str, kind: str) -> SourceError | None:
    """Say why a member is not read; None where nothing speaks against it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not kind and (".." in parts or parts[:1] == ("/",)):
        kind = "named as if it lay outside of the archive"
    if not kind and name.lower().endswith(tuple(f"{one}{pack}" for one in _NESTED for pack in ("", *PACKINGS))):
        kind = "an archive itself"
    if not kind:
        return None
    return SourceError(
        f"a file of the archive is {kind}, and is not read",
        where=f"{path}#{name}",
        next_step="unpack the archive where it comes from, and hand over the file itself",
    )


def _shown(name: str) -> str:
    """A member's name as text that can be written down: what is no character of a name is replaced."""
    text = name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return text.removeprefix("./")[:_LONGEST_NAME]


def _is_tar(suffixes: list[str]) -> bool:
    is_packed = suffixes[-1:] != [] and suffixes[-1] in PACKINGS and suffixes[-1] != ".zip"
    return suffixes[-1:] != [] and (suffixes[-1] in TAR_PACKINGS or (is_packed and suffixes[-2:-1] == [".tar"]))


def _packing(suffixes: list[str]) -> Packing | None:
    return TAR_PACKINGS[suffixes[-1]] if suffixes[-1] in TAR_PACKINGS else PACKINGS[suffixes[-1]]


def _damaged(path: Path, error: Exception, name: str = "") -> SourceError:
    detail = str(error) if isinstance(error, BrokenArchiveError) else type(error).__name__
    return SourceError(
        "a file of the archive is damaged" if name else "the archive is damaged, or breaks off",
        where=f"{path}#{name} ({detail})" if name else f"{path} ({detail})",
        next_step="let its export finish, or export it again; the files that could be read are taken in",
    )
