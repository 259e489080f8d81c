"""Files in a form of their own that a use case takes apart, before they are taken in like any other.

A recording (the archive of an app, an export with what is said of all rows beside them) becomes NDJSON in a folder of
the workspace; that is what the landing zone keeps, under the recording's own name. The same file becomes the same
bytes. It is told by its first bytes; whatever is wrong with it is an error of this file.
"""

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from trunkline.errors import SourceError, TrunklineError, UnavailableError
from trunkline.ingest.byte_stream import PACKINGS, ByteStream, Packing
from trunkline.ingest.zip_directory import opened_zip
from trunkline.run.resolving import Handed
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    from trunkline.spec import UseCase

__all__ = ["recording_of", "recording_rows"]

_FORMS: Final = (".json", ".jsonl", ".ndjson")
_HEAD_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 512 << 20


def recording_of(usecase: "UseCase", one: Handed, *, limits: IngestSettings) -> str | None:
    """Name the dataset whose recording a source is; None where it is none.

    Args:
        usecase: Says what recordings look like.
        one: A source.
        limits: How large a file may be.
    """
    wanted = {name: form for name, form in usecase.recordings.items() if one.dataset in (None, name)}
    heads = _heads(one.path, limits) if one.path is not None and wanted else None
    if not heads:
        return None
    return next((name for name, form in wanted.items() if form.recognises(heads)), None)


def recording_rows(usecase: "UseCase", one: Handed, *, folder: Path, limits: IngestSettings) -> Handed:
    """Take a recording apart.

    Args:
        usecase: Says what recordings look like.
        one: A source.
        folder: Where the rows of recordings are written.
        limits: How large a file may be.

    Returns:
        The source itself, or the rows of the recording.

    Raises:
        SourceError: The recording is larger than can be held, or damaged.
        UnavailableError: The disk did not take its rows.
    """
    dataset = recording_of(usecase, one, limits=limits)
    if dataset is None or one.path is None:
        return one
    path = folder / f"{one.path.name}.{dataset}.ndjson"
    try:
        _write(path, usecase.recordings[dataset].rows(_parts(one.path, limits)))
    except TrunklineError:
        raise
    except Exception as error:
        raise SourceError(
            "the recording cannot be taken apart",
            where=f"{one.path} ({type(error).__name__})",
            next_step="let its export finish, or export it again; encrypted archives are not read",
        ) from error
    return replace(one, path=path, dataset=dataset, origin=one.origin or str(one.path))


def _write(path: Path, rows: Iterable[object]) -> None:
    lines = map(_line, rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(lines)
    except OSError as error:
        raise UnavailableError(
            f"the rows of a recording cannot be written: {error.strerror}",
            where=str(path.parent),
            next_step="make room on the disk, and take the file in again",
        ) from error


def _line(row: object) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a whole number beyond 64 bits
        return json.dumps(row).encode() + b"\n"


def _heads(path: Path, limits: IngestSettings) -> Mapping[str, bytes] | None:
    """The first bytes of a file, or the names of an archive's files; None for what cannot be a recording."""
    packing, name = _named(path)
    if packing == "zip":
        try:
            with opened_zip(path) as archive:
                inside = [one.filename for one in archive.infolist() if not one.is_dir()]
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
            return None  # the reader of archives says what is wrong
        if len(inside) != 1:
            return dict.fromkeys(inside, b"")
        name = inside[0]
    if Path(name).suffix.lower() not in _FORMS:
        return None
    try:
        return {name: ByteStream(path, packing, limits).head(_HEAD_BYTES)}
    except SourceError:
        return None  # likewise


def _parts(path: Path, limits: IngestSettings) -> Mapping[str, bytes]:
    """The content of a file, or of all files of an archive, by name."""
    packing, name = _named(path)
    if packing == "zip":
        with opened_zip(path) as archive:
            inside = [one for one in archive.infolist() if not one.is_dir()]
            _refuse_large(path, sum(one.file_size for one in inside))
            return {one.filename: archive.read(one) for one in inside}
    with ByteStream(path, packing, limits).stream() as stream:
        content = stream.read(_MOST_BYTES + 1)
    _refuse_large(path, len(content))
    return {name: content}


def _named(path: Path) -> tuple[Packing | None, str]:
    """How a file is packed, and its name without that."""
    packing = PACKINGS.get(path.suffix.lower())
    return packing, path.name.removesuffix(path.suffix) if packing else path.name


def _refuse_large(path: Path, size: int) -> None:
    if size > _MOST_BYTES:
        raise SourceError(
            f"a recording is larger than {_MOST_BYTES >> 20} MiB once it is unpacked",
            where=str(path),
            next_step="take it in in parts",
        )
