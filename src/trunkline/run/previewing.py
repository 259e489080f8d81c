"""What an ingestion would read: its sources, resolved, and their sizes where they can be told without reading."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trunkline.ingest import Target
from trunkline.ingest.sources import EstimatingSource, open_source
from trunkline.run.declared import declared_names
from trunkline.run.outcomes import Outcome
from trunkline.run.recordings import recording_of
from trunkline.run.resolving import Handed, dataset_of, resolve
from trunkline.run.scratch import scratch_folder
from trunkline.run.taking import sorted_files
from trunkline.run.unpacking import Part, is_whole, let_speak_of, parts_of
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.references import referenced_first

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Preview", "preview"]


class Preview(BaseModel, frozen=True):
    """One source of an ingestion.

    Attributes:
        source: The file's path, or the source's name.
        kind: ``file``, or the kind of the declaration; for a file that is passed over what it is, e.g. ``checksum``.
        dataset: Where its rows would go; None for a file that is passed over.
        size_bytes: What would be read, bytes; None where nobody tells.
    """

    source: str
    kind: str
    dataset: str | None
    size_bytes: int | None


def preview(
    workspace: "Workspace",
    usecase: str,
    sources: Sequence[str],
    *,
    dataset: str | None,
    mapping: Mapping[str, str],
) -> tuple[Preview, ...]:
    """Say what an ingestion would read; nothing is taken in.

    Args:
        workspace: Its settings declare sources by name.
        usecase: Name of the use case.
        sources: Paths, folders, globs, URLs, names; none takes those that are declared for the use case.
        dataset: The dataset of all of them; None leaves it to the declaration, else to the columns of files.
        mapping: Source column to field name.

    Raises:
        InputError: A source is not what it is said to be, or a file fits no dataset.
        UnavailableError: A source that was asked for its size did not answer.
    """
    found = workspace.usecase(usecase)
    given = sources or declared_names(workspace, usecase, dataset=dataset)
    told = []
    resolved = resolve(workspace, found, given, dataset=dataset, mapping=mapping)
    with ExitStack() as stack:
        folder = workspace.root
        if not all(is_whole(found, one) for one in resolved):
            folder = stack.enter_context(scratch_folder(workspace.folder("tmp"), purpose="preview"))
        for number, one in enumerate(resolved):
            for part in _parts(found, one, folder=folder / str(number), limits=workspace.settings.ingest):
                if isinstance(part, Outcome):
                    name = part.handed.name
                    told.append(Preview(source=name, kind=str(part.beside), dataset=None, size_bytes=None))
                elif part.handed.path is None:
                    told.append(_of_source(workspace, found, part.handed))
                else:
                    told.append(_of_file(workspace, found, part))
    order = referenced_first(found.datasets)
    return tuple(sorted(told, key=lambda one: len(order) if one.dataset is None else order.index(one.dataset)))


def _parts(usecase: "UseCase", one: Handed, *, folder: Path, limits: IngestSettings) -> Iterator[Part | Outcome]:
    """The files that are read of a source, and those that are passed over; a recording is not taken apart."""
    dataset = None if one.beside is not None else recording_of(usecase, one, limits=one.limits(limits))
    if dataset is not None:
        yield Part(replace(one, dataset=dataset))
        return
    for part in parts_of(usecase, [one], folder=folder, limits=limits):
        if isinstance(part, Outcome) and part.error is not None:
            raise part.error
        yield part


def _of_file(workspace: "Workspace", usecase: "UseCase", part: Part) -> Preview:
    """Tell of a file; what was unpacked for it goes again."""
    handed, misfits = sorted_files(usecase, [part.handed], limits=workspace.settings.ingest)
    for misfit in misfits:
        if misfit.error is not None:
            let_speak_of(part.handed, misfit.error)
            raise misfit.error
    one = handed[0]
    size = one.path.stat().st_size if one.path is not None and one.path.exists() else None
    if part.whole is not None and one.path is not None:
        one.path.unlink()
    name = dataset_of(usecase, one.dataset)
    return Preview(source=one.origin or str(one.path), kind="file", dataset=name, size_bytes=size)


def _of_source(workspace: "Workspace", usecase: "UseCase", one: Handed) -> Preview:
    """Tell of a source that is pulled."""
    assert one.declared is not None, "what is no file is declared"
    name = dataset_of(usecase, one.dataset)
    source = open_source(one.name, one.declared)
    size = None
    if isinstance(source, EstimatingSource):
        target = Target(usecase.name, name, usecase.datasets[name])
        pieces = workspace.landing(target.table).pieces(one.name)
        size = source.estimated_bytes(pieces[-1].position if pieces else None)
    return Preview(source=one.name, kind=one.declared.kind, dataset=name, size_bytes=size)
