"""One Spark for all tests of this folder that need no cluster."""

import gc
import warnings
from collections.abc import Iterator

import pytest

from trunkline.engine import Engine, open_engine


@pytest.fixture(scope="session")
def spark() -> Iterator[Engine]:
    with open_engine("spark", threads=1) as engine:
        assert engine.connection
        yield engine
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # py4j leaves the sockets between Python and Java to it
