"""The folder of a model at rest, of every kind: ``model.json`` with the sha256 of all other files.

Takes and gives bytes by name. A folder is written whole or not at all; one that is not what was written is refused.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trunkline.errors import TamperedError

__all__ = ["MODEL_FILE", "read_folder", "write_folder"]

MODEL_FILE: Final = "model.json"
"""What the model says of itself, and the hashes of all other files."""


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a model's folder, whole or not at all.

    Args:
        folder: Must not exist, or be a model folder, which is replaced.
        files: Content by name.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in files.items():
            with (draft / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        draft.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
            folder.rename(old / "replaced")
            draft.rename(folder)
            shutil.rmtree(old)
        else:
            draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def read_folder(
    folder: Path, *, fingerprint: str | None, formats: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read and verify a model's folder.

    Args:
        folder: What :func:`write_folder` wrote.
        fingerprint: Sha256 of ``model.json``, where the caller kept it.
        formats: The forms that are read.

    Returns:
        The description, and the content of the other files by name.

    Raises:
        TamperedError: A file is missing or not what was written, or the format is unknown.
    """
    try:
        text = (folder / MODEL_FILE).read_bytes()
        if fingerprint is not None and hashlib.sha256(text).hexdigest() != fingerprint:
            raise _tampered(folder / MODEL_FILE)
        document = json.loads(text)
        if document["format"] not in formats:
            raise TamperedError(
                f"unknown model format {document['format']!r}", where=str(folder), allowed=map(str, formats)
            )
        return document, {name: _verified(folder, name, digest) for name, digest in document["files"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TamperedError(
            f"the model cannot be read: {type(error).__name__}",
            where=str(folder),
            next_step="restore the folder, or promote another version",
        ) from error


def _verified(folder: Path, name: str, digest: str) -> bytes:
    if Path(name).name != name:
        raise _tampered(folder / MODEL_FILE)
    path = folder / name
    if not path.is_file():
        raise TamperedError("a file of the model is missing", where=str(path), next_step="restore the folder")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise _tampered(path)
    return content


def _tampered(path: Path) -> TamperedError:
    return TamperedError(
        "a file of the model is not what was written",
        where=str(path),
        next_step="restore the folder, or promote another version",
    )
