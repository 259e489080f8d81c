"""From lake tables to a candidate model: which rows are learned from, and what is written down about them.

Takes a use case, the lake and the batches of the run; gives a saved model folder and a document. Refuses an empty
table. The learning itself is the task's (``trunkline.tasks``).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.keys import joined_key
from trunkline.engine import Engine
from trunkline.errors import SourceError, UseCaseError
from trunkline.lake import Lake
from trunkline.lake.versions import current_rows, present, with_whole_key
from trunkline.spec import UseCase
from trunkline.spec.facts import UseCaseFacts
from trunkline.tasks import AnyReport, Trained

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = [
    "SEEN_FILE",
    "TrainDocument",
    "entity_hashes",
    "entity_keys",
    "feature_table",
    "main_table",
    "train_candidate",
    "unseen_rows",
]

SEEN_FILE: Final = "seen.parquet"
"""File of a model folder with the hashes of the entities it was fitted to (``entity``, uint64); none where the model
says itself up to when it has seen everything."""

BATCH: Final = "_batch_id"


class TrainDocument(BaseModel):
    """What a training step found and wrote.

    Attributes:
        folder: The candidate's folder, below the workspace.
        rows: Rows learned from, test rows included.
        batches: The batches they came from; empty for the whole current table.
        left_out: Batches of any dataset that were not read: simulated ones, where there are real rows.
        table_versions: Lake table to version.
        contract_fingerprints: Dataset to fingerprint.
        report: The task's own report.
        usecase: What the use case said of itself; None in documents of versions that did not note it.
        kept: The champion whose training this was, where nothing was learned because it is not due.
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    rows: int
    batches: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    table_versions: Mapping[str, int]
    contract_fingerprints: Mapping[str, str]
    report: AnyReport
    usecase: UseCaseFacts | None = None
    kept: str | None = None


def main_table(
    usecase: UseCase,
    lake: Lake,
    *,
    batches: Sequence[str] = (),
    without: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> "tuple[pa.Table, dict[str, int]]":
    """Read the rows of a use case, with its table features.

    Args:
        usecase: The use case.
        lake: The lake.
        batches: Take the rows of these batches of the main dataset, of one key the newest; none takes the current row
            of every entity.
        without: Leave out the rows of these batches, in every dataset, as if they had never come; a batch that is named
            in ``batches`` is taken nevertheless.
        columns: Only these, as far as the rows have them; None gives all.

    Returns:
        One row per entity and observation, and the version of each table that was read.

    Raises:
        SourceError: There are no rows.
    """
    import ibis

    features, versions = feature_table(usecase, lake, batches=batches, without=without)
    order = [ibis.asc(name) for name in (BATCH, "_row") if name in features.columns]
    ordered = features.order_by(order) if order else features
    if columns is not None:
        ordered = ordered.select(*(name for name in ordered.columns if name in set(columns)))
    rows = lake.engine.arrow(ordered)
    if rows.num_rows == 0:
        raise SourceError(f"no rows to learn from or score in {usecase.table_name()!r}")
    return rows, versions


def feature_table(
    usecase: UseCase, lake: Lake, *, batches: Sequence[str] = (), without: Sequence[str] = ()
) -> "tuple[ir.Table, dict[str, int]]":
    """Give the rows of :func:`main_table` as an expression, so that some of them can be asked for.

    Args:
        usecase: The use case.
        lake: The lake.
        batches: As in :func:`main_table`.
        without: As in :func:`main_table`.

    Returns:
        The expression, and the version of each table that it reads.

    Raises:
        SourceError: The main table is not there.
    """
    whole = usecase.task is not None and usecase.task.reads_history
    versions: dict[str, int] = {}
    tables = {}
    for dataset, contract in usecase.contracts.items():
        name = usecase.table_name(dataset)
        version = lake.version(name)
        if version is None:
            continue
        versions[name] = version
        # expressions may name every field; a table that is older than a field lacks its column
        schema = _with_fields(lake.schema(name, version=version), contract) if usecase.table_features else None
        table = lake.read(name, version=version, schema=schema)
        if batches and dataset == usecase.main:
            tables[dataset] = _newest(table.filter(table[BATCH].isin(list(batches))), contract, batches)
            continue
        if without:
            table = table.filter(table[BATCH].notin(list(without)))
        tables[dataset] = _current(table, contract, engine=None if whole else lake.engine, name=name)
    if usecase.main not in tables and not (whole and tables):
        raise SourceError(
            f"the lake holds no rows of {usecase.table_name()!r}",
            next_step=f"take some in: trunkline ingest {usecase.name} FILE",
        )
    return (usecase.table_features(tables) if usecase.table_features else tables[usecase.main]), versions


def _with_fields(stored: "pa.Schema", contract: type[Contract]) -> "pa.Schema":
    """The schema of a table, and after it the fields of its contract that it lacks."""
    for field in arrow_schema(contract):
        if field.name not in stored.names:
            stored = stored.append(field)
    return stored


def _current(rows: "ir.Table", contract: type[Contract], *, engine: Engine | None, name: str) -> "ir.Table":
    """Keep the newest version of each key, or all rows where the engine finds no key twice: a tenth of the work."""
    said = contract.table
    if engine is not None and said.key:
        rows = with_whole_key(rows, contract)
        times = rows.group_by([rows[one] for one in said.key]).agg(_times=rows.count())
        if not engine.arrow(times.filter(times["_times"] > 1).select("_times").limit(1)).num_rows:
            return present(rows, said)
    return current_rows(rows, contract, table=name)


def _newest(rows: "ir.Table", contract: type[Contract], batches: Sequence[str]) -> "ir.Table":
    """Of rows with one key keep the newest version, of the later batch, of the later row: no entity twice."""
    import ibis

    said = contract.table
    if len(batches) > 1 and said.key:  # inside one batch the split has seen to it
        rank = ibis.cases(*((rows[BATCH] == batch, position) for position, batch in enumerate(batches)), else_=-1)
        ahead = [ibis.desc(rows[name]) for name in said.version_order]
        window = ibis.window(
            group_by=[rows[name] for name in said.key],
            order_by=[*ahead, ibis.desc(rank), ibis.desc(rows["_row"])],
        )
        numbered = rows.mutate(_place=ibis.row_number().over(window))
        rows = numbered.filter(numbered["_place"] == 0).drop("_place")
    return present(rows, said)


def train_candidate(
    usecase: UseCase,
    rows: "pa.Table",
    *,
    folder: Path,
    seed: int,
    threads: int,
    lineage: Mapping[str, str],
    progress: Callable[[str, float], None],
) -> AnyReport:
    """Let the task learn, and save the candidate.

    Args:
        usecase: The use case.
        rows: As :func:`main_table` gives them.
        folder: Where the model folder is written; replaced if it exists.
        seed: Seed of everything random.
        threads: Threads the learners may use.
        lineage: Facts about where the rows and the code came from, stored in the model.
        progress: Told what is being done and which share of it, in [0, 1].

    Raises:
        UseCaseError: The use case has no task.
        LabelError: The label cannot be learned from.
    """
    if usecase.task is None:
        raise UseCaseError(f"the use case {usecase.name!r} has no task, so there is nothing to learn")
    task = usecase.task.present_in(rows)
    trained: Trained = task.train(rows, seed=seed, threads=threads, progress=progress)
    trained.model.with_lineage(**lineage).save(folder)
    if trained.fitted_rows is not None:
        (folder / SEEN_FILE).write_bytes(_seen_bytes(usecase, rows.take(trained.fitted_rows)))
    return trained.report


def entity_keys(usecase: UseCase, rows: "pa.Table") -> "pa.Array":
    """Give the key of each row as one text, as :mod:`trunkline.contracts.keys` joins parts."""
    import pyarrow as pa

    if len(usecase.entity_key) == 1:
        column = rows.column(usecase.entity_key[0]).combine_chunks()
        if pa.types.is_string(column.type) and not column.null_count:  # a key of one part is that part
            return column
    return pa.array(_joined(rows, usecase.entity_key), pa.string())


def _joined(rows: "pa.Table", names: Sequence[str]) -> list[str]:
    parts = [rows.column(name).to_pylist() for name in names]
    return [joined_key([str(part) for part in key]) for key in zip(*parts, strict=True)]


def entity_hashes(usecase: UseCase, rows: "pa.Table") -> "pa.Array":
    """Hash what identifies each row to 64 bits (BLAKE2b), so that a model can name its rows without holding them.

    A row is known by the task's group where it has one (a second sale of a house is no news to a model that saw the
    first), else by its key, else by all its contract's columns.
    """
    import pyarrow as pa

    group = usecase.task.group if usecase.task else None
    names = (group,) if group else usecase.entity_key
    names = names or tuple(column.name for column in usecase.contract.columns if column.name in rows.column_names)
    hashes = [int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) for key in _joined(rows, names)]
    return pa.array(hashes, pa.uint64())


def unseen_rows(usecase: UseCase, rows: "pa.Table", model_folders: Sequence[Path]) -> "pa.Table":
    """Keep the rows of entities that none of the models was fitted to.

    Args:
        usecase: The use case; see :func:`entity_hashes` for how a row is known again.
        rows: The rows.
        model_folders: Folders of the models.

    Returns:
        The rows left, in their order.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    seen = pa.concat_tables([pq.read_table(folder / SEEN_FILE) for folder in model_folders])
    known = pc.is_in(entity_hashes(usecase, rows), value_set=seen.column("entity").combine_chunks())
    return rows.filter(pc.invert(known))


def _seen_bytes(usecase: UseCase, rows: "pa.Table") -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    hashes = entity_hashes(usecase, rows) if rows.num_rows else pa.array([], pa.uint64())
    sink = io.BytesIO()
    pq.write_table(pa.table({"entity": hashes.take(pa.compute.array_sort_indices(hashes))}), sink)
    return sink.getvalue()
