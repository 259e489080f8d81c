"""From a publication and versions of the lake to the rows that leave: lazily, column by column, masked.

``recipe`` says by a hash what the rows look like, so that a changed declaration fills its target anew.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from trunkline.checks import arrow_schema
from trunkline.contracts.records import PREDICTIONS, RECORDS, STEPS
from trunkline.engine import FilesVanishedError
from trunkline.errors import SchemaError
from trunkline.lake import Lake
from trunkline.lake.vault import reidentify
from trunkline.publish.changes import Readable, added, current, day_of, days_of, newest_among, newest_of
from trunkline.publish.messages import RowNames
from trunkline.publish.protocol import ROW_ID, Rows, Target
from trunkline.publish.targets import MASK, Planned
from trunkline.spec import UseCase
from trunkline.spec.publish import contract_of

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["Asking", "Composed", "composed", "needed", "reads", "recipe", "streamed"]

_LINE: Final = ("_ingested_at", "_batch_id", "_row")
_NAMED_BY: Final = "_trunkline_by_"


@dataclass(frozen=True)
class Asking:
    """Who asks the vault for originals.

    Attributes:
        who: Who.
        why: For what; empty asks nobody.
    """

    who: str
    why: str


@dataclass(frozen=True)
class Composed:
    """Rows for one target.

    Attributes:
        target: The target; of dated publications that of one day.
        rows: The rows, lazily; columns of :attr:`named_by` follow those of the target.
        whole: Whether they are all that it is to hold.
        named_by: What names a row for good, where the sink keeps none: the write that brought it and its place there,
            or all that it holds.
    """

    target: Target
    rows: "ir.Table"
    whole: bool
    named_by: tuple[str, ...] = ()


def reads(usecase: UseCase, one: Planned) -> tuple[str, ...]:
    """Name the tables of the lake that a publication is made of.

    Args:
        usecase: The use case.
        one: The publication.
    """
    names = [name if "." in name else usecase.table_name(name) for name in one.publication.reads]
    return (*names, STEPS) if one.dated_by and PREDICTIONS in names else tuple(names)


def needed(usecase: UseCase, one: Planned) -> tuple[str, ...]:
    """Name those of them that have to be there: of several inputs whose contract is known, one may not be there yet.

    Args:
        usecase: The use case.
        one: The publication.
    """
    if one.publication.rows is None:
        return reads(usecase, one)
    return tuple(name for name in one.publication.reads if contract_of(name, usecase.contracts) is None)


def recipe(usecase: UseCase, one: Planned) -> str:
    """Hash what the rows look like, whatever the lake holds.

    Args:
        usecase: The use case.
        one: The publication.
    """
    import ibis

    said: list[object] = [one.target.fingerprint, one.dated_by, one.view, usecase.segments, *reads(usecase, one)]
    if one.publication.rows is not None:
        found = {name: contract_of(name, usecase.contracts) for name in one.publication.reads}
        tables = {
            name: ibis.table(ibis.Schema.from_pyarrow(arrow_schema(contract)), name=name)
            for name, contract in found.items()
            if contract is not None
        }
        if len(tables) == len(one.publication.reads):
            said.append(str(ibis.to_sql(one.publication.rows(tables), dialect="duckdb")))
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def composed(
    lake: Lake,
    usecase: UseCase,
    one: Planned,
    *,
    versions: Mapping[str, int],
    since: Mapping[str, int] | None,
    keeps: bool = True,
) -> tuple[Composed, ...]:
    """Give what a delivery brings; nothing where no row is new.

    Args:
        lake: The lake.
        usecase: The use case.
        one: The publication.
        versions: Versions of the tables that it reads.
        since: Versions up to which the target has them; None gives everything.
        keeps: Whether rows stay at the sink. Where they do not, each goes once: rows are named, and never said to be
            all that there are but where an expression makes them.

    Raises:
        SchemaError: A table or an expression lacks a column that leaves.
    """
    if one.publication.rows is not None or (one.target.mode == "replace" and not one.dated_by):
        every = _whole(lake, usecase, one, versions)
        return (_composed(one, every, named_by=() if keeps else one.target.names, whole=True),)
    table = reads(usecase, one)[0]
    readable = _readable(usecase, table, versions[table])
    if readable.contract is None:
        readable = replace(readable, contract=one.contract)
    fresh = None
    if since is not None and table in since:
        try:
            fresh = added(lake, readable, since=since[table])
        except FilesVanishedError:
            fresh = None
    if one.dated_by:
        return _dated(lake, one, readable, fresh, versions)
    if fresh is None:
        # rows that are added have no newer version of themselves: every one counts
        rows = readable.rows(lake) if one.target.mode == "append" else current(lake, readable, key=one.target.key)
        named_by = () if keeps else _names(rows)
        return (_composed(one, _segmented(usecase, rows), named_by=named_by, whole=keeps),)
    if one.target.mode == "upsert":
        fresh = newest_of(lake, readable, fresh, key=one.target.key)
    named_by = () if keeps else _names(fresh)
    return (_composed(one, _segmented(usecase, fresh), named_by=named_by, whole=False),)


def _names(rows: "ir.Table") -> tuple[str, ...]:
    """What names rows of a table for good: the write and its line, or all they hold where nobody notes that."""
    return _LINE if set(_LINE) <= set(rows.columns) else tuple(sorted(rows.columns))


def _composed(one: Planned, rows: "ir.Table", *, named_by: tuple[str, ...], whole: bool) -> Composed:
    return Composed(one.target, _leaving(one, rows, also=named_by), whole, named_by)


def _readable(usecase: UseCase, table: str, version: int) -> Readable:
    place, _, name = table.partition(".")
    if place == "platform":
        return Readable(table, RECORDS.get(table), usecase.name, version)
    known = usecase.contracts.get(name) if place == usecase.name else None
    return Readable(table, known or contract_of(table, usecase.contracts), "", version)


def _whole(lake: Lake, usecase: UseCase, one: Planned, versions: Mapping[str, int]) -> "ir.Table":
    tables = {}
    for name in one.publication.reads:
        table = name if "." in name else usecase.table_name(name)
        if table not in versions:  # of several inputs one may not be there yet
            contract = contract_of(name, usecase.contracts)
            assert contract is not None, "what nothing is known of has to be there"
            tables[name] = lake.engine.parquet([], arrow_schema(contract))
            continue
        readable = _readable(usecase, table, versions[table])
        if readable.contract is None and one.publication.rows is None:
            readable = replace(readable, contract=one.contract)
        tables[name] = current(lake, readable)
    if one.publication.rows is not None:
        return one.publication.rows(tables)
    (rows,) = tables.values()
    return _segmented(usecase, rows)


def _dated(
    lake: Lake, one: Planned, readable: Readable, fresh: "ir.Table | None", versions: Mapping[str, int]
) -> tuple[Composed, ...]:
    every = readable.rows(lake)
    if readable.table == PREDICTIONS:
        # answers of runs: files that were scored by hand, and calls of the API, are no table of the day
        steps = lake.read(STEPS, version=versions[STEPS])
        runs = steps.filter(steps["step"] == "predict").select(request_id=steps["run_id"]).distinct()
        every = every.filter(every["channel"] == "batch").semi_join(runs, "request_id")
        fresh = None if fresh is None else fresh.semi_join(runs, "request_id")
    grows = fresh is not None and one.target.mode == "upsert"
    if fresh is not None and grows:  # a day keeps what it has
        every = newest_of(lake, readable, fresh, key=one.target.key)
    dates = days_of(every if fresh is None else fresh, one.dated_by)
    found = []
    for day in sorted(filter(None, lake.engine.arrow(dates).column("day").to_pylist())):
        rows = every.filter(day_of(every, one.dated_by) == day)
        if one.target.key and not grows:
            named = rows.filter(*(rows[name].notnull() for name in one.target.key))
            rows = newest_among(readable, named, one.target.key)
        found.append(
            Composed(
                replace(one.target, name=f"{one.target.name}_{day}", undated=one.target.name),
                _leaving(one, rows),
                whole=not grows,
            )
        )
    return tuple(found)


def _segmented(usecase: UseCase, rows: "ir.Table") -> "ir.Table":
    """Add the segment to logged answers: values of features, which stay here."""
    import ibis

    if "features" not in rows.columns:
        return rows
    if not usecase.segments:
        return rows.mutate(segment=ibis.null("string"))
    features = cast("ir.StringValue", rows["features"]).cast("json")
    values = [features[name].str for name in usecase.segments]
    return rows.mutate(segment=ibis.literal(" | ").join([value.fill_null("?") for value in values]))


def _leaving(one: Planned, rows: "ir.Table", *, also: tuple[str, ...] = ()) -> "ir.Table":
    """Select what leaves, of the kinds that the contract says; and what names the rows, which does not leave."""
    import ibis

    kinds = ibis.Schema.from_pyarrow(arrow_schema(one.contract))
    missing = [name for name in one.target.names if name not in rows.columns]
    if missing:
        raise SchemaError(
            f"the rows of the publication {one.name!r} lack the column {missing[0]!r}",
            where=", ".join(one.publication.reads),
            allowed=sorted(rows.columns),
            next_step="mend the publication, its contract or its expression",
        )
    columns: dict[str, ir.Value] = {}
    for column in one.target.columns:
        value = cast("ir.Value", rows[column.name])
        wanted = kinds[column.name]
        if column.masked:
            shown = ibis.literal(MASK) if wanted.is_string() else ibis.null(wanted)
            columns[column.name] = cast("ir.Value", ibis.ifelse(value.isnull(), ibis.null(wanted), shown))
        else:
            columns[column.name] = value if value.type() == wanted else cast("ir.Value", value.cast(wanted))
    named = {f"{_NAMED_BY}{number}": cast("ir.Value", rows[name]) for number, name in enumerate(also)}
    return rows.select(**columns, **named)


def streamed(lake: Lake, one: Composed, *, chunk_rows: int, ordered: bool, asking: Asking, place: str = "") -> Rows:
    """Give the rows piece by piece, as often as they are asked for.

    Args:
        lake: The lake.
        one: The rows.
        chunk_rows: Most rows of a piece.
        ordered: Whether each time has to give the same pieces.
        asking: Who asks for originals, where any leave.
        place: What rows that are named are of.
    """
    rows, named_by = one.rows, [name for name in one.rows.columns if name.startswith(_NAMED_BY)]
    if ordered:  # by everything: rows of one key would be in any order among themselves
        rows = rows.order_by(list(dict.fromkeys((*named_by, *one.target.key, *one.target.names))))

    def pieces() -> "Iterator[pa.RecordBatch]":
        names = RowNames(place, one.named_by)
        for batch in alike():
            leaving = _named(lake, one.target, batch.select(list(one.target.names)), asking)
            if named_by:
                leaving = leaving.append_column(ROW_ID, _texts(names.of([batch.column(name) for name in named_by])))
            yield leaving

    def alike() -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa

        waiting: list[pa.RecordBatch] = []
        count = 0
        for batch in lake.engine.batches(rows, rows=chunk_rows):
            start = 0
            while start < batch.num_rows:
                taken = batch.slice(start, chunk_rows - count)
                waiting.append(taken)
                start, count = start + taken.num_rows, count + taken.num_rows
                if count == chunk_rows:  # always as many, whatever the engine hands over at once
                    yield pa.concat_batches(waiting)
                    waiting, count = [], 0
        if waiting:
            yield pa.concat_batches(waiting)

    return pieces


def _texts(values: list[str]) -> "pa.Array":
    import pyarrow as pa

    return pa.array(values, pa.string())


def _named(lake: Lake, target: Target, batch: "pa.RecordBatch", asking: Asking) -> "pa.RecordBatch":
    """Put originals in the place of pseudonyms, through the vault's audited door."""
    import pyarrow as pa

    for place, column in enumerate(target.columns):
        if not column.vault or not asking.why or column.masked:
            continue
        values = batch.column(column.name).to_pylist()
        found = reidentify(lake, filter(None, values), kind=column.vault, who=asking.who, why=asking.why)
        named = pa.array([None if value is None else found.get(value, value) for value in values], pa.string())
        batch = batch.set_column(place, pa.field(column.name, pa.string()), named)
    return batch
