"""Engines under test, by name. A new engine is one more name here."""

import gc
import warnings
from collections.abc import Iterator

import pytest

from trunkline.engine import Engine, open_engine
from trunkline.engine.spark.java import demand_java
from trunkline.errors import TrunklineError

SPARK = (
    pytest.mark.spark,
    # py4j leaves the sockets between Python and Java to the garbage collector
    pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
)


@pytest.fixture(scope="session")
def spark_application() -> Iterator[None]:
    """Keep one Spark application for all tests: the engines of a process share it."""
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'trunkline[spark]'")
    try:
        demand_java()
    except TrunklineError as error:
        pytest.skip(f"{error.what}: {error.next_step}")
    with open_engine("spark", threads=1) as kept:
        assert kept.connection
        yield
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=SPARK)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "spark":
        request.getfixturevalue("spark_application")
    with open_engine(request.param, threads=1) as opened:
        yield opened
