"""A file scored by the champion: into another file, whole or not at all, and into the log of all answers."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import PREDICTIONS
from trunkline.errors import InputError, SchemaError
from trunkline.files import replacing
from trunkline.ingest.files import content_sha256
from trunkline.run.looking import fitting_rows
from trunkline.run.outputs import refuse_unwritable
from trunkline.run.predicting import live_model
from trunkline.run.records import past_run, refuse_malformed
from trunkline.run.scored_log import ScoredLog, reasons_of

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.tasks import Progress

__all__ = ["ScoredFile", "predict_file"]

OUT_SUFFIXES: Final = (".csv", ".parquet", ".ndjson")


class ScoredFile(BaseModel):
    """What became of a file that was scored.

    Attributes:
        run_id: Under which the scores are in ``platform.predictions``.
        rows: Rows read.
        scored: Rows with a prediction.
        refused: Rows that broke the contract, with no prediction.
        reasons: How many rows failed for each reason.
        absent: Columns that the model reads and the file lacks, or has null throughout.
        model_version: Version that scored them.
        out: Where the predictions are.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    rows: int
    scored: int
    refused: int
    reasons: Mapping[str, int]
    absent: tuple[str, ...]
    model_version: str
    out: str


def predict_file(
    workspace: "Workspace",
    usecase: "UseCase",
    *,
    source: Path,
    out: Path,
    mapping: Mapping[str, str],
    run_id: str,
    reasons: int = 0,
    progress: "Progress" = lambda _phase, _share: None,
) -> ScoredFile:
    """Score a file by the champion: into another file, and into the log of all answers.

    Args:
        workspace: The workspace.
        usecase: The use case.
        source: A file of a known form; its label may be absent.
        out: CSV, Parquet or NDJSON by suffix: the entity key, ``score``, ``decision`` (or ``prediction``), and with
            ``reasons`` a column ``reasons``. One row per good row, in the file's order.
        mapping: Source column to field name.
        run_id: Under which the scores are logged, of no run in the workspace. Several files may have one id; the same
            file, mapping and version are logged once under it.
        reasons: How many reasons to give per row; 0 gives none.
        progress: Told what is being done and which share of it, in [0, 1].

    Raises:
        InputError: The form of ``out`` is unknown, its folder does not exist, it is the source, or it cannot be
            written; then nothing is logged. The run id is malformed, or a run's.
        SourceError: The source cannot be read whole, or has no rows.
        RowsRefusedError: No row fits the contract; nothing is written.
        SchemaError: A column that the model reads is absent.
        BusyError: The pseudonyms are being changed.
    """
    import pyarrow as pa

    from trunkline.lake import Transaction

    refuse_malformed(run_id)
    _refuse_out(out, source)
    if reasons < 0:
        raise InputError("the number of reasons must be at least 0", where="--reasons", next_step="e.g. --reasons 3")
    version, model = live_model(workspace, usecase)
    if past_run(workspace, run_id) is not None:
        raise InputError(
            f"{run_id!r} is the id of a run, which has rows of its own",
            where="--run-id",
            next_step="leave --run-id out, or name another",
        )
    # whoever handed the file over knows its customers by these identifiers; the log knows them by their pseudonyms
    progress(f"read {source.name}", 0.0)
    given = fitting_rows(workspace, usecase, files=[source], mapping=mapping, protected=False)
    good = given.rows
    read = [name for name in model.info.columns if name not in usecase.entity_key]
    absent = [name for name in read if _all_null(good, name)]
    if absent == read:
        raise SchemaError("the source has none of the columns that the model reads", where=str(source), allowed=read)
    progress("predict", 0.0)
    answers = model.predict(good, threads=workspace.threads)
    columns = {name: good.column(name) for name in usecase.entity_key}
    columns |= {name: answers.column(name) for name in answers.column_names}
    explained = reasons_of(model, good, reasons, progress=progress)
    if explained is not None:
        columns["reasons"] = pa.chunked_array([explained])
    facts = json.dumps([content_sha256(source), sorted(mapping.items()), version])
    batch = hashlib.sha256(facts.encode()).hexdigest()
    progress(f"write {out.name}", 0.0)
    log = ScoredLog(
        usecase,
        model=model,
        version=version,
        run_id=run_id,
        at=workspace.clock(),
        engine=workspace.engine,
        schema=good.schema,
        batch=batch,
    ).rows(good, answers, reasons=explained)
    with _written(pa.table(columns), out), workspace.keys.naming():
        pseudonyms = workspace.keys.pseudonyms(usecase.contract)
        if pseudonyms is not None and usecase.entity_key:
            named = [pseudonyms.key(usecase.entity_key, key) for key in log.column("entity_key").to_pylist()]
            place = log.schema.get_field_index("entity_key")
            log = log.set_column(place, log.schema.field(place), pa.array(named, pa.string()))
        workspace.lake.append(PREDICTIONS, log, transaction=Transaction(f"predict:{run_id}:{batch}", 1))
    return ScoredFile(
        run_id=run_id,
        rows=given.read,
        scored=good.num_rows,
        refused=given.refused,
        reasons=given.reasons,
        absent=tuple(absent),
        model_version=version,
        out=str(out),
    )


def _refuse_out(out: Path, source: Path) -> None:
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise InputError("the form of the output is unknown", where=str(out), allowed=OUT_SUFFIXES)
    refuse_unwritable(out)
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError("the output would take the place of the source", where=str(out), next_step="name another file")


def _all_null(rows: "pa.Table", name: str) -> bool:
    return name not in rows.column_names or rows.column(name).null_count == rows.num_rows


@contextmanager
def _written(table: "pa.Table", out: Path) -> Iterator[None]:
    """Write beside the target, and rename at the end of the block, so that a reader never sees half a file.

    Raises:
        InputError: It cannot be written; then the block is not entered.
    """
    with replacing(out) as part:
        with _faults(out):
            _write(table, part, suffix=out.suffix.lower())
        yield


@contextmanager
def _faults(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError("the output cannot be written", where=f"{out} ({error.strerror})") from error


def _write(table: "pa.Table", part: Path, *, suffix: str) -> None:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    if suffix == ".parquet":
        pq.write_table(table, part)
    elif suffix == ".csv":
        pa_csv.write_csv(table, part)
    else:
        with part.open("w", encoding="utf-8") as stream:
            for row in table.to_pylist():
                stream.write(json.dumps(row, default=str) + "\n")
