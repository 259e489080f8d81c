"""Where files that a command writes may go: into a folder that is there.

A folder that is missing is more often a misspelt path than a wish, so it is refused before anything is computed.
Commands that write a folder of files (``--out`` of ``simulate``) make that folder.
"""

from pathlib import Path

from trunkline.errors import InputError

__all__ = ["refuse_unwritable"]


def refuse_unwritable(out: Path) -> None:
    """Refuse a path at which no file can appear.

    Raises:
        InputError: Its folder does not exist, or a folder stands there.
    """
    if out.is_dir():
        raise InputError("a folder stands where the file is to go", where=str(out), next_step="name a file")
    if not out.parent.is_dir():
        raise InputError(
            "the folder of the file does not exist", where=str(out.parent), next_step="make it, or name another"
        )
