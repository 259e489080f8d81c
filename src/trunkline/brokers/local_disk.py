"""Whether a folder lies on a disk of this host, as SQLite's WAL needs: its index is memory that all its users share.

Takes a folder, gives the kind of its file system as the kernel tells it; refuses those that other hosts, or a process,
serve. Where the kernel has no such table (systems other than Linux) nothing is known, and nothing is refused.
Source: https://www.sqlite.org/wal.html, "All processes using a database must be on the same host computer".
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trunkline.errors import InputError

__all__ = ["FileSystem", "file_system_of", "refuse_far_disk"]

_MOUNTS: Final = Path("/proc/self/mountinfo")
_FAR: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs"),
    }
)
"""Served by other hosts, or by a process that may pass on what other hosts serve."""
_NEAR_FUSE: Final = frozenset({"fuse.fuse-overlayfs"})
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system.

    Attributes:
        kind: As the kernel names it: ext4, nfs4, fuse.sshfs.
        mount: Where it is mounted.
    """

    kind: str
    mount: Path

    @property
    def is_far(self) -> bool:
        """Whether it may not be a disk of this host.

        >>> FileSystem("nfs4", Path("/net")).is_far, FileSystem("xfs", Path("/")).is_far
        (True, False)
        """
        return self.kind not in _NEAR_FUSE and self.kind.partition(".")[0] in _FAR


def file_system_of(folder: Path) -> FileSystem | None:
    """Give the file system that a folder is on, or will be on when it is made; None where the kernel does not say.

    Args:
        folder: The folder.
    """
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = folder.resolve()
    found: FileSystem | None = None
    for line in lines:
        said, _, kind = line.partition(" - ")
        mount = Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), said.split(" ")[4]))
        if place.is_relative_to(mount) and (found is None or mount.is_relative_to(found.mount)):
            found = FileSystem(kind.split(" ")[0], mount)  # of two at one place the later hides the earlier
    return found


def refuse_far_disk(folder: Path) -> None:
    """Refuse a folder whose file system may not be a disk of this host.

    Raises:
        InputError: It is not.
    """
    found = file_system_of(folder)
    if found is not None and found.is_far:
        raise InputError(
            f"the durable log would lie on {found.kind}, mounted at {found.mount}, and needs a disk of this host: two "
            "hosts that write to it would damage it",
            where=str(folder),
            allowed=("a local disk", "a broker named by broker.url"),
            next_step="put the workspace, or its folder log, on a local disk; or name Kafka or RabbitMQ (broker.url); "
            'or, where no other host ever opens it, set broker.network_disk = "allow"',
        )
