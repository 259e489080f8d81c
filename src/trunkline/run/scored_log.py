"""The log of all answers as a batch writes it: blocks of scored rows become rows of ``platform.predictions``.

Takes rows and answers, gives rows of the log by whole columns; several threads may do so at once.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.checks import arrow_schema
from trunkline.contracts.records import PredictionLog

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from trunkline.engine import Engine
    from trunkline.spec import UseCase
    from trunkline.tasks import Model, Progress

__all__ = ["EXPLAINED_ROWS", "JsonRows", "ScoredLog", "reasons_of"]

EXPLAINED_ROWS: Final = 5_000
"""Rows that are explained between two words on how far it is: reasons take a thousand times as long as scores."""

_SHORT: Final = 12
_JSON_ROWS: Final = 100_000
_PLACE: Final = "_place"


class JsonRows:
    """Writes each row as one JSON object, a block of rows at once.

    Args:
        engine: Writes them.
        schema: Of the rows to come.
    """

    def __init__(self, engine: "Engine", schema: "pa.Schema") -> None:
        import pyarrow as pa

        self._by_hand = engine.capabilities.distributed  # the rows are here, and would have to travel
        self._as_text = [place for place, column in enumerate(schema) if _has_no_json(column.type)]
        self._empty = not schema.names
        if self._by_hand or self._empty:
            return
        for place in self._as_text:
            schema = schema.set(place, pa.field(schema.field(place).name, pa.string()))
        self._write = engine.compiled(_written, schema.append(pa.field(_PLACE, pa.int64())))

    def __call__(self, rows: "pa.Table") -> "pa.Array | pa.ChunkedArray":
        """Write rows of the schema.

        Returns:
            Text, in the order of the rows; an object without members where there are no columns.
        """
        import pyarrow as pa

        if self._empty or not rows.num_rows:
            return pa.array(["{}"] * rows.num_rows, pa.string())
        if self._by_hand:
            return pa.array([json.dumps(row, default=str) for row in rows.to_pylist()], pa.string())
        for place in self._as_text:
            texts = [None if value is None else str(value) for value in rows.column(place).to_pylist()]
            rows = rows.set_column(place, rows.column_names[place], pa.array(texts, pa.string()))
        blocks = (rows.slice(start, _JSON_ROWS) for start in range(0, rows.num_rows, _JSON_ROWS))
        return pa.chunked_array([chunk for block in blocks for chunk in self._texts(block)], pa.string())

    def _texts(self, block: "pa.Table") -> "Sequence[pa.Array]":
        import pyarrow as pa

        found = self._write(block.append_column(_PLACE, pa.array(range(block.num_rows), pa.int64())))
        places = found.column(_PLACE).to_numpy()
        if (places[1:] < places[:-1]).any():  # sorted by the engine, every text would be moved
            found = found.take(pa.array(places.argsort(kind="stable")))
        chunks: list[pa.Array] = found.column("written").chunks
        return chunks


def _written(rows: "ir.Table") -> "ir.Table":
    import ibis

    values = ibis.struct({name: rows[name] for name in rows.columns if name != _PLACE})
    return rows.select(_PLACE, written=values.cast("json").cast("string"))


def _has_no_json(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_temporal(kind) or types.is_decimal(kind))


class ScoredLog:
    """Rows of the log from the rows and answers of one batch.

    Args:
        usecase: The use case.
        model: Answered; the columns that it reads are logged.
        version: Its version.
        run_id: Under which the answers are logged.
        at: When they were given.
        engine: Writes the columns as JSON.
        schema: Of the rows to come.
        batch: Hash of the file that was scored, which stands in the ids of its rows, since a run id may have several
            files; None for rows of the lake.
    """

    def __init__(
        self,
        usecase: "UseCase",
        *,
        model: "Model",
        version: str,
        run_id: str,
        at: datetime,
        engine: "Engine",
        schema: "pa.Schema",
        batch: str | None = None,
    ) -> None:
        import pyarrow as pa

        self._usecase = usecase
        self._same = {
            "request_id": run_id,
            "usecase": usecase.name,
            "model_version": version,
            "alias": "champion",
            "channel": "batch",
            "predicted_at": at,
        }
        self._named = run_id if batch is None else f"{run_id}-{batch[:_SHORT]}"
        self._logged = [name for name in model.info.columns if name in schema.names]
        self._features = JsonRows(engine, pa.schema([schema.field(name) for name in self._logged]))

    def rows(
        self, rows: "pa.Table", answers: "pa.Table", *, reasons: Sequence[str] | None = None, first: int = 0
    ) -> "pa.Table":
        """Give the log's rows of a block.

        Args:
            rows: The block, of the schema.
            answers: As the model gave them for these rows.
            reasons: As :func:`reasons_of` gave them; None where nobody asked.
            first: How many rows of the batch stand before the block.

        Returns:
            Rows of :class:`~trunkline.contracts.records.PredictionLog`, in order.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        from trunkline.train import entity_keys

        schema = arrow_schema(PredictionLog)
        places = pa.array(range(first, first + rows.num_rows), pa.int64()).cast(pa.string())
        columns = {
            **self._same,
            "prediction_id": pc.binary_join_element_wise(f"{self._named}-", places, ""),
            "entity_key": entity_keys(self._usecase, rows) if self._usecase.entity_key else None,
            "score": answers.column(0),
            "decision": answers.column("decision") if "decision" in answers.column_names else None,
            "features": self._features(rows.select(self._logged)),
            "reasons": None if reasons is None else pa.array(reasons, pa.string()),
        }
        return pa.table(
            {one.name: _filled(columns[one.name], rows.num_rows, one.type) for one in schema}, schema=schema
        )


def reasons_of(
    model: "Model", rows: "pa.Table", top: int, *, progress: "Progress" = lambda _phase, _share: None
) -> list[str] | None:
    """The features that moved each score most, as JSON, a block of rows at once; None where nobody asked."""
    if not top:
        return None
    found: list[str] = []
    for start in range(0, rows.num_rows, EXPLAINED_ROWS):
        progress("reasons", start / rows.num_rows)
        explained = model.explain(rows.slice(start, EXPLAINED_ROWS), top=top)
        found += [json.dumps(row) for row in explained.column("reasons").to_pylist()]
    return found


def _filled(values: object, count: int, kind: "pa.DataType") -> "pa.Array | pa.ChunkedArray":
    """A column of the log: its values, or one value for all rows."""
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind)
    return pa.repeat(pa.scalar(values, kind), count)
