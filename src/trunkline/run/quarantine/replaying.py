"""Handing refused rows in again, and letting them go.

A replay judges the open rows of a batch, edited if need be, by the contract as it is now. Those that pass land as a
piece of a source of their own (``replay-BATCH``) in the landing zone, are taken in from there as a batch, and are
marked as replayed. The piece is the replay's write-ahead log: each of its lines carries the number of the refused row
(``_row``), so a replay that was killed anywhere is completed by the next call, whatever edits that one brings. Rows
that still break the contract stay open; where they were edited, with their new texts and reasons.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import ROW
from trunkline.contracts.contract import with_table
from trunkline.contracts.records import QUARANTINE, RECEIPTS, Receipt
from trunkline.errors import InputError, RowsRefusedError, SchemaError, UnknownNameError
from trunkline.ingest import Target, ingest_file
from trunkline.ingest.files import open_file
from trunkline.ingest.judged import judge
from trunkline.ingest.landing import REPLAYS, Landed, Landing
from trunkline.ingest.receipts import receipt_of_piece
from trunkline.ingest.references import References
from trunkline.lake import Transaction, held
from trunkline.run.quarantine.editing import Edits, candidates, open_rows
from trunkline.run.quarantine.states import BATCH_ROWS, Held, add_states, held_batch
from trunkline.settings.drills import point

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from trunkline.run.workspace import Workspace

    _Numbers = npt.NDArray[np.int64]
    _Flags = npt.NDArray[np.bool_]

__all__ = ["CRASH_POINTS", "Replayed", "discard_batch", "origin_of", "replay_batch", "replay_source"]

CRASH_POINTS: Final = ("replay.after_piece", "replay.after_ingest", "replay.after_mark", "replay.after_edits")
"""Points at which a drill may kill a replay."""

_ORIGIN: Final = "quarantine "


class Replayed(BaseModel):
    """What became of a replay.

    Attributes:
        accepted: Rows that are now in the lake.
        duplicates: Rows that fit, but have the key of another one.
        still_refused: Rows that were asked for, break the contract and stay open.
        edited: Open rows that have new texts.
        batches: The batches by which the rows entered the lake.
    """

    model_config = ConfigDict(frozen=True)

    accepted: int
    duplicates: int
    still_refused: int
    edited: int
    batches: tuple[str, ...]


def replay_source(batch: str) -> str:
    """Name the source in the landing zone whose pieces are the replays of a batch."""
    return f"{REPLAYS}{batch}"


def origin_of(source: str) -> str | None:
    """Give the batch that a receipt's source says was replayed; None where it says something else."""
    return source.removeprefix(_ORIGIN) if source.startswith(_ORIGIN) else None


def replay_batch(
    workspace: "Workspace", batch: str, *, edits: Edits | None = None, reason: str | None = None
) -> Replayed:
    """Hand the open rows of a batch in again, by the contract as it is now; those that pass go to the lake.

    Args:
        workspace: The workspace.
        batch: Id of the batch.
        edits: What is changed before; nothing by default.
        reason: Only rows that failed for it.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, no row of it failed for that reason, its use case
            or dataset is gone, or an edit names a column that is neither in the source nor in the contract.
        InputError: The corrected file does not fit the batch.
        RowsRefusedError: Rows that passed earlier, in a call that was killed, go beyond the reject budget by now; they
            stay open.
        BusyError: The batch is being replayed or discarded by somebody else.
    """
    facts = held_batch(workspace, batch, reason=reason)
    usecase = workspace.usecase(facts.usecase)
    if facts.dataset in (*usecase.derived, *usecase.windows):
        raise InputError(
            f"{facts.dataset!r} is a derived table: its rows are judged again at its next refresh",
            where=f"batch {batch}",
            next_step=f"mend its inputs or its contract, then: trunkline ingest {usecase.name}",
        )
    if facts.dataset not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {facts.dataset!r} any more", allowed=usecase.datasets)
    # rows of a stream may have other names of their fields each
    contract = with_table(usecase.datasets[facts.dataset], on_two_columns="coalesce")
    target = Target(usecase.name, facts.dataset, contract)
    replay = _Replay(workspace, facts, target)
    with _locked(workspace, batch):
        receipts = replay.pending()
        asked_for = workspace.lake.collect(
            lambda table: (rows := open_rows(table, batch, reason=reason)).aggregate(rows=rows.count()), QUARANTINE
        ).column("rows")[0]
        with replay.landing.drafts(replay.source) as folder:
            piece, passing, edited = replay.judged(folder, edits or Edits(), reason)
        if piece is not None:
            receipts.append(replay.take(piece))
    return Replayed(
        accepted=sum(receipt.accepted for receipt in receipts),
        duplicates=sum(receipt.duplicates for receipt in receipts),
        still_refused=asked_for.as_py() - passing,
        edited=edited,
        batches=tuple(receipt.batch_id for receipt in receipts),
    )


class _Replay:
    """The replay of one batch.

    Args:
        workspace: The workspace.
        facts: The batch.
        target: Where its rows go.
    """

    def __init__(self, workspace: "Workspace", facts: Held, target: Target) -> None:
        self._workspace, self._facts, self._target = workspace, facts, target
        self._mapping = _mapping(workspace, facts.batch_id)
        self.source = replay_source(facts.batch_id)
        self.landing: Landing = workspace.landing(target.table)

    def pending(self) -> list[Receipt]:
        """Complete what an interrupted call has begun; gives the receipts of what it completed."""
        covered = self._workspace.lake.transaction_version(QUARANTINE, self._app_id) or 0
        return [self.take(piece) for piece in self.landing.pieces(self.source) if piece.number > covered]

    def judged(self, folder: Path, edits: Edits, reason: str | None) -> tuple[Landed | None, int, int]:
        """Judge the candidates: land those that pass, and keep the edits of the others.

        Returns:
            The piece, None where nothing passed; how many rows pass; how many others have new texts.
        """
        import numpy as np

        from trunkline.run.execute import new_run_id

        workspace, path = self._workspace, folder / "candidates.ndjson"
        contract = self._target.contract
        numbers, changed = self._write(path, edits, reason)
        if not len(numbers):
            return None, 0, 0
        passes = np.ones(len(numbers), dtype=bool)
        judged = judge(
            open_file(path, limits=workspace.settings.ingest),
            contract,
            engine=workspace.engine,
            mapping=self._mapping,
            references=References(contract, usecase=self._target.usecase, lake=workspace.lake)
            if contract.table.references
            else None,
        )
        try:
            for batch in judged.refusals.batches():
                passes[batch.column("number").to_numpy() - 1] = False
            piece = None
            if passes.any():
                passing = folder / "rows.ndjson"
                _choose(path, passing, passes)
                piece = self.landing.land(
                    self.source,
                    passing,
                    origin=f"{_ORIGIN}{self._facts.batch_id}",
                    position={"run_id": new_run_id(workspace)},
                )
                point("replay.after_piece")
            edited = int((changed & ~passes).sum())
            if edited:
                self._keep_edits(judged.refusals.batches, numbers, changed)
                point("replay.after_edits")
        finally:
            judged.refusals.close()
        return piece, int(passes.sum()), edited

    def _write(self, path: Path, edits: Edits, reason: str | None) -> "tuple[_Numbers, _Flags]":
        """Write the candidates as lines with their numbers in front; gives the numbers, and which have new texts."""
        import numpy as np

        numbers: list[_Numbers] = []
        changed: list[_Flags] = []
        found = candidates(
            self._workspace,
            self._facts,
            contract=self._target.contract,
            mapping=self._mapping,
            edits=edits,
            reason=reason,
        )
        with path.open("w", encoding="utf-8") as out:
            for part in found:
                numbers.append(part.numbers.to_numpy())
                changed.append(np.array(part.changed, dtype=bool))
                out.writelines(
                    f'{{"{ROW}": {number}, {row[1:]}\n'
                    for number, row in zip(part.numbers.to_pylist(), part.rows, strict=True)
                )
        if not numbers:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
        return np.concatenate(numbers), np.concatenate(changed)

    def take(self, piece: Landed) -> Receipt:
        """Take a piece in and mark its rows; doing it again changes nothing.

        Raises:
            RowsRefusedError: The contract, or what the rows refer to, has changed since the piece landed, and too many
                rows of it are bad now. Nothing was written; the piece goes, so that the rows can be handed in again.
            SchemaError: The same, where its columns do not fit any more.
        """
        with self.landing.lent(piece) as path:
            return self._taken(piece, path)

    def _taken(self, piece: Landed, path: Path) -> Receipt:
        workspace = self._workspace
        try:
            receipt = ingest_file(
                path,
                self._target,
                lake=workspace.lake,
                run_id=str((piece.position or {})["run_id"]),
                clock=workspace.clock,
                mapping=self._mapping,
                piece=piece,
                limits=workspace.settings.ingest,
            ).receipt
        except (RowsRefusedError, SchemaError):
            # none is good any more, because the contract has changed since the call was killed; or nothing was written
            target = self._target
            known = receipt_of_piece(
                workspace.lake, usecase=target.usecase, dataset=target.dataset, piece=piece.piece_id
            )
            if known is None:
                self.landing.discard(piece)
                raise
            receipt = known
        point("replay.after_ingest")
        table = workspace.lake.read(QUARANTINE)
        lines = workspace.engine.table(_numbered_lines(path))
        rows = open_rows(table, self._facts.batch_id).drop("row")
        marked = rows.join(lines, rows["row_number"] == lines["_number"])
        transaction = Transaction(self._app_id, piece.number)
        add_states(
            workspace,
            marked,
            "replayed",
            run_id=receipt.run_id,
            transaction=transaction,
            contract=self._target.contract,
        )
        point("replay.after_mark")
        return receipt

    def _keep_edits(
        self,
        refused: "Callable[[], Iterator[pa.RecordBatch]]",
        numbers: "npt.NDArray[np.int64]",
        changed: "npt.NDArray[np.bool_]",
    ) -> None:
        """Write the new texts and reasons of rows that were edited and still break the contract."""
        import pyarrow as pa

        schema = pa.schema(
            [pa.field("_number", pa.int64()), pa.field("reasons", pa.string()), pa.field("row", pa.string())]
        )

        def edited() -> "Iterator[pa.RecordBatch]":
            for batch in refused():
                places = batch.column("number").to_numpy() - 1
                kept = batch.filter(pa.array(changed[places]))
                texts = [_without_number(text) for text in kept.column("row").to_pylist()]
                yield pa.RecordBatch.from_arrays(
                    [
                        pa.array(numbers[places[changed[places]]]),
                        kept.column("reasons").cast(pa.string()),
                        pa.array(texts, pa.string()),
                    ],
                    schema=schema,
                )

        workspace = self._workspace
        new = workspace.engine.table(pa.RecordBatchReader.from_batches(schema, edited()))
        rows = open_rows(workspace.lake.read(QUARANTINE), self._facts.batch_id).drop("row", "reasons")
        add_states(
            workspace,
            rows.join(new, rows["row_number"] == new["_number"]),
            "open",
            run_id=None,
            transaction=None,
            contract=self._target.contract,
        )

    @property
    def _app_id(self) -> str:
        return f"replayed:{self._facts.batch_id}"


def _choose(source: Path, target: Path, passes: "_Flags") -> None:
    with source.open("rb") as lines, target.open("wb") as out:
        out.writelines(line for line, is_in in zip(lines, passes, strict=True) if is_in)


def _numbered_lines(path: Path) -> "pa.RecordBatchReader":
    """Read a piece back: the number of each refused row and its raw texts."""
    import pyarrow as pa

    schema = pa.schema([pa.field("_number", pa.int64()), pa.field("row", pa.string())])

    def batches() -> "Iterator[pa.RecordBatch]":
        with path.open(encoding="utf-8", newline="\n") as lines:
            numbers: list[int] = []
            rows: list[str] = []
            for line in lines:
                head, _, rest = line.partition(", ")
                numbers.append(int(head.rpartition(" ")[2]))
                rows.append("{" + rest.rstrip("\n"))
                if len(rows) == BATCH_ROWS:
                    yield pa.RecordBatch.from_arrays([pa.array(numbers), pa.array(rows)], schema=schema)
                    numbers, rows = [], []
            if rows:
                yield pa.RecordBatch.from_arrays([pa.array(numbers), pa.array(rows)], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _without_number(row: str) -> str:
    texts = json.loads(row)
    del texts[ROW]
    return json.dumps(texts, ensure_ascii=False)


def discard_batch(workspace: "Workspace", batch: str, *, reason: str | None = None) -> int:
    """Mark the open rows of a batch as discarded; gives how many.

    Args:
        workspace: The workspace.
        batch: Id of the batch.
        reason: Only rows that failed for it.

    Raises:
        UnknownNameError: The quarantine holds nothing of that batch, or no row of it failed for that reason.
        BusyError: The batch is being replayed or discarded by somebody else.
    """
    held_batch(workspace, batch, reason=reason)
    lake = workspace.lake
    with _locked(workspace, batch):
        rows = open_rows(lake.read(QUARANTINE), batch, reason=reason)
        count: int = lake.engine.arrow(rows.aggregate(rows=rows.count())).column("rows")[0].as_py()
        if count:
            add_states(workspace, rows, "discarded", run_id=None, transaction=None)
    return count


def _locked(workspace: "Workspace", batch: str) -> "AbstractContextManager[None]":
    return held(workspace.folder("locks") / f"quarantine-{batch}.lock", what=f"batch {batch}", clock=workspace.clock)


def _mapping(workspace: "Workspace", batch: str) -> Mapping[str, str] | None:
    """Give the mapping that the user gave with the batch's file."""
    if not workspace.lake.exists(RECEIPTS):
        return None
    found = workspace.lake.arrow(
        RECEIPTS, columns=["mapping"], where=lambda table: table["batch_id"] == batch
    ).to_pylist()
    told = found[0]["mapping"] if found else None
    return None if told is None else {str(column): str(name) for column, name in json.loads(told).items()}
