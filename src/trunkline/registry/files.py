"""Files that are there whole or not at all, and proof that they are what was written.

A file or folder appears under its name by one ``rename`` after its bytes are on disk, so that a process killed at any
moment leaves the old content or the new, never a part. Temporary names lie in the same folder (the same file system)
and start with a dot; leftovers of a killed process are removed by the next writer of the same name.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from trunkline.errors import SourceError, TamperedError
from trunkline.files import sync
from trunkline.settings import drills

__all__ = ["copy_folder", "hash_folder", "sync", "verify_folder", "write_file"]

_BLOCK_BYTES = 1 << 20


def write_file(path: Path, content: bytes, *, point: str) -> None:
    """Replace a file's content durably and atomically.

    Args:
        path: The file; its folder is made where it is absent.
        content: All its bytes.
        point: Prefix of the drill points ``.before_fsync``, ``.before_rename``, ``.after_rename``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        drills.point(f"{point}.before_fsync")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    drills.point(f"{point}.before_rename")
    temporary.replace(path)
    drills.point(f"{point}.after_rename")
    sync(path.parent)


def copy_folder(source: Path, *, to: Path, point: str) -> dict[str, str]:
    """Copy a folder durably; it appears under its new name at once. A folder already there is replaced.

    Args:
        source: A folder of regular files, possibly nested.
        to: The new folder.
        point: Prefix of the drill points ``.before_fsync``, ``.before_rename``, ``.after_rename``.

    Returns:
        SHA-256 of each file by its path inside the folder, ``/`` between parts, of the bytes that were copied.

    Raises:
        SourceError: ``source`` is not a folder, is empty, or holds something that is not a regular file.
    """
    paths = _files(source)
    to.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = to.with_name(f".{to.name}.new"), to.with_name(f".{to.name}.old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    hashes = {}
    for path in paths:
        name = path.relative_to(source).as_posix()
        target = temporary / name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        target.write_bytes(content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    drills.point(f"{point}.before_fsync")
    for path in (temporary, *temporary.rglob("*")):
        sync(path)
    drills.point(f"{point}.before_rename")
    if to.exists():  # left by a process that was killed before it could tell anybody
        to.rename(old)
    temporary.rename(to)
    drills.point(f"{point}.after_rename")
    sync(to.parent)
    shutil.rmtree(old, ignore_errors=True)
    return hashes


def hash_folder(folder: Path) -> dict[str, str]:
    """Hash every file of a folder.

    Returns:
        SHA-256 by path inside the folder, ``/`` between parts.

    Raises:
        SourceError: ``folder`` is not a folder, is empty, or holds something that is not a regular file.
    """
    return {path.relative_to(folder).as_posix(): _hash(path) for path in _files(folder)}


def verify_folder(folder: Path, *, files: Mapping[str, str]) -> None:
    """Prove that a folder holds exactly the files that were written, byte for byte.

    Args:
        folder: The folder.
        files: SHA-256 by path inside the folder.

    Raises:
        TamperedError: A file is missing, changed, or was added.
    """
    next_step = (
        "restore the folder from a backup; or go back to the version before, or make another (models rollback, run)"
    )
    if not folder.is_dir():
        raise TamperedError("a model's folder is missing", where=str(folder), next_step=next_step)
    try:
        found = hash_folder(folder)
    except SourceError as error:
        raise TamperedError(
            "a model's folder is not what was registered", where=error.where, next_step=next_step
        ) from error
    for name in sorted({*files, *found}):
        if name not in found:
            raise TamperedError("a file of a model is missing", where=str(folder / name), next_step=next_step)
        if name not in files:
            raise TamperedError("a file was added to a model", where=str(folder / name), next_step=next_step)
        if found[name] != files[name]:
            raise TamperedError("a file of a model was changed", where=str(folder / name), next_step=next_step)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SourceError("there is no such model folder", where=str(folder))
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    odd = [path for path in paths if path.is_symlink() or not path.is_file()]
    if odd:
        raise SourceError("a model folder may hold regular files only", where=str(odd[0]))
    if not paths:
        raise SourceError("the model folder is empty", where=str(folder))
    return paths


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
