"""Erasing people from a table: from its newest version, from every older one, and from the log.

Every function works on one table whose lock the caller holds. Pins do not protect what must be erased. The commits name
no value, and the old log goes too, because its statistics hold the least and greatest value of each column and file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from trunkline.engine import Engine
from trunkline.errors import SchemaError
from trunkline.lake import delta, log
from trunkline.lake.maintenance import data_files, remove_files
from trunkline.lake.place import Place
from trunkline.lake.versions import demand
from trunkline.settings import drills

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

_TEXTS = 20_000
_KEPT_TEXT = 31
"""Characters of a text that Delta's statistics surely keep; the last of 32 may be raised to make a bound."""

CRASH_POINTS: tuple[str, ...] = (
    "lake.erase.before_commit",
    "lake.erase.after_commit",
    "lake.erase.after_log",
    "lake.erase.after_files",
)


@dataclass(frozen=True)
class Erasure:
    """What an erasure did to one table.

    Attributes:
        table: The table.
        rows: Rows that were removed from the newest version.
        version: The newest version afterwards.
        gone: Versions that could be opened before and cannot any more, ascending; pinned ones among them. Empty if
            no version of the table had the values.
    """

    table: str
    rows: int
    version: int
    gone: tuple[int, ...]


def typed(values: Sequence[object], schema: pa.Schema, *, table: str, column: str) -> pa.Table:
    """Bring values to the type of the column that holds them.

    Args:
        values: The values; NULL matches nothing.
        schema: The table's schema.
        table: The table's name, for messages.
        column: The column.

    Returns:
        One column, ``value``.

    Raises:
        SchemaError: The table lacks the column, or a value is not of its type.
    """
    import pyarrow as pa

    demand(schema.names, [column], table=table)
    kind = schema.field(column).type
    try:
        return pa.table({"value": pa.array(list(values), type=kind)})
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # its message would show the value
        raise SchemaError(
            f"a value is not of the column's type {kind}", where=f"table {table}, column {column}"
        ) from None


def having(rows: ir.Table, column: str, wanted: pa.Table, *, engine: Engine) -> ir.Table:
    """Rows that have one of the values."""
    values = engine.table(wanted)
    return rows.semi_join(values, rows[column] == values["value"])


def lacking(rows: ir.Table, column: str, wanted: pa.Table, *, engine: Engine) -> ir.Table:
    """Rows that have none of the values; NULL is none."""
    values = engine.table(wanted)
    return rows.anti_join(values, rows[column] == values["value"])


def count(rows: ir.Table, *, engine: Engine) -> int:
    """Count rows."""
    return int(engine.arrow(rows.aggregate(count=rows.count())).column("count")[0].as_py())


def is_anywhere(place: Place, column: str, wanted: pa.Table, *, engine: Engine) -> bool:
    """Say whether a table's folder has one of the values: in data files of any version, in orphans, in the log.

    Compared as text, in one engine's spelling, because a replaced table may have had another type before.

    Args:
        place: The table.
        column: The column.
        wanted: From :func:`typed`.
        engine: What reads the files.

    Returns:
        True if a row of any data file has one, or the statistics of a file that was vacuumed already might.
    """
    values = engine.table(wanted)
    spelled = engine.arrow(values.select(value=values["value"].cast("string")))
    return _is_in_files(place, column, spelled, engine=engine) or _is_in_statistics(place, column, spelled)


def texts(place: Place, column: str, *, unless: str, engine: Engine) -> Iterator[str]:
    """Give the texts that a column has anywhere in a table's folder, as :func:`is_anywhere` looks for them.

    Args:
        place: The table.
        column: The column.
        unless: Texts that begin with it are left out.
        engine: What reads the files.

    Yields:
        Texts, each at least once; of files that were vacuumed already the least and the greatest.
    """
    for rows in _all_rows(place, column, engine=engine):
        text = cast("ir.StringColumn", rows[column])
        found = rows.filter(text.notnull() & ~text.startswith(unless)).select(column).distinct()
        for batch in engine.batches(found, rows=_TEXTS):
            yield from batch.column(0).to_pylist()
    for stats in log.statistics(delta.filesystem(place.uri, place.options)):
        for bound in ("minValues", "maxValues"):
            least = stats.get(bound, {}).get(column)
            if isinstance(least, str) and not least.startswith(unless):
                yield least


def _is_in_files(place: Place, column: str, spelled: pa.Table, *, engine: Engine) -> bool:
    return any(
        count(having(rows, column, spelled, engine=engine), engine=engine)
        for rows in _all_rows(place, column, engine=engine)
    )


def _all_rows(place: Place, column: str, *, engine: Engine) -> Iterator[ir.Table]:
    """Read a column as text from the data files of all versions, orphans as well."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    paths = data_files(place)
    text = pa.schema([pa.field(column, pa.string())])
    if not place.is_url or engine.capabilities.reads_object_stores:
        yield engine.parquet([f"{place.uri}/{path.lstrip('/')}" for path in paths], text)
        return
    store = delta.filesystem(place.uri, place.options)
    for path in paths:  # one by one: a dataset has one type per column
        yield engine.dataset(ds.dataset(path, filesystem=store, format="parquet"), text)


def _is_in_statistics(place: Place, column: str, spelled: pa.Table) -> bool:
    """Whether the least or greatest value of a file is one of them, as far as the log keeps long texts."""
    begins = {str(value)[:_KEPT_TEXT] for value in spelled.column("value").to_pylist() if value is not None}
    for stats in log.statistics(delta.filesystem(place.uri, place.options)):
        for bound in ("minValues", "maxValues"):
            if str(stats.get(bound, {}).get(column))[:_KEPT_TEXT] in begins:
                return True
    return False


def purge(place: Place) -> tuple[int, ...]:
    """Remove every version before the newest one: its files, and its log, whose statistics hold values, too.

    Args:
        place: The table.

    Returns:
        Versions that could be opened before and cannot any more, ascending.

    Raises:
        UnavailableError: The store refused.
    """
    store = delta.filesystem(place.uri, place.options)
    before = log.openable(log.listing(store))
    table = place.newest()
    newest = int(table.version())
    with delta.translated(place.uri):
        table.create_checkpoint()
    for file in log.listing(store):
        if file.version < newest:
            store.delete_file(file.path)
    drills.point("lake.erase.after_log")
    remove_files(place, hours=0, keep=[])
    drills.point("lake.erase.after_files")
    return tuple(version for version in before if version < newest)
