"""One batch on its way in: raw rows, split by the contract, into the lake and the quarantine, with a receipt.

Order of writing: quarantine, rows, receipt; each is exactly once by the lake's transactions under the batch's
content-derived id. Killed between any two, the same call completes what is missing and doubles nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, Receipt
from trunkline.errors import BatchBusyError, BusyError, ConflictError
from trunkline.ingest.budget import budget_of, refuse_beyond_budget
from trunkline.ingest.committing import (
    Withheld,
    commit_rows,
    lake_rows,
    lake_rows_schema,
    rows_committed,
    withheld_rows,
    write_quarantine,
)
from trunkline.ingest.drift import refuse_retyped
from trunkline.ingest.files import DEFAULT_LIMITS, is_plain, open_file
from trunkline.ingest.held_file import judged_file
from trunkline.ingest.identity import Batch, Target, batch_of
from trunkline.ingest.judged import judge
from trunkline.ingest.landing import Landed
from trunkline.ingest.privacy import protection
from trunkline.ingest.raw import RawFile
from trunkline.ingest.receipts import known_receipts, receipt_of, refusal_of, write_receipts
from trunkline.ingest.references import References
from trunkline.ingest.repeats import Keys
from trunkline.ingest.sieve import Sieve
from trunkline.lake import Lake, attempts
from trunkline.lake.vault import Vaulted
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CRASH_POINTS", "Ingested", "Target", "checked_rows", "ingest_batch", "ingest_file", "ingest_opened"]

CRASH_POINTS: Final = (
    "ingest.before_quarantine",
    "ingest.after_quarantine",
    "ingest.after_rows",
    "ingest.after_receipt",
)
"""Points at which a drill kills an ingestion."""


@dataclass(frozen=True)
class Ingested:
    """What became of a file.

    Attributes:
        receipt: The batch's receipt.
        known: Whether the batch had been ingested before, so that nothing was written.
    """

    receipt: Receipt
    known: bool


def ingest_file(  # noqa: PLR0913 - what one batch needs
    path: Path,
    target: Target,
    *,
    lake: Lake,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
    piece: Landed | None = None,
    instead: str | None = None,
    limits: IngestSettings = DEFAULT_LIMITS,
) -> Ingested:
    """Ingest one file.

    Args:
        path: A file of a known form.
        target: Where it goes.
        lake: The lake, with its engine.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name, from the user.
        piece: Its piece in the landing zone. Pieces of a pulled source are batches of their own even where their
            content repeats, because a later one may follow another state of the source.
        instead: The batch whose place this one takes; it is a batch of its own then, whatever came before.
        limits: How long, wide and large the file may be, and its reject budget; the contract's own budget wins.

    Returns:
        The receipt; of the earlier ingestion if the same content came before under the same contract and mapping.

    Raises:
        SourceError: The file cannot be read whole, or has no rows; nothing is written.
        SchemaError: Its columns do not fit; nothing is written.
        RowsRefusedError: No row was good; quarantine and receipt are written, so that the reasons can be read. Or more
            rows broke the contract than the budget allows; nothing is written.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ingest-open") as meanwhile:
        # both go through the whole file before anything else can begin
        looked = meanwhile.submit(open_file, path, limits=limits) if piece is None and is_plain(path, limits) else None
        batch = batch_of(
            path, target, run_id=run_id, clock=clock, mapping=mapping, piece=piece, instead=instead, limits=limits
        )
        done = ingest_batch(path, batch, lake=lake, clock=clock, limits=limits, looked=looked)
    refusal = refusal_of(done.receipt)
    if refusal is not None:
        raise refusal
    return done


def ingest_batch(
    path: Path,
    batch: Batch,
    *,
    lake: Lake,
    clock: Callable[[], datetime],
    limits: IngestSettings = DEFAULT_LIMITS,
    looked: Future[RawFile] | None = None,
) -> Ingested:
    """Ingest a file as the batch that it is; see :func:`ingest_file`. That no row of it was good is no error here.

    Args:
        path: The file.
        batch: What it is.
        lake: The lake, with its engine.
        clock: Gives the current instant.
        limits: How long, wide and large the file may be, and its reject budget.
        looked: The file on its way to being open; None where nobody opens it yet.

    Raises:
        SourceError: The file cannot be read whole, or has no rows; nothing is written.
        SchemaError: Its columns do not fit; nothing is written.
        RowsRefusedError: More rows broke the contract than the budget allows; nothing is written.
    """
    first = [] if looked is None else [looked]

    def opened() -> RawFile:
        return first.pop().result() if first else open_file(path, limits=limits)

    return ingest_opened(opened, batch, lake=lake, clock=clock, budget=limits.reject_budget)


def ingest_opened(
    opened: Callable[[], RawFile], batch: Batch, *, lake: Lake, clock: Callable[[], datetime], budget: float | None
) -> Ingested:
    """Ingest rows that something else than a file brings; else as :func:`ingest_batch`.

    Args:
        opened: Opens them; asked again where what was staged is gone.
        batch: The batch that they are.
        lake: The lake, with its engine.
        clock: Gives the current instant.
        budget: Largest share of rows that may break the contract, in [0, 1]; the contract's own wins.

    Raises:
        BatchBusyError: Another process takes the same batch of a contract with references in, for too long.
    """
    with ExitStack() as alone:
        # what rows refer to changes: two that took the batch in at once could split it differently
        if batch.target.contract.table.references:
            try:
                alone.enter_context(lake.alone_with(batch.target.table, batch.batch_id))
            except BusyError as error:
                raise BatchBusyError(
                    f"another process takes the same batch into {batch.target.table}",
                    holder=error.holder,
                    where=f"{batch.source}, taken in by {error.holder}",
                    next_step="wait until it has ended; the batch is done then, or hand it in again",
                ) from None
        return _once(opened, batch, lake=lake, clock=clock, budget=budget)


def _once(
    opened: Callable[[], RawFile], batch: Batch, *, lake: Lake, clock: Callable[[], datetime], budget: float | None
) -> Ingested:
    for attempt in attempts(lake.settings.commit_attempts):
        with attempt:  # an erasure may take staged rows away: then they are judged and staged once more
            earlier = known_receipts(lake, [batch.batch_id]).get(batch.batch_id)
            if earlier is not None:
                return Ingested(earlier, known=True)
            receipt = _taken(opened(), batch, lake=lake, clock=clock, budget=budget)
            write_receipts(lake, [(batch, receipt)])
            point("ingest.after_receipt")
            return Ingested(receipt, known=False)
    raise AssertionError("attempts either return or raise")


def _taken(
    opened: RawFile, batch: Batch, *, lake: Lake, clock: Callable[[], datetime], budget: float | None
) -> Receipt:
    """Judge a file, and commit its quarantine and its rows."""
    contract, table = batch.target.contract, batch.target.table
    done = rows_committed(lake, table, batch.rows_transaction)
    # an earlier, interrupted call has split the rows: this one completes that split, whatever is there by now
    is_split = done is not None or lake.transaction_version(QUARANTINE, batch.quarantine_transaction.app_id) is not None
    withheld = withheld_rows(lake, batch) if is_split else None
    with (
        lake.staged(table, lake_rows_schema(contract)) as staged,
        Sieve(
            Keys(contract, engine=lake.engine),
            write=lambda good: staged.write(lake_rows(good, batch)),
            threads=lake.engine.threads,
        ) as sieve,
        Vaulted(lake, contract, batch_id=batch.batch_id) as vaulted,
    ):

        def keep(good: "pa.Table") -> None:
            sieve.add(good if withheld is None else _without(good, withheld))

        sink = keep if done is None else None  # else they are committed
        references = None
        if contract.table.references and (done is None or done.reported is None):
            usecase = batch.target.usecase
            references = References(contract, usecase=usecase, lake=lake, only_reported=is_split)
        judged = judge(
            opened,
            contract,
            engine=lake.engine,
            mapping=batch.mapping,
            sink=sink,
            references=references,
            protect=protection(contract, lake=lake, originals=None if done is not None else vaulted.add),
        )
        with closing(judged.refusals):
            if not is_split:
                refuse_retyped(judged.read, judged.reasons, table=contract.table, where=batch.source)
                refuse_beyond_budget(
                    judged.read,
                    judged.quarantined,
                    judged.reasons,
                    budget=budget_of(contract.table, budget),
                    where=batch.source,
                )
            sieve.hand_on_rest(order=judged.order)  # threads write it while the quarantine is being committed
            point("ingest.before_quarantine")
            if not is_split:
                write_quarantine(lake, judged.refusals, batch)
        point("ingest.after_quarantine")
        if done is None:
            may_repeat = sieve.finish(order=judged.order)
            vaulted.commit()  # no row is in the lake whose original is to be kept and is not
            asked = [one.reason for one in contract.table.references if one.missing == "report"]
            reported = {reason: judged.reasons[reason] for reason in asked if judged.reasons[reason]}
            try:
                done = commit_rows(lake, staged, batch, order=judged.order, may_repeat=may_repeat, reported=reported)
            except Exception as error:
                if staged.lost():
                    raise ConflictError(
                        "an erasure took rows that were on their way", where=f"table {table}"
                    ) from error
                raise
        elif done.reported:
            judged.reasons.update(done.reported)
        point("ingest.after_rows")
    # where an erasure took rows of a stream between two tries, those that were committed before it count
    good = max(judged.good - (0 if withheld is None else len(withheld.numbers)), done.accepted)
    return receipt_of(
        batch,
        run_id=done.run_id,
        version=done.version,
        read=max(judged.read, good),
        good=good,
        accepted=done.accepted,
        reasons=judged.reasons + (Counter() if withheld is None else withheld.reasons),
        absent=judged.absent,
        extra=judged.extra,
        finished_at=clock(),
    )


def _without(good: "pa.Table", withheld: Withheld) -> "pa.Table":
    """Leave out the good rows that lie in the quarantine."""
    import numpy as np
    import pyarrow as pa

    return good.filter(pa.array(~np.isin(good.column(ROW).to_numpy(), withheld.numbers)))


def checked_rows(
    path: Path,
    contract: type[Contract],
    *,
    lake: Lake,
    mapping: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = (),
    limits: IngestSettings = DEFAULT_LIMITS,
    protected: bool = False,
) -> "tuple[pa.Table, pa.Table, Counter[str]]":
    """Split a file without writing anything: for scoring and evaluating files that stay outside the lake.

    Identifiers stay as the file has them, unless they are to be compared with those of the lake.

    Args:
        path: A file of a known form.
        contract: What its rows must look like.
        lake: Lends its engine.
        mapping: Source column to field name.
        optional: Fields that may be absent or null although they are not nullable.
        limits: How long, wide and large the file may be.
        protected: Replace personal identifiers as in the lake.

    Returns:
        Good rows with ``_row`` (1-based position in the file), also those that repeat a key; the raw text rows with
        ``_row``; and how many rows failed for each reason.

    Raises:
        SourceError: The file cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
    """
    protect = protection(contract, lake=lake) if protected else None
    with judged_file(
        path, contract, engine=lake.engine, mapping=mapping, optional=optional, limits=limits, protect=protect
    ) as judged:
        return judged.rows, judged.texts, judged.reasons()
