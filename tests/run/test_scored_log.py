"""The log of a batch, written by whole columns, is the one that was written row by row."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trunkline.engine import open_engine
from trunkline.plugins import load_usecase
from trunkline.run import scored_log
from trunkline.run.scored_log import JsonRows, reasons_of
from trunkline.spec import UseCase
from trunkline.tasks import Classification, Model

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


def test_rows_are_written_as_json_writes_them() -> None:
    rows = pa.table(
        {
            "number": pa.array([0.1, 1e300, None, -0.0, 5e-324, 1 / 3]),
            "integer": pa.array([1, None, -(2**53), 2**62, 0, 7]),
            "flag": pa.array([True, False, None, True, True, False]),
            "text": pa.array(['a "b"', "é\n\\", None, "", "\u2028\U0001f4f1", "</script>"]),
            "category": pa.array(["x", "y", None, "x", "y", "x"]).dictionary_encode(),
            "at": pa.array([datetime(2026, 1, 1, 12, tzinfo=UTC), *[None] * 5], pa.timestamp("us", "UTC")),
            "odd name": pa.array([1, 2, 3, 4, 5, 6]),
        }
    )
    with open_engine("duckdb", threads=2) as engine:
        written = JsonRows(engine, rows.schema)(rows).to_pylist()
    assert [json.loads(text) for text in written] == [
        json.loads(json.dumps(row, default=str)) for row in rows.to_pylist()
    ]


def test_blocks_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2_345
    monkeypatch.setattr(scored_log, "_JSON_ROWS", 100)
    rows = pa.table({"place": pa.array(range(count))})
    with open_engine("duckdb", threads=2) as engine:
        written = JsonRows(engine, rows.schema)(rows).to_pylist()
    assert [json.loads(text)["place"] for text in written] == list(range(count))


def test_no_columns_and_no_rows_are_written_too() -> None:
    none, two = pa.table({"a": pa.array([], pa.int64())}), pa.table({"a": [1, 2]}).select([])
    with open_engine("duckdb", threads=1) as engine:
        assert JsonRows(engine, none.schema)(none).to_pylist() == []
        assert JsonRows(engine, two.schema)(two).to_pylist() == ["{}"] * two.num_rows


def trained_on_some() -> tuple[UseCase, Model]:
    usecase = load_usecase("leavers", plugin_dir=PLUGINS)
    assert isinstance(usecase.task, Classification)
    model = usecase.task.train(simulated(usecase, 600), seed=0).model
    assert isinstance(model, Model)
    return usecase, model


def simulated(usecase: UseCase, rows: int, *, seed: int = 0) -> pa.Table:
    assert usecase.simulate is not None
    return usecase.simulate(rows=rows, seed=seed).tables["subscribers"]


def test_reasons_are_those_of_the_rows_and_how_far_they_are_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    usecase, model = trained_on_some()
    rows = simulated(usecase, 25, seed=1)
    monkeypatch.setattr(scored_log, "EXPLAINED_ROWS", 10)
    told: list[tuple[str, float]] = []
    found = reasons_of(model, rows, 2, progress=lambda phase, share: told.append((phase, share)))
    assert found == [json.dumps(row) for row in model.explain(rows, top=2).column("reasons").to_pylist()]
    assert told == [("reasons", 0.0), ("reasons", 0.4), ("reasons", 0.8)]


def test_threads_change_no_score() -> None:
    usecase, model = trained_on_some()
    rows = simulated(usecase, 110_000, seed=1)
    alone, together = (model.predict(rows, threads=threads).column("score").to_numpy() for threads in (1, 3))
    assert np.array_equal(alone, together)
