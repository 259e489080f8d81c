"""One row judged three ways: at the edge, by Pydantic, and by the vectorised split on every engine."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import count

import ibis
import pyarrow as pa
import pytest
from pydantic import ValidationError

from trunkline.checks import ROW, BlockJudge, edge_validator, resolve_columns, split_expression, unfused
from trunkline.contracts import Contract
from trunkline.engine import Engine, open_engine

Verdict = tuple[tuple[str, ...], Mapping[str, object]]
"""All reasons, and the typed row; the row is empty where there are reasons."""


@pytest.fixture(scope="session", params=["duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with open_engine(request.param, threads=1) as opened:
        yield opened


class Split:
    """The split of one contract, compiled once, over rows of text."""

    def __init__(self, engine: Engine, contract: type[Contract], *, name: str, optional: Sequence[str] = ()) -> None:
        self.connection = engine.connection
        self.name = name
        self.names = [column.name for column in contract.columns]
        self.schema = pa.schema([pa.field(ROW, pa.int64()), *(pa.field(part, pa.string()) for part in self.names)])
        raw = ibis.table(ibis.Schema.from_pyarrow(self.schema), name=name)
        resolution = resolve_columns(contract, self.names, optional=optional)
        self.split = split_expression(contract, raw, resolution)
        with unfused():
            self.sql = self.connection.compile(self.split.table.order_by(ROW))

    def judge(self, rows: Sequence[Mapping[str, str | None]]) -> list[Verdict]:
        raw = pa.Table.from_pylist([{ROW: number, **row} for number, row in enumerate(rows)], schema=self.schema)
        self.connection.con.register(self.name, raw)
        found = self.connection.con.sql(self.sql).to_arrow_table().to_pylist()
        assert [row[ROW] for row in found] == list(range(len(rows)))
        return [
            plain(self.split.decode([row[mask] for mask in self.split.masks]), {name: row[name] for name in self.names})
            for row in found
        ]


class Blocks:
    """The same by blocks: Arrow types and judges."""

    def __init__(self, contract: type[Contract], *, optional: Sequence[str] = ()) -> None:
        self.names = [column.name for column in contract.columns]
        self.resolution = resolve_columns(contract, self.names, optional=optional)
        self.judged = BlockJudge(contract, self.resolution)

    def judge(self, rows: Sequence[Mapping[str, str | None]]) -> list[Verdict]:
        texts = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in self.names}
        block = self.judged.judge(texts, rows=len(rows))
        reasons = dict(zip(block.refused.tolist(), block.reasons, strict=True))
        return [plain(reasons.get(place, ()), row) for place, row in enumerate(block.rows.to_pylist())]


def plain(reasons: Sequence[str], row: Mapping[str, object]) -> Verdict:
    return (tuple(reasons), {} if reasons else {name: comparable(value) for name, value in row.items()})


def comparable(value: object) -> object:
    """A value with its type; -0.0 and 0.0 are told apart, and instants compared by their UTC text."""
    if isinstance(value, float):
        assert math.isfinite(value)
        return ("float", value.hex())
    if isinstance(value, datetime):
        return ("instant", value.isoformat())
    if isinstance(value, date):
        return ("day", value.isoformat())
    return (type(value).__name__, value)


def at_the_edge(contract: type[Contract], rows: Sequence[object]) -> list[Verdict]:
    validator = edge_validator(contract)
    return [plain(judged.reasons, judged.row) for judged in map(validator.judge, rows)]


def by_pydantic(contract: type[Contract], rows: Sequence[object]) -> list[Verdict]:
    verdicts = []
    for row in rows:
        try:
            verdicts.append(plain((), contract.model_validate(row).model_dump()))
        except ValidationError as error:
            (found,) = error.errors()
            verdicts.append(plain(found["ctx"]["reasons"].split(", "), {}))
    return verdicts


AllVerdicts = Callable[[type[Contract], Sequence[Mapping[str, str | None]]], list[Verdict]]


@pytest.fixture(scope="session")
def verdicts(engine: Engine) -> AllVerdicts:
    """Judge rows of text in all ways, prove that they agree, and give the verdicts."""
    splits: dict[str, Split] = {}
    blocks: dict[str, Blocks] = {}
    numbers = count()

    def judge(contract: type[Contract], rows: Sequence[Mapping[str, str | None]]) -> list[Verdict]:
        name = f"{contract.__module__}.{contract.__qualname__}"
        if name not in splits:
            splits[name] = Split(engine, contract, name=f"raw_{next(numbers)}")
            blocks[name] = Blocks(contract)
        edge = at_the_edge(contract, rows)
        for row, one, other in zip(rows, edge, by_pydantic(contract, rows), strict=True):
            assert one == other, f"edge and Pydantic differ on {row!r}"
        for row, one, other in zip(rows, edge, splits[name].judge(rows), strict=True):
            assert one == other, f"edge and split differ on {row!r}"
        for row, one, other in zip(rows, edge, blocks[name].judge(rows), strict=True):
            assert one == other, f"edge and blocks differ on {row!r}"
        for row, one in zip(rows, edge, strict=True):  # alone, so that one odd text does not send a block another way
            assert blocks[name].judge([row]) == [one], f"edge and a block of one differ on {row!r}"
        return edge

    return judge


@pytest.fixture(scope="session")
def edge_verdicts() -> Callable[[type[Contract], Sequence[object]], list[Verdict]]:
    """Judge decoded JSON at the edge and by Pydantic, prove that they agree, and give the verdicts."""

    def judge(contract: type[Contract], rows: Sequence[object]) -> list[Verdict]:
        edge = at_the_edge(contract, rows)
        assert edge == by_pydantic(contract, rows)
        return edge

    return judge


@pytest.fixture(scope="session")
def as_verdict() -> Callable[[Sequence[str], Mapping[str, object]], Verdict]:
    """Put reasons and a row in the form in which verdicts are compared."""
    return plain
