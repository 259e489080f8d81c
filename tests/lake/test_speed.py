"""How fast is fast enough, in processor time, which neighbours on the machine do not change much."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trunkline.lake import Lake

pytestmark = pytest.mark.slow


def test_a_million_rows_are_appended_in_about_a_second(lake: Lake) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.normal(size=1_000_000) for number in range(15)}
    columns |= {f"t{number}": pa.array(rng.integers(0, 1000, 1_000_000).astype(str)) for number in range(5)}
    rows = pa.table(columns)
    before = time.process_time()
    lake.append("a.b", rows)
    assert time.process_time() - before < 2.0
    assert lake.arrow("a.b", columns=["x0"]).num_rows == 1_000_000


def test_a_log_of_600_commits_is_opened_from_a_checkpoint(
    make_lake: Callable[..., Lake], forward: Callable[[timedelta], None]
) -> None:
    lake = make_lake(log_retention=0, vacuum_grace=0, deleted_file_retention=0)
    row = pa.table({"a": [1]})
    for _ in range(600):
        lake.append("a.b", row)
    log = Path(lake.root, "a", "b", "_delta_log")
    checkpoints = [int(path.name[:20]) for path in log.glob("*.checkpoint.parquet")]
    assert 599 - max(checkpoints) < 20, "a reader replays at most the commits since the last checkpoint"
    before = time.process_time()
    for _ in range(10):
        assert lake.version("a.b") == 599
    assert time.process_time() - before < 1.0
    assert lake.arrow("a.b").num_rows == 600
    forward(timedelta(minutes=5))
    lake.maintain(pins={})
    assert len(list(log.iterdir())) < 60
    assert lake.arrow("a.b").num_rows == 600
