"""Objects of JSON as rows of text.

Numbers and truths become their canonical texts. In NDJSON, as in requests to the API, an object or a list is no
scalar: its text begins with U+0000, which no kind accepts, so that its row is refused like any other. Documents,
which are often nested, are flattened: objects inside objects become columns with dotted names (``cell.id``), lists
become their JSON. Where a name holds an object in one record and a scalar in another, the object is marked with
U+0000 too, so that no value is lost silently; so are two values of one dotted name, and objects nested too deeply.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from trunkline.contracts.kinds import NUL, canonical_text
from trunkline.ingest.raw import BLOCK_BYTES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Flattened", "Opaque", "TextRows", "flat_text", "json_record", "scalar_text", "scalar_texts"]

_DEEPEST: Final = 32
_BATCH_ROWS: Final = 10_000
_BATCH_CELLS: Final = 2_000_000
_BATCH_BYTES: Final = 4 * BLOCK_BYTES


_ARROW: Final[Mapping[frozenset[type], str]] = {
    frozenset({float}): "float64",
    frozenset({int}): "int64",
    frozenset({int, float}): "float64",
    frozenset({bool}): "bool",
}


class Opaque(dict[str, object]):
    """An object whose keys are values and no names of columns: it stays one text of JSON."""


def json_record(text: bytes | str) -> dict[str, object] | None:
    """Read one object; None for anything else."""
    import orjson

    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def scalar_text(value: object) -> str | None:
    """Give the text by which a value is judged; what is no scalar is marked."""
    if value is None or isinstance(value, str):
        return value
    return NUL + _dumped(value) if isinstance(value, dict | list) else canonical_text(value)


def scalar_texts(values: Sequence[object], *, is_number: bool) -> "pa.Array":
    """Give the texts of :func:`scalar_text` for a column.

    A column whose values are of one type is turned by Arrow, which takes a tenth of the time.

    Args:
        values: As JSON gives them.
        is_number: Whether only the value of a number counts, and not how it is written: then numbers with a fraction
            may be written otherwise.
    """
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if not kinds or kinds == {str}:
        return pa.array(values, pa.string())
    kind = _ARROW.get(frozenset(kinds))
    if kind is not None and (is_number or kind != "float64"):
        try:
            return pa.array(values, kind).cast(pa.string())
        except (pa.ArrowInvalid, OverflowError):  # whole numbers that it cannot hold exactly
            pass
    return pa.array([scalar_text(value) for value in values], pa.string())


def flat_text(value: object) -> str | None:
    """Give the text by which a value of a flattened record is judged: a list's is its JSON, an object's is marked."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict) and not isinstance(value, Opaque):
        return NUL + _dumped(value)
    return _dumped(value) if isinstance(value, list | Opaque) else canonical_text(value)


def _dumped(value: object) -> str:
    import orjson

    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return NUL + "nested too deeply"


class Flattened:
    """Flattens records under one header.

    Args:
        header: The names of all columns, as ``names`` gives them.
    """

    def __init__(self, header: Iterable[str]) -> None:
        header = set(header)
        parents = {name[:place] for name in header for place, sign in enumerate(name) if sign == "."}
        self._mixed = frozenset(parents & header)

    @staticmethod
    def names(record: Mapping[str, object]) -> Iterable[str]:
        """Give the names of a record's columns."""
        return Flattened(()).values(record)

    def values(self, record: Mapping[str, object]) -> Mapping[str, object]:
        """Give a record's values by column."""
        if not any(isinstance(value, dict) for value in record.values()):
            return record
        found: dict[str, object] = {}
        for name, value in self._leaves(record, "", 0):
            found[name] = {name: [found[name], value]} if name in found else value
        return found

    def _leaves(self, record: Mapping[str, object], prefix: str, depth: int) -> Iterator[tuple[str, object]]:
        for key, value in record.items():
            name = prefix + key
            if not isinstance(value, dict) or isinstance(value, Opaque) or depth == _DEEPEST:
                yield name, value
            elif value:
                if name in self._mixed:
                    yield name, value
                yield from self._leaves(value, f"{name}.", depth + 1)


class TextRows:
    """Collects rows into batches of text, bounded in rows, cells and bytes.

    Args:
        header: Names of the columns.
        text: Gives the text of a value.
    """

    def __init__(self, header: tuple[str, ...], text: Callable[[object], str | None] = flat_text) -> None:
        self._header, self._text = header, text
        self._most_rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(len(header), 1)))
        self._clear()

    def _clear(self) -> None:
        self._columns: list[list[str | None]] = [[] for _ in self._header]
        self.rows, self._size = 0, 0

    def add(self, values: Mapping[str, object], *, size: int) -> bool:
        """Take a row; gives whether the batch is full.

        Args:
            values: By column; those that are absent are null.
            size: About how many bytes they have.
        """
        for name, column in zip(self._header, self._columns, strict=True):
            column.append(self._text(values.get(name)))
        return self._counted(size)

    def add_texts(self, texts: Iterable[str | None], *, size: int) -> bool:
        """Take a row of texts in the order of the header; gives whether the batch is full."""
        for text, column in zip(texts, self._columns, strict=True):
            column.append(text)
        return self._counted(size)

    def _counted(self, size: int) -> bool:
        self.rows += 1
        self._size += size
        return self.rows >= self._most_rows or self._size >= _BATCH_BYTES

    def batch(self) -> "pa.RecordBatch":
        """Give the rows collected, and begin anew."""
        import pyarrow as pa

        arrays = [pa.array(column, pa.string()) for column in self._columns]
        self._clear()
        return pa.RecordBatch.from_arrays(arrays, names=list(self._header))
