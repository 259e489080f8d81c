"""Folders for what is in between: gone when they are given back, and after a kill with the next that is lent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from trunkline.lake.locks import alone, is_held

__all__ = ["scratch_folder"]

_PATIENCE_S = 60.0


@contextmanager
def scratch_folder(parent: Path, *, purpose: str) -> Iterator[Path]:
    """Lend an empty folder; folders of the same purpose whose process was killed are removed first.

    Args:
        parent: Where it is made, e.g. the workspace's ``tmp``.
        purpose: How its name begins; no purpose there begins with another and a hyphen.

    Raises:
        BusyError: Another process was removing such folders for a minute.
    """
    import fcntl

    with alone(parent / f"{purpose}.lock", what=f"scratch folders ({purpose})", timeout_s=_PATIENCE_S):
        for left in parent.glob(f"{purpose}-*"):
            if not is_held(left):
                rmtree(left, ignore_errors=True)  # its owner may be giving it back just now
        folder = Path(mkdtemp(prefix=f"{purpose}-", dir=parent))
        borrowed = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(borrowed, fcntl.LOCK_EX)  # the kernel lets go of it when this process ends, however it ends
    try:
        yield folder
    finally:
        rmtree(folder)
        os.close(borrowed)
