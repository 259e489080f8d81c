"""Flat objects of JSON, one a line, straight into columns: Arrow parses them, and no object is made of a record.

Gives what :mod:`trunkline.ingest.formats.json_values` gives for the same lines, or nothing where that could differ:
another thing than an object on a line, a list or an object inside one, a name that stands twice in an object, values
of several types under one name, whole numbers that Arrow would round, numbers that JSON does not have (``NaN``), texts
that are no UTF-8. Such lines are for the way record by record, which takes several times as long.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trunkline.contracts import Contract
from trunkline.contracts.judging import is_judged_by_text, names_of
from trunkline.contracts.written import form_of
from trunkline.ingest.formats.json_values import json_record

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FlatLines"]

_EXACT: Final = 1 << 53
"""Whole numbers below are the same as 64-bit floats."""

_USUAL: Final[Mapping[str, str]] = {"number": "float64", "integer": "int64", "flag": "bool_"}
"""What values mostly are in JSON, by the kind of their field; text else."""

_SHARED_BYTES: Final = 1 << 20
"""From so many bytes on it pays to convert columns on several threads."""


class FlatLines:
    """Reads lines of one contract's records.

    Args:
        contract: What the records must look like.
        mapping: Name in the records to field name; wins over the contract's own names.
    """

    def __init__(self, contract: type[Contract], mapping: Mapping[str, str] | None = None) -> None:
        self._field_of = {
            **names_of(contract.columns),
            **{name.strip().lower(): field for name, field in (mapping or {}).items()},
        }
        self.free_numbers = frozenset(
            column.name
            for column in contract.columns
            if column.kind == "number" and form_of(column) is None and not is_judged_by_text(contract.table, column)
        )
        """Fields of which only the value counts, and not how it is written."""
        self._usual = {
            column.name: _USUAL.get(column.kind, "string")
            if column.kind != "number" or column.name in self.free_numbers
            else "string"
            for column in contract.columns
        }

    def field(self, name: str) -> str | None:
        """Name the field that a name in a record means; None where it is no field's."""
        return self._field_of.get(name.strip().lower())

    def read(self, lines: bytes) -> "pa.Table | None":
        """Read lines.

        Args:
            lines: One object a line.

        Returns:
            Texts, a column for each name that occurs and for each field; numbers may be written otherwise where only
            their value counts. None where the lines are not of that form.
        """
        import pyarrow as pa
        from pyarrow import json

        first = json_record(lines.partition(b"\n")[0])
        if first is None or not _is_line_by_line(lines):
            return None
        schema = self._schema(first)
        if schema is None:
            return None
        try:
            table = json.read_json(
                pa.BufferReader(lines),
                read_options=json.ReadOptions(use_threads=len(lines) > _SHARED_BYTES, block_size=len(lines) + 1),
                parse_options=json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows != lines.count(b"\n") + 1:  # several objects on a line
            return None
        columns = [self._texts(name, table.column(name)) for name in table.column_names]
        return None if None in columns else pa.table(columns, names=table.column_names)

    def _schema(self, first: Mapping[str, object]) -> "pa.Schema | None":
        """The types of the names that are fields', as the first record has them; None where it is not flat."""
        import pyarrow as pa

        types = {name: getattr(pa, self._usual[name])() for name in self._usual}
        for name, value in first.items():
            if isinstance(value, list | dict):
                return None
            field = self.field(name)
            if field is not None:
                types[name] = getattr(pa, self._type(field, value))()
        return pa.schema(list(types.items()))

    def _type(self, field: str, value: object) -> str:
        if value is None:
            return self._usual[field]
        if isinstance(value, bool):
            return "bool_"
        if isinstance(value, int):
            return "float64" if field in self.free_numbers else "int64"
        return "float64" if isinstance(value, float) else "string"

    def _texts(self, name: str, values: "pa.ChunkedArray") -> "pa.ChunkedArray | None":
        """Give the texts of a column; None where they may differ from those of its values one by one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kind, field = values.type, self.field(name)
        if pa.types.is_floating(kind):
            if field is not None and field not in self.free_numbers:
                return None
            if pc.any(pc.invert(pc.less(pc.abs(values), _EXACT))).as_py():  # also what is not a number
                return None
        elif not (
            pa.types.is_string(kind) or pa.types.is_int64(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
        ):
            return None
        return values.cast(pa.string())


def _is_line_by_line(lines: bytes) -> bool:
    """Whether each line is an object from its first to its last sign, as far as is seen without parsing it.

    An object that begins on a line and ends on another would need a line that ends in ``}`` and is followed by one that
    begins with ``{`` inside of it, where JSON has a comma; so what Arrow reads from such lines ends with them.
    """
    if not (lines.startswith(b"{") and lines.endswith(b"}")) or lines.count(b"}\n{") != lines.count(b"\n"):
        return False
    if b"\\ud" in lines or b"\\uD" in lines:  # halves of a pair
        return False
    try:
        return lines.isascii() or bool(lines.decode())
    except UnicodeDecodeError:
        return False
