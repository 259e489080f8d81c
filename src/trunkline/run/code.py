"""Which version of the package runs: its number and, in a checkout of its own, the commit."""

import subprocess
from functools import cache
from pathlib import Path

from trunkline import __version__

__all__ = ["code_version", "commit_of"]

_TIMEOUT_S = 5


@cache
def code_version() -> str:
    """Version of the package and, in a checkout, the commit; the same for the life of the process."""
    commit = commit_of(Path(__file__).resolve())
    return f"{__version__}+{commit}" if commit else __version__


def commit_of(file: Path) -> str:
    """Describe the commit that a file belongs to.

    Returns:
        What ``git describe --always --dirty`` says; empty without git, outside a repository, and where a repository
        only encloses the folder (an environment inside somebody's project) and does not know the file.
    """
    if _git(file.parent, "ls-files", "--error-unmatch", "--", file.name) is None:
        return ""
    return _git(file.parent, "describe", "--always", "--dirty") or ""


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None where it refuses."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
