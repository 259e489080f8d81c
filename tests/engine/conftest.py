"""Engines under test, by name. A new engine is one more name here."""

from collections.abc import Iterator

import pytest

from trunkline.engine import Engine, open_engine


@pytest.fixture(params=["duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with open_engine(request.param, threads=1) as opened:
        yield opened
