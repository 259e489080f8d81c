"""What an ingestion would read: its sources, resolved, with their sizes, and those that it would refuse.

Files are opened as an ingestion opens them, and their columns are matched; no row is judged. So a file that is refused
here is refused there, and one whose damage or whose values only a whole reading tells is not known here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from trunkline.checks import resolve_columns
from trunkline.errors import SchemaError, SourceError, TrunklineError
from trunkline.ingest import Target, open_file
from trunkline.ingest.files import split_sheet
from trunkline.ingest.judged import no_rows
from trunkline.ingest.sources import EstimatingSource, open_source
from trunkline.run.declared import declared_names
from trunkline.run.outcomes import Outcome
from trunkline.run.recordings import recording_of
from trunkline.run.resolving import Handed, dataset_of, resolve
from trunkline.run.scratch import scratch_folder
from trunkline.run.steps import IngestDocument, SourcesRefusedError
from trunkline.run.taking import sorted_files
from trunkline.run.unpacking import Part, is_whole, let_speak_of, parts_of
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect
from trunkline.spec.references import referenced_first

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Preview", "Previewed", "preview"]


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


@dataclass(frozen=True)
class Previewed:
    """What an ingestion would do.

    Attributes:
        sources: What it would read, datasets that others refer to first.
        refused: What it would refuse; None where it would refuse nothing.
    """

    sources: tuple[Preview, ...]
    refused: SourcesRefusedError | None


def preview(
    workspace: "Workspace",
    usecase: str,
    sources: Sequence[str],
    *,
    dataset: str | None,
    mapping: Mapping[str, str],
    csv: CsvDialect | None = None,
) -> Previewed:
    """Say what an ingestion would read and refuse; nothing is taken in.

    Args:
        workspace: Its settings declare sources by name.
        usecase: Name of the use case.
        sources: Paths, folders, globs, URLs, names; none takes those that are declared for the use case.
        dataset: The dataset of all of them; None leaves it to the declaration, else to the columns of files.
        mapping: Source column to field name.
        csv: What is said of the dialect of CSV files, over what declarations and settings say.

    Raises:
        InputError: A source is not there, or not what it is said to be.
        UnavailableError: The disk did not take a file of an archive.
    """
    found = workspace.usecase(usecase)
    given = sources or declared_names(workspace, usecase, dataset=dataset)
    told: list[Preview] = []
    refused: list[Outcome] = []
    resolved = resolve(workspace, found, given, dataset=dataset, mapping=mapping, csv=csv)
    with ExitStack() as stack:
        folder = workspace.root
        if not all(is_whole(found, one) for one in resolved):
            folder = stack.enter_context(scratch_folder(workspace.folder("tmp"), purpose="preview"))
        for number, one in enumerate(resolved):
            for seen in _seen(workspace, found, one, folder=folder / str(number)):
                if isinstance(seen, Preview):
                    told.append(seen)
                elif seen.error is not None:
                    refused.append(seen)
                else:
                    told.append(Preview(source=seen.source, kind=str(seen.beside), dataset=None, size_bytes=None))
    order = referenced_first(found.datasets)
    nothing = IngestDocument(receipts=(), known=(), batches=())
    return Previewed(
        sources=tuple(sorted(told, key=lambda one: len(order) if one.dataset is None else order.index(one.dataset))),
        refused=SourcesRefusedError(refused, document=nothing) if refused else None,
    )


def _seen(workspace: "Workspace", usecase: "UseCase", one: Handed, *, folder: Path) -> Iterator[Preview | Outcome]:
    """Tell what would be read of a source, refused or passed over; a recording is not taken apart."""
    limits = workspace.settings.ingest
    try:
        if one.error is not None:
            raise one.error
        dataset = None if one.beside is not None else recording_of(usecase, one, limits=one.limits(limits))
        if dataset is not None and one.path is not None:
            yield Preview(source=str(one.path), kind="file", dataset=dataset, size_bytes=one.path.stat().st_size)
            return
        if one.path is None:
            yield _of_source(workspace, usecase, one)
            return
    except TrunklineError as error:
        yield Outcome(one, None, error)
        return
    for part in parts_of(usecase, [one], folder=folder, limits=limits):
        yield part if isinstance(part, Outcome) else _of_part(usecase, part, limits=limits)


def _of_part(usecase: "UseCase", part: Part, *, limits: IngestSettings) -> Preview | Outcome:
    """Tell of a file, or why it would be refused; what was unpacked for it goes again."""
    try:
        return _of_file(usecase, part.handed, limits=limits)
    except (SourceError, SchemaError) as error:
        let_speak_of(part.handed, error)
        return Outcome(part.whole or part.handed, None, error, member=part.member)
    finally:
        if part.whole is not None and part.handed.path is not None:
            part.handed.path.unlink(missing_ok=True)


def _of_file(usecase: "UseCase", file: Handed, *, limits: IngestSettings) -> Preview:
    """Tell of a file.

    Raises:
        SourceError: It cannot be read, or has no rows.
        SchemaError: Its columns fit no dataset.
    """
    handed, misfits = sorted_files(usecase, [file], limits=limits)
    for misfit in misfits:
        if misfit.error is not None:
            raise misfit.error
    (one,) = handed
    assert one.path is not None, "a file is sorted as a file"
    dataset, where = dataset_of(usecase, one.dataset), str(one.path)
    opened = open_file(one.path, limits=one.limits(limits))
    resolve_columns(usecase.datasets[dataset], opened.header, mapping=one.mapping, where=where)
    if not any(batch.num_rows for batch in opened.batches) and not opened.malformed:
        raise no_rows(one.path)
    size = split_sheet(one.path)[0].stat().st_size
    return Preview(source=one.origin or where, kind="file", dataset=dataset, size_bytes=size)


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
