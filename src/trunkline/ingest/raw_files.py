"""Raw copies as files: written packed and encrypted as a stream, lent in clear without a name on any disk.

Takes the keys of a workspace and what a piece is (table, source, number, content), to which its ciphertext is bound: a
copy that was changed, cut, or put in another's place does not open. What is lent lies in a file that has no name any
more, reached through a link into ``/proc``: whoever is killed meanwhile leaves nothing behind.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from trunkline.checks.sealing import SealedStream, opened_stream
from trunkline.errors import UnavailableError
from trunkline.ingest.raw import unreadable

if TYPE_CHECKING:
    from trunkline.lake import Keyring

__all__ = ["SEALED", "Writing", "blocks", "full", "holds", "lent_file", "nameless_file", "touched_at", "written"]

SEALED: Final = ".sealed"
"""The last suffix of an encrypted copy."""

_BLOCK_BYTES: Final = 4 << 20
_PURPOSE: Final = "landing"
_OPEN_FILES: Final = Path("/proc/self/fd")


@dataclass
class Writing:
    """A copy that is being written.

    Attributes:
        write: Takes its bytes.
        bound: What it is, where it is encrypted; known at its end.
    """

    write: Callable[[bytes], object]
    bound: str = ""


@contextmanager
def written(copy: Path, *, plain: bool, keys: "Keyring | None") -> Iterator[Writing]:
    """Write a file.

    Args:
        copy: The file.
        plain: It is not compressed.
        keys: The keys of the workspace, where it is to be encrypted; None where it is not.

    Raises:
        InputError: The keys cannot be read or made.
        UnavailableError: The disk did not take it.
    """
    import pyarrow as pa

    try:
        with copy.open("wb") as out:
            sealed = None if keys is None else SealedStream(out, keys, purpose=_PURPOSE)
            writing = Writing(out.write if sealed is None else sealed.write)
            if plain:
                yield writing
            else:
                with pa.CompressedOutputStream(out if sealed is None else sealed, "zstd") as packed:
                    writing.write = packed.write
                    yield writing
            if sealed is not None:
                sealed.finish(bound=writing.bound)
    except OSError as error:
        raise full(copy.parent, error) from error


def holds(path: Path, content_sha256: str) -> bool:
    """Tell whether a copy in clear still has the content that it was made of: as it is, or packed by :func:`written`.

    Raises:
        OSError: It cannot be read.
    """
    import pyarrow as pa

    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() == content_sha256:
            return True
    if path.suffix != ".zst":
        return False
    try:
        with pa.input_stream(path, compression="zstd") as unpacked:
            return hashlib.file_digest(unpacked, "sha256").hexdigest() == content_sha256
    except OSError:
        return False


@contextmanager
def lent_file(path: Path, keys: "Keyring", *, bound: str) -> Iterator[Path]:
    """Lend an encrypted copy in clear.

    Args:
        path: The copy.
        keys: The keys of the workspace.
        bound: What it is.

    Yields:
        A path with the suffixes of the clear file, good until the block is left.

    Raises:
        InputError: The keys cannot be read.
        TamperedError: A key is lost, or the copy was changed, cut or exchanged.
        OSError: It cannot be read, or the disk is full.
    """
    with path.open("rb") as source:
        chunks = opened_stream(source, keys, purpose=_PURPOSE, bound=bound)
        with nameless_file(path.parent, path.name.removesuffix(SEALED), chunks) as clear:
            yield clear


@contextmanager
def nameless_file(folder: Path, name: str, content: Iterable[bytes]) -> Iterator[Path]:
    """Lend a file that is nowhere on the disk by name, so that whoever is killed leaves nothing behind.

    Args:
        folder: On whose file system its bytes are.
        name: What the path that is lent ends with.
        content: Its bytes.

    Yields:
        A path, good until the block is left.

    Raises:
        OSError: The disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="trunkline-") as links, tempfile.TemporaryFile(dir=folder) as clear:
        for part in content:
            clear.write(part)
        clear.flush()
        link = Path(links) / name
        if _OPEN_FILES.is_dir():
            link.symlink_to(f"/proc/{os.getpid()}/fd/{clear.fileno()}")
        else:  # a system without /proc: a file that its owner alone can read, until the block is left
            clear.seek(0)
            with link.open("wb") as out:
                while block := clear.read(_BLOCK_BYTES):
                    out.write(block)
        yield link


def blocks(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """Read a file in large blocks.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    except OSError as error:
        raise unreadable(path, error) from error


def full(where: Path, error: OSError) -> UnavailableError:
    """Say that a disk did not take a file."""
    return UnavailableError(
        f"the landing zone did not take a file: {error.strerror}",
        where=str(where),
        next_step="make room on the disk; nothing was lost, the next call tries again",
    )


def touched_at(path: Path) -> float | None:
    """Give the newest time of change in a file or folder, seconds since 1970; None where it cannot be told.

    A folder's own time stands still while a file in it grows.
    """
    try:
        newest = path.lstat().st_mtime
        if path.is_dir():
            for folder, folders, files in os.walk(path, onerror=_raised):
                newest = max([newest, *(os.lstat(Path(folder, name)).st_mtime for name in (*folders, *files))])
    except OSError:
        return None
    return newest


def _raised(error: OSError) -> None:
    raise error
