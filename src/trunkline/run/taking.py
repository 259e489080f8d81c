"""Sources taken in: files by the dataset that they belong to, small ones together, and whatever is pulled.

Where nobody said whose rows a file holds, its columns tell (:func:`trunkline.ingest.fitting.fitting_dataset`); a file
that they do not tell of is refused, and stops none of the others.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import SchemaError, SourceError, TrunklineError
from trunkline.ingest import Target, open_file
from trunkline.ingest.beside_data import Beside
from trunkline.ingest.fitting import fitting_dataset, is_foreign, own_mapping
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import open_source
from trunkline.run.attempts import Attempts
from trunkline.run.outcomes import Outcome
from trunkline.run.resolving import Handed, dataset_of
from trunkline.run.scratch import scratch_folder
from trunkline.run.taking_files import taken_files
from trunkline.run.unpacking import Part, is_whole, parts_of, taken_apart
from trunkline.settings import SETTINGS_FILE
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect
from trunkline.spec.references import referenced_first
from trunkline.spec.sources import RestSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Outcome", "sorted_files", "take"]

_logger = logging.getLogger(__name__)


def take(
    workspace: "Workspace",
    usecase: "UseCase",
    handed: Sequence[Handed],
    *,
    run_id: str,
    progress: Callable[[str, float], None],
    keep_files: bool | None = None,
) -> Iterator[Outcome]:
    """Take sources in, one after the other; small files share commits. A source that fails stops none of the others.

    What came of each source is noted at the end in one commit, however many files it had.

    Args:
        workspace: The workspace.
        usecase: The use case that takes them in.
        handed: From :func:`~trunkline.run.resolving.resolve`.
        run_id: The run that asks for it.
        progress: Told what is being done and which share of it, in [0, 1].
        keep_files: Whether files leave a copy in the landing zone; None does as the settings say.

    Yields:
        One outcome per file and per piece of a pulled source, as soon as its receipt is written; one with the error
        of a pulled source that did not give all; and one per file that is passed over, of a pulled source one per
        kind of such files.

    Raises:
        UnavailableError: The lake or the landing zone did not take what was read.
        BusyError: Another writer held a table for too long.
    """
    attempts = Attempts(usecase, declared=workspace.settings.sources, run_id=run_id)
    try:
        taken = partial(_taken, workspace, usecase, run_id=run_id, progress=progress, keep_files=keep_files)
        missing = [Outcome(one, None, one.error) for one in handed if one.error is not None]
        for outcome in missing:
            _log(outcome, usecase=usecase.name, run_id=run_id)
            attempts.add(outcome)
            yield outcome
        there = [one for one in handed if one.error is None]
        for outcome in _unpacked(workspace, usecase, there, run_id=run_id, taken=taken):
            attempts.add(outcome)
            yield outcome
        for one in handed:
            if one.path is None:
                attempts.answered(one.name, dataset=one.dataset)
    finally:
        attempts.note(workspace.lake, clock=workspace.clock)


def _unpacked(
    workspace: "Workspace",
    usecase: "UseCase",
    handed: Sequence[Handed],
    *,
    run_id: str,
    taken: "Callable[[Sequence[Handed]], Iterator[Outcome]]",
) -> Iterator[Outcome]:
    """Take sources in, recordings and archives by the files that are in them."""
    if all(is_whole(usecase, one) for one in handed):
        yield from (Outcome(one, None, None, beside=one.beside) for one in handed if one.beside is not None)
        yield from taken([one for one in handed if one.beside is None])
        return

    def told(parts: Iterator[Part | Outcome]) -> Iterator[Part | Outcome]:
        for part in parts:
            if isinstance(part, Outcome):
                _log(part, usecase=usecase.name, run_id=run_id)
            yield part

    refers = any(contract.table.references for contract in usecase.datasets.values())
    with scratch_folder(workspace.folder("tmp"), purpose="unpacked") as folder:
        parts = parts_of(usecase, handed, folder=folder, limits=workspace.settings.ingest)
        yield from taken_apart(told(parts), take=taken, at_once=refers and any(map(_is_untold, handed)))


def _taken(
    workspace: "Workspace",
    usecase: "UseCase",
    handed: Sequence[Handed],
    *,
    run_id: str,
    progress: Callable[[str, float], None],
    keep_files: bool | None,
) -> Iterator[Outcome]:
    keeps = workspace.settings.landing.keep_files if keep_files is None else keep_files
    done = 0
    if any(_is_untold(one) for one in handed):
        progress("look whose rows the files hold", 0.0)
        handed, misfits = sorted_files(usecase, handed, limits=workspace.settings.ingest)
        for outcome in misfits:
            _log(outcome, usecase=usecase.name, run_id=run_id)
            yield outcome
    for _, alike in groupby(handed, key=_kind):
        some = list(alike)
        one = some[0]
        dataset = dataset_of(usecase, one.dataset)
        target = Target(usecase.name, dataset, usecase.datasets[dataset])
        told = f"ingest {one.name}" + (f" and {len(some) - 1} more" if len(some) > 1 else "")
        progress(told, done / len(handed))
        outcomes: Iterator[Outcome]
        if one.path is not None:
            files = taken_files(
                workspace,
                [file.path for file in some if file.path is not None],
                target,
                run_id=run_id,
                mapping=one.mapping,
                csv=one.csv,
                keeps=keeps,
                origins={file.path: file.origin for file in some if file.path and file.origin},
            )
            outcomes = (Outcome(file, found.ingested, found.error) for file, found in zip(some, files, strict=True))
        else:
            outcomes = _pulled(workspace, usecase, one, target, run_id=run_id)
        for outcome in outcomes:
            _log(outcome, usecase=usecase.name, run_id=run_id)
            if outcome.error is None and outcome.ingested is not None and one.path is None:
                progress(f"{told}: {outcome.ingested.receipt.source}", done / len(handed))
            yield outcome
        done += len(some)


def sorted_files(
    usecase: "UseCase", handed: Sequence[Handed], *, limits: IngestSettings
) -> tuple[list[Handed], list[Outcome]]:
    """Tell by their columns to which datasets files belong of which nobody said it.

    Args:
        usecase: The use case that takes them in.
        handed: Files among other sources.
        limits: How long, wide and large a file may be.

    Returns:
        All sources but the misfits, those of a dataset that others refer to before those; and the files that fit no
        dataset, fit several alike, or cannot be read.
    """
    found: list[Handed] = []
    misfits: list[Outcome] = []
    for one in handed:
        if one.path is None or one.dataset is not None:
            found.append(one)
            continue
        try:
            header = open_file(one.path, limits=one.limits(limits)).header
            dataset = fitting_dataset(usecase, header, mapping=one.mapping, where=str(one.path))
        except (SourceError, SchemaError) as error:
            misfits.append(Outcome(one, None, error))
        else:
            own = own_mapping(usecase, dataset, header, mapping=one.mapping)
            found.append(replace(one, dataset=dataset, mapping=own))
    order = referenced_first(usecase.datasets)
    found.sort(key=lambda one: order.index(dataset_of(usecase, one.dataset)))
    return found, misfits


def _is_untold(one: Handed) -> bool:
    return one.path is not None and one.dataset is None


def _pulled(
    workspace: "Workspace", usecase: "UseCase", one: Handed, target: Target, *, run_id: str
) -> Iterator[Outcome]:
    assert one.declared is not None, "what is no file is declared"

    def foreign(path: Path) -> SchemaError | None:
        if one.dataset is not None:
            return None
        header = open_file(path, limits=one.limits(workspace.settings.ingest)).header
        if is_foreign(usecase, target.dataset, header, mapping=one.mapping):
            return SchemaError(
                f"its columns are those of another dataset, and the source's rows go to {target.dataset!r}",
                where=str(path),
                next_step="declare a source with `dataset` for the files of each dataset",
            )
        fitting_dataset(usecase, header, mapping=one.mapping, where=str(path))
        return None

    passed: dict[Beside, Outcome] = {}

    def pass_over(name: str, beside: Beside) -> None:
        known = passed.get(beside)
        first = Outcome(one, None, None, member=name, beside=beside)
        passed[beside] = first if known is None else replace(known, files=known.files + 1)

    try:
        _refuse_keyless_steps(one, target)
        for taken in pull(
            open_source(one.name, one.declared, unwrap=usecase.envelopes.get(target.dataset)),
            target,
            landing=workspace.landing(target.table),
            locks=workspace.folder("locks"),
            lake=workspace.lake,
            run_id=run_id,
            clock=workspace.clock,
            mapping=one.mapping,
            limits=workspace.settings.ingest,
            csv=one.csv,
            foreign=foreign,
            passed=pass_over,
        ):
            yield Outcome(replace(one, dataset=target.dataset), taken, None)
    except TrunklineError as error:
        yield Outcome(one, None, error)
    yield from passed.values()


def _refuse_keyless_steps(one: Handed, target: Target) -> None:
    """Refuse to ask for gaps again where nothing tells that a row has come before."""
    since = one.declared.since if isinstance(one.declared, RestSource) else None
    if since is not None and since.step is not None and not target.contract.table.key:
        raise SourceError(
            f"{target.dataset!r} has no key, and gaps that are asked for again would double its rows",
            where=f"[sources.{one.name}] of {SETTINGS_FILE}",
            next_step="leave out `since.step`, or give the contract a key",
        )


def _log(outcome: Outcome, *, usecase: str, run_id: str) -> None:
    """Say what became of a batch: names and counts, no values."""
    named = {"usecase": usecase, "dataset": outcome.handed.dataset, "source": outcome.handed.name, "run_id": run_id}
    if outcome.error is not None:
        # the caller says why: as text that is enough
        _logger.error("source refused: %s", type(outcome.error).__name__, extra={**named, "state": "refused"})
    if outcome.ingested is None:
        return
    receipt = outcome.ingested.receipt
    _logger.info(
        "batch known already" if outcome.ingested.known else "batch taken in",
        extra={
            **named,
            "source": receipt.source,
            "batch_id": receipt.batch_id,
            "read": receipt.read,
            "accepted": receipt.accepted,
            "quarantined": receipt.quarantined,
            "duplicates": receipt.duplicates,
            "seconds": round((receipt.finished_at - receipt.started_at).total_seconds(), 3),
        },
    )


class _Kind(NamedTuple):
    """What files must share to be taken in together; a pulled source shares its name with none."""

    source: str
    dataset: str | None
    mapping: Mapping[str, str]
    csv: CsvDialect


def _kind(one: Handed) -> _Kind:
    return _Kind(one.name if one.path is None else "", one.dataset, one.mapping, one.csv)
