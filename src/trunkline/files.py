"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "sync"]


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a name to write a file under; at the end of the block the file takes its own name at once.

    Who reads meanwhile sees the file of before, or the whole new one. Threads and processes that write the same file
    at once do not disturb each other: the last one's stays. If the block fails, the file of before stays and nothing
    else is left; a process that is killed leaves a hidden file ``.NAME.*.part`` beside it.

    Args:
        path: The file that is to appear; its folder must be there.
        durable: Whether bytes and name are to outlive a power cut, for what others rest on.

    Yields:
        A name of its own in the same folder; nothing is there yet.

    Raises:
        OSError: The disk did not take it, or the block has written no file.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield part
        if durable:
            sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, outlive a power cut.

    Raises:
        OSError: The disk did not take them.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
