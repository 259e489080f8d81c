"""Files in a form of their own that a use case takes apart, before they are taken in like any other.

A recording (the archive of an app, an export with what is said of all rows beside them) becomes NDJSON in a folder of
the workspace; that is what the landing zone keeps and what receipts name. The same file becomes the same bytes.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from trunkline.errors import SourceError
from trunkline.ingest.byte_stream import PACKINGS, ByteStream
from trunkline.run.resolving import Handed
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    from trunkline.spec import UseCase

__all__ = ["unpacked"]

_FORMS: Final = (".json", ".jsonl", ".ndjson")
_MOST_BYTES: Final = 512 << 20


def unpacked(usecase: "UseCase", one: Handed, *, folder: Path, limits: IngestSettings) -> Handed:
    """Take a recording apart.

    Args:
        usecase: Says what recordings look like.
        one: A source.
        folder: Where the rows of recordings are written.
        limits: How large a file may be.

    Returns:
        The source itself, or the rows of the recording.

    Raises:
        SourceError: The recording is larger than can be held.
    """
    return _instead(usecase, one, folder, limits) or one


def _instead(usecase: "UseCase", one: Handed, folder: Path, limits: IngestSettings) -> Handed | None:
    if one.path is None or not usecase.recordings:
        return None
    parts = _parts(one.path, limits)
    for dataset, recording in usecase.recordings.items():
        if parts is None or one.dataset not in (None, dataset):
            continue
        rows = recording(parts)
        if rows is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{one.path.name}.{dataset}.ndjson"
            path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
            return replace(one, path=path, dataset=dataset)
    return None


def _parts(path: Path, limits: IngestSettings) -> Mapping[str, bytes] | None:
    """The content of a file, or of all files of an archive, by name; None for what cannot be a recording."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packing = PACKINGS.get(suffixes[-1]) if suffixes else None
    if packing == "zip":
        try:
            with zipfile.ZipFile(path) as archive:
                inside = [one for one in archive.infolist() if not one.is_dir()]
                _refuse_large(path, sum(one.file_size for one in inside))
                return {one.filename: archive.read(one) for one in inside}
        except (zipfile.BadZipFile, OSError):
            return None  # the reader of archives says what is wrong
    form = suffixes[-2 if packing else -1 :][:1]
    if not form or form[0] not in _FORMS:
        return None
    try:
        with ByteStream(path, packing, limits).stream() as stream:
            content = stream.read(_MOST_BYTES + 1)
    except (OSError, SourceError):
        return None  # likewise
    _refuse_large(path, len(content))
    return {path.name.removesuffix(path.suffix) if packing else path.name: content}


def _refuse_large(path: Path, size: int) -> None:
    if size > _MOST_BYTES:
        raise SourceError(
            f"a recording is larger than {_MOST_BYTES >> 20} MiB once it is unpacked",
            where=str(path),
            next_step="take it in in parts",
        )
