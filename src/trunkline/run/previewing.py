"""What an ingestion would read: its sources, resolved, and their sizes where they can be told without reading."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trunkline.ingest import Target
from trunkline.ingest.sources import EstimatingSource, open_source
from trunkline.run.declared import declared_names
from trunkline.run.recordings import recording_of
from trunkline.run.resolving import dataset_of, resolve
from trunkline.run.taking import sorted_files

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["Preview", "preview"]


class Preview(BaseModel, frozen=True):
    """One source of an ingestion.

    Attributes:
        source: The file's path, or the source's name.
        kind: ``file``, or the kind of the declaration.
        dataset: Where its rows would go.
        size_bytes: What would be read, bytes; None where nobody tells.
    """

    source: str
    kind: str
    dataset: str
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
    limits = workspace.settings.ingest
    resolved = [
        replace(one, dataset=recording_of(found, one, limits=one.limits(limits)) or one.dataset) for one in resolved
    ]
    handed, misfits = sorted_files(found, resolved, limits=limits)
    if misfits and misfits[0].error is not None:
        raise misfits[0].error
    for one in handed:
        name = dataset_of(found, one.dataset)
        if one.path is not None:
            size = one.path.stat().st_size if one.path.exists() else None
            told.append(Preview(source=str(one.path), kind="file", dataset=name, size_bytes=size))
            continue
        assert one.declared is not None, "what is no file is declared"
        source = open_source(one.name, one.declared)
        size = None
        if isinstance(source, EstimatingSource):
            target = Target(found.name, name, found.datasets[name])
            pieces = workspace.landing(target.table).pieces(one.name)
            size = source.estimated_bytes(pieces[-1].position if pieces else None)
        told.append(Preview(source=one.name, kind=one.declared.kind, dataset=name, size_bytes=size))
    return tuple(told)
