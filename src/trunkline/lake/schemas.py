"""Which columns a lake table takes, and how rows are brought to them.

Takes Arrow schemas and rows, gives rows of the lake's types, refuses by name what would lose something: naive instants,
times of day, numbers that do not fit, a column that changes its type. Delta itself accepts 1.5 for an integer column
and stores 1, so nothing here is left to it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

_FORBIDDEN_IN_NAMES = frozenset(" ,;{}()\n\t=")
_STORED = (
    "string",
    "integers",
    "float32",
    "float64",
    "bool",
    "timestamp[us, UTC]",
    "date32",
    "decimal128",
    "binary",
    "list",
    "struct",
)


def lake_schema(schema: pa.Schema, *, table: str, known: pa.Schema | None = None) -> pa.Schema:
    """Say with which types rows of a schema are stored.

    Strings of any layout become ``string``, unsigned integers the next wider signed ones, instants of any zone and unit
    ``timestamp[us, UTC]``; every column is nullable. A narrower number in a column that the table knows takes the
    table's type; a column without a type (all null) takes the table's.

    Args:
        schema: Schema of the incoming rows.
        table: The table's name, for messages.
        known: The table's schema; None when there is no table.

    Returns:
        The incoming columns in their order, with the types in which they are stored.

    Raises:
        SchemaError: A column is named twice, named as Delta does not allow, of a type that the lake does not store, or
            of another type than the table's.
    """
    import pyarrow as pa

    existing = {field.name.lower(): field for field in known} if known is not None else {}
    seen: set[str] = set()
    fields = []
    for field in schema:
        name = field.name
        where = f"table {table}, column {name}"
        if not name or _FORBIDDEN_IN_NAMES & set(name):
            raise SchemaError("a column's name is empty or has a character that tables do not allow", where=where)
        if name.lower() in seen:
            raise SchemaError("two columns have one name, or names that differ only in case", where=where)
        seen.add(name.lower())
        other = existing.get(name.lower())
        if other is not None and other.name != name:
            raise SchemaError("the table has this column in another case", where=where, allowed=(other.name,))
        if pa.types.is_null(field.type):
            if other is None:
                raise SchemaError("a new column has no type, all its values are null", where=where)
            wanted = other.type
        else:
            wanted = _stored(field.type, where=where)
            if other is not None and not wanted.equals(other.type):
                if not _widens(wanted, other.type):
                    raise SchemaError(
                        f"the column changes its type: rows have {wanted}, the table has {other.type}",
                        where=where,
                        allowed=(str(other.type),),
                        next_step="give the changed column a new name, or cast the rows to the table's type",
                    )
                wanted = other.type
        fields.append(pa.field(name, wanted, nullable=True))
    if not fields:
        raise SchemaError("rows have no columns", where=f"table {table}")
    return pa.schema(fields)


def cast(
    rows: pa.Table | pa.RecordBatchReader, schema: pa.Schema, *, table: str, failures: list[SchemaError]
) -> pa.Table | pa.RecordBatchReader:
    """Bring rows to the types in which they are stored.

    Args:
        rows: A table, or a stream, which stays a stream.
        schema: What :func:`lake_schema` gave for these rows.
        table: The table's name, for messages.
        failures: Takes the error of a stream, which a consumer outside Python would swallow.

    Returns:
        Rows of exactly that schema.

    Raises:
        SchemaError: A value does not fit, e.g. an instant with nanoseconds; for a stream, when that batch is read.
    """
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return _cast_table(rows, schema, table=table)
    return pa.RecordBatchReader.from_batches(schema, _cast_batches(rows, schema, table, failures))


def readable(stored: pa.DataType, wanted: pa.DataType) -> bool:
    """Say whether a stored column may be read as another type without losing anything.

    Args:
        stored: Type in the table's log.
        wanted: Type in the reader's contract.

    Returns:
        True for equal types, wider numbers, and integers read as ``float64``. Text is never read as a number: there is
        one grammar for that, in ``checks``.
    """
    import pyarrow as pa

    if stored.equals(wanted) or _widens(stored, wanted):
        return True
    if pa.types.is_integer(stored) and pa.types.is_float64(wanted):
        return True
    return bool(pa.types.is_string(stored) and (pa.types.is_large_string(wanted) or pa.types.is_string_view(wanted)))


def _cast_table(rows: pa.Table, schema: pa.Schema, *, table: str) -> pa.Table:
    import pyarrow as pa

    if rows.schema.equals(schema):
        return rows
    columns = []
    for column, field in zip(rows.columns, schema, strict=True):
        try:
            columns.append(column if column.type.equals(field.type) else column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            # The Arrow message would show the value, which may be a subscriber's.
            raise SchemaError(
                f"a value does not fit the stored type {field.type} without loss",
                where=f"table {table}, column {field.name}",
            ) from None
    return pa.Table.from_arrays(columns, schema=schema)


def _cast_batches(
    rows: pa.RecordBatchReader, schema: pa.Schema, table: str, failures: list[SchemaError]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in rows:
        try:
            stored = _cast_table(pa.Table.from_batches([batch]), schema, table=table)
        except SchemaError as error:
            failures.append(error)
            raise
        yield from stored.to_batches()


def _stored(kind: pa.DataType, *, where: str) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _stored(kind.value_type, where=where)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", _stored(kind.value_type, where=where), nullable=True))
    if types.is_struct(kind):
        return pa.struct([pa.field(part.name, _stored(part.type, where=where), nullable=True) for part in kind])
    if types.is_timestamp(kind) and kind.tz is None:
        raise SchemaError("an instant has no time zone", where=where, next_step="convert it: timestamp[us, UTC]")
    stored = _stored_scalar(kind)
    if stored is None:
        raise SchemaError(f"the lake does not store {kind}", where=where, allowed=_STORED)
    return stored


def _stored_scalar(kind: pa.DataType) -> pa.DataType | None:
    import pyarrow as pa

    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC")
    if types.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64(), 64: pa.int64()}[kind.bit_width]
    as_it_is = (types.is_boolean, types.is_integer, types.is_float32, types.is_float64, types.is_date32)
    if any(check(kind) for check in (*as_it_is, types.is_decimal128)):
        return kind
    return None


def _widens(narrow: pa.DataType, wide: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_integer(narrow) and pa.types.is_integer(wide):
        return bool(narrow.bit_width <= wide.bit_width)
    return bool(pa.types.is_float32(narrow) and pa.types.is_float64(wide))
