"""A batch taken in again from its raw copy: after its contract, its mapping or what is said of its dialect changed.

The raw file in the landing zone is judged by the contract as it is now and becomes a batch of its own; then the rows of
the old batch leave the table, and its open rows the quarantine. Killed in between, the same call completes it: the new
batch is known by its content and by the batch whose place it takes, and removing what is gone changes nothing. Any
other call for a batch that was replaced is refused: its rows would come once more beside those of the newer one.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from trunkline.checks import arrow_schema
from trunkline.contracts.records import QUARANTINE, RECEIPTS, Receipt
from trunkline.errors import InputError, UnknownNameError
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.derived import refresh_tables
from trunkline.ingest.files import DEFAULT_LIMITS
from trunkline.ingest.gone import ingest_end
from trunkline.ingest.identity import batch_of
from trunkline.ingest.landing import Landed
from trunkline.ingest.receipts import CSV
from trunkline.run.quarantine import discard_batch
from trunkline.run.replaced import Replacements
from trunkline.settings.drills import point
from trunkline.settings.ingest import IngestSettings
from trunkline.settings.refusals import dialect_refusal
from trunkline.spec.dialect import CsvDialect

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace

__all__ = ["CRASH_POINTS", "Again", "ingest_again"]

CRASH_POINTS = ("again.after_ingest", "again.after_removal")
"""Points at which a drill kills a batch that is taken in again."""


class Again(BaseModel):
    """What became of a batch.

    Attributes:
        batch_id: The batch that was taken in again.
        receipt: Of the batch that takes its place; the old one's where nothing changed.
        unchanged: Whether contract, mapping and dialect are as they were, so that nothing was done.
        removed: Rows of the old batch that left the table.
        discarded: Its rows that left the quarantine.
    """

    model_config = ConfigDict(frozen=True)

    batch_id: str
    receipt: Receipt
    unchanged: bool
    removed: int
    discarded: int


def ingest_again(
    workspace: "Workspace",
    usecase_name: str,
    batch_id: str,
    *,
    run_id: str,
    mapping: Mapping[str, str] | None = None,
    csv: CsvDialect | None = None,
) -> Again:
    """Take a batch in again from its raw copy.

    Args:
        workspace: The workspace.
        usecase_name: The use case that took it in.
        batch_id: The batch.
        run_id: The run that asks for it.
        mapping: Source column to field name; None takes the mapping that the batch came with.
        csv: What is said of the dialect now, over what was said when the batch came; None changes nothing.

    Returns:
        What became of it.

    Raises:
        UnknownNameError: There is no such batch, its dataset is gone, or no raw copy was kept.
        InputError: Another batch took its place already; or rows of it were replayed from the quarantine: they would be
            there twice, or unmended again. Or two characters of the dialect are the same.
        SchemaError: The columns do not fit the contract any more; nothing is changed.
        RowsRefusedError: No row is good now; the old rows stay.
        TamperedError: The raw copy is not what landed; nothing is changed.
    """
    lake = workspace.lake
    old = _receipt(workspace, batch_id)
    usecase = workspace.usecase(usecase_name)
    if old.usecase != usecase.name:
        raise UnknownNameError(f"batch {batch_id!r} belongs to the use case {old.usecase!r}", allowed=(old.usecase,))
    if old.dataset not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {old.dataset!r} any more", allowed=usecase.datasets)
    target = Target(usecase.name, old.dataset, usecase.datasets[old.dataset])
    piece = workspace.landing(target.table).find(old.content_sha256)
    told = json.loads(old.mapping) if old.mapping else {}
    mapping = told if mapping is None else mapping
    limits = _dialect(old, piece, workspace.settings.ingest)
    before = limits.csv.said
    try:
        limits = limits if csv is None else limits.with_dialect(csv)
    except ValidationError as error:
        raise dialect_refusal(
            error,
            "what is said of the dialect does not go with what was said when the batch came",
            where=f"batch {batch_id}",
            next_step="say both anew, e.g. --csv 'delimiter=;' --csv 'quote=~'",
        ) from None
    is_same = dict(mapping) == told and limits.csv.said == before
    replacements = Replacements(lake)
    newest = replacements.newest(batch_id)
    if newest is None and target.contract.fingerprint == old.contract_fingerprint and is_same:
        return Again(batch_id=batch_id, receipt=old, unchanged=True, removed=0, discarded=0)
    if _mended(workspace, batch_id):
        raise InputError(
            "rows of this batch were handed in again from the quarantine: from the raw copy they would come once more, "
            "as they were before they were mended",
            where=f"batch {batch_id}",
            next_step="the batch stays as it is; hand its open rows in with `trunkline quarantine replay`",
        )
    new = _new(workspace, target, piece, run_id=run_id, mapping=mapping, instead=batch_id, limits=limits, newest=newest)
    point("again.after_ingest")
    metadata = {"run_id": run_id, "instead": new.batch_id}
    # those before it, too: the call that put this batch in their place may have been killed before they left
    gone = (batch_id, *replacements.before(batch_id))
    removed = sum(lake.remove(target.table, "_batch_id", one, metadata=metadata) for one in gone)
    point("again.after_removal")
    discarded = sum(discard_batch(workspace, one) for one in _in_quarantine(workspace, gone))
    refresh_tables(usecase, lake=lake, locks=workspace.folder("locks"), run_id=run_id, clock=workspace.clock)
    return Again(batch_id=batch_id, receipt=new, unchanged=False, removed=removed, discarded=discarded)


def _new(
    workspace: "Workspace",
    target: Target,
    piece: Landed,
    *,
    run_id: str,
    mapping: Mapping[str, str],
    instead: str,
    limits: IngestSettings,
    newest: str | None,
) -> Receipt:
    """Take the piece in as another batch; where one took the place already, as that one or not at all."""
    lake, clock = workspace.lake, workspace.clock
    landing = workspace.landing(target.table)

    def refuse_another(path: Path, limits: IngestSettings) -> None:
        batch = batch_of(
            path, target, run_id=run_id, clock=clock, mapping=mapping, piece=piece, instead=instead, limits=limits
        )
        if newest not in (None, batch.batch_id):
            raise InputError(
                f"batch {instead} was replaced by {newest}",
                where=f"batch {instead}",
                next_step=f"trunkline ingest {target.usecase} --again {newest}",
            )

    if piece.ends:
        refuse_another(Path(), DEFAULT_LIMITS)
        return ingest_end(
            piece,
            target,
            landing=landing,
            lake=lake,
            run_id=run_id,
            clock=clock,
            mapping=mapping,
            instead=instead,
            limits=limits,
        ).receipt
    landing.refuse_changed(piece)
    with landing.lent(piece) as path:
        limits = piece.limits_of(limits)
        refuse_another(path, limits)
        return ingest_file(
            path,
            target,
            lake=lake,
            run_id=run_id,
            clock=clock,
            mapping=mapping,
            piece=piece,
            instead=instead,
            limits=limits,
        ).receipt


def _dialect(old: Receipt, piece: Landed, limits: IngestSettings) -> IngestSettings:
    """The limits under which a batch was read: in the dialect that its receipt notes, else its raw copy."""
    noted = json.loads(old.notes or "{}").get(CSV)
    if noted is not None:
        return limits.model_copy(update={"csv": CsvDialect.model_validate(noted)})
    return piece.dialect_of(limits)


def _receipt(workspace: "Workspace", batch_id: str) -> Receipt:
    found = (
        workspace.lake.arrow(
            RECEIPTS, schema=arrow_schema(Receipt), where=lambda table: table["batch_id"] == batch_id
        ).to_pylist()
        if workspace.lake.exists(RECEIPTS)
        else []
    )
    if not found:
        raise UnknownNameError(
            f"there is no batch {batch_id[:60]!r}",
            where=str(workspace.root),
            next_step="see `trunkline lineage`, which lists the newest batches",
        )
    return Receipt(**found[0])


def _in_quarantine(workspace: "Workspace", batch_ids: Sequence[str]) -> list[str]:
    """Those of some batches of which the quarantine holds rows."""
    if not workspace.lake.exists(QUARANTINE):
        return []
    found = workspace.lake.arrow(
        QUARANTINE, columns=["batch_id"], where=lambda table: table["batch_id"].isin(batch_ids)
    )
    return sorted(found.column("batch_id").unique().to_pylist())


def _mended(workspace: "Workspace", batch_id: str) -> bool:
    if not workspace.lake.exists(QUARANTINE):
        return False
    found = workspace.lake.arrow(
        QUARANTINE,
        columns=["quarantine_id"],
        where=lambda table: (table["batch_id"] == batch_id) & (table["state"] == "replayed"),
    )
    return bool(found.num_rows)
