"""The step that takes sources in."""

from trunkline.contracts.records import Receipt
from trunkline.errors import InputError, UnknownNameError, WorldError
from trunkline.ingest.derived import refresh_tables
from trunkline.run.declared import declared_names
from trunkline.run.outcomes import Outcome, PassedOver, passed_over
from trunkline.run.resolving import Handed, resolve
from trunkline.run.source_health import look_after_sources
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import IngestDocument
from trunkline.run.steps.handed import HandedFiles
from trunkline.run.steps.refused import SourcesRefusedError
from trunkline.run.steps.simulated import SIMULATED, has_real_rows
from trunkline.run.steps.sources import simulate_files
from trunkline.run.taking import take
from trunkline.run.windowing import refresh_windows

__all__ = ["ingest"]


def ingest(context: StepContext) -> IngestDocument:
    """Take the sources in.

    Without sources, those that the settings declare for the use case are pulled. Where there are none the rows that the
    lake has are taken as they are, but for simulated ones; and where it has none but simulated ones, they are
    simulated, so that real and simulated rows never mix unasked. Derived tables whose inputs changed are refreshed at
    the end, over all rows of their inputs.

    Raises:
        UnknownNameError: There is no such dataset.
        InputError: There is neither a source nor a simulator.
        SourcesRefusedError: Sources were refused. All others were taken in.
        UseCaseError: A derived table cannot be computed.
    """
    workspace, usecase = context.workspace, context.usecase
    dataset = context.dataset or usecase.main
    if dataset not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {dataset!r}", allowed=usecase.datasets)
    sources = context.sources or declared_names(workspace, usecase.name, dataset=context.dataset)
    handed = resolve(workspace, usecase, sources, dataset=context.dataset, mapping=context.mapping, csv=context.csv)
    best_score = None
    whole = usecase.task is not None and usecase.task.reads_history
    looked_at = usecase.datasets if whole or context.only == "ingest" else (dataset,)
    if not handed and any(has_real_rows(workspace, usecase, one) for one in looked_at):
        return IngestDocument(receipts=(), known=(), batches=(), derived=_refreshed(context), handed=())
    simulated = not handed
    files_handed = HandedFiles(handed)
    if simulated:
        if usecase.simulate is None:
            raise InputError(
                f"the use case {usecase.name!r} needs a source",
                next_step=f"trunkline run {usecase.name} --source FILE",
            )
        files, best_score = simulate_files(
            usecase, rows=usecase.simulated_rows, seed=workspace.settings.seed, out=workspace.folder(SIMULATED)
        )
        handed = [Handed(path.name, path, None, name) for name, path in files.items()]
    receipts: dict[str, Receipt] = {}
    known: list[str] = []
    known_files = 0
    refused: list[Outcome] = []
    passed: tuple[PassedOver, ...] = ()
    keep_files = False if simulated else None
    for outcome in take(
        workspace, usecase, handed, run_id=context.run_id, progress=context.progress, keep_files=keep_files
    ):
        files_handed.add(outcome)
        passed = passed_over(passed, outcome)
        if outcome.error is not None:
            refused.append(outcome)
        if outcome.ingested is not None:
            receipt = outcome.ingested.receipt
            known_files += outcome.ingested.known
            if receipt.batch_id in receipts:  # the same content, under another name
                continue
            receipts[receipt.batch_id] = receipt
            if outcome.ingested.known:
                known.append(receipt.batch_id)
    derived = _refreshed(context)
    look_after_sources(workspace, usecase, run_id=context.run_id)
    # what rests on history goes on with what is there, and says so, while its own sources are out of reach
    goes_on = whole and not context.sources and all(isinstance(outcome.error, WorldError) for outcome in refused)
    document = IngestDocument(
        receipts=tuple(receipts.values()),
        known=tuple(known),
        known_files=known_files,
        batches=tuple(one.batch_id for one in receipts.values() if one.dataset == usecase.main and one.accepted),
        derived=derived,
        simulated=simulated,
        best_score=best_score,
        unreachable=tuple(outcome.handed.name for outcome in refused) if goes_on else (),
        handed=files_handed.sha256(),
        passed_over=passed,
    )
    if refused and not goes_on:
        raise SourcesRefusedError(refused, document=document)
    return document


def _refreshed(context: StepContext) -> tuple[Receipt, ...]:
    workspace, usecase = context.workspace, context.usecase
    if (usecase.derived and context.derives) or usecase.windows:
        context.progress("refresh derived tables", 1.0)
    lake, locks, run_id = workspace.lake, workspace.folder("locks"), context.run_id
    derived: tuple[Receipt, ...] = ()
    if context.derives:
        derived = refresh_tables(usecase, lake=lake, locks=locks, run_id=run_id, clock=workspace.clock)
    windows = refresh_windows(usecase, lake=lake, locks=locks, run_id=run_id, clock=workspace.clock)
    return (*derived, *(one.receipt for one in windows))
