"""How far many sources are, read from the log at once: what delta-rs says of each of them."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from trunkline.lake import Lake, Transaction, log
from trunkline.lake.delta import filesystem

TABLE = "s.t"
SOURCES = [f"source {number}" for number in range(30)]


def fill(lake: Lake, *, commits: int) -> DeltaTable:
    """Commits of several sources each; later ones say of earlier sources that they went on."""
    for commit in range(commits):
        covers = [Transaction(SOURCES[(commit * 4 + place) % 27], commit + 1) for place in range(12)]
        rows = pa.table({"txn": [f'"txn" {commit}'], "number": [commit]})  # a name in the statistics is no transaction
        lake.append(TABLE, rows, transaction=covers, metadata={"note": '{"txn": 1}'})
    return DeltaTable(Path(lake.root, "s", "t"))


@pytest.mark.parametrize("checkpoint_every", [3, 100])
def test_all_at_once_is_what_is_said_of_each(make_lake: Callable[..., Lake], checkpoint_every: int) -> None:
    lake = make_lake(checkpoint_every=checkpoint_every)
    table = fill(lake, commits=11)
    said = {one: table.transaction_version(one) for one in SOURCES}
    assert len({at for at in said.values() if at is not None}) > 3
    assert lake.transaction_versions(TABLE, SOURCES) == {one: at for one, at in said.items() if at is not None}
    store = filesystem(str(table.table_uri), {})
    is_cut = any(file.is_checkpoint for file in log.listing(store))
    assert is_cut == (checkpoint_every == 3)
    early = DeltaTable(table.table_uri, version=4)
    known = log.transactions(store, version=4)
    assert known == {one: at for one in SOURCES if (at := early.transaction_version(one)) is not None}


def test_a_log_that_was_cut_is_not_guessed_at(lake: Lake) -> None:
    table = fill(lake, commits=5)
    store = filesystem(str(table.table_uri), {})
    assert log.transactions(store, version=4) is not None
    Path(lake.root, "s", "t", "_delta_log", f"{2:020d}.json").unlink()
    assert log.transactions(store, version=4) is None


def test_what_cannot_be_read_at_once_is_asked_for_each(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(checkpoint_every=3)
    table = fill(lake, commits=5)
    said = {one: at for one in SOURCES if (at := table.transaction_version(one)) is not None}
    folder = Path(lake.root, "s", "t", "_delta_log")
    (checkpoint,) = folder.glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"")  # as a power cut may leave it; all commits are there
    (folder / "_last_checkpoint").unlink()
    assert log.transactions(filesystem(str(table.table_uri), {}), version=4) is None
    assert lake.transaction_versions(TABLE, SOURCES) == said


def test_many_sources_are_committed_once(lake: Lake) -> None:
    rows = pa.table({"number": [1]})
    covers = [Transaction(one, 1) for one in SOURCES]
    assert [lake.append(TABLE, rows, transaction=covers) for _ in range(2)] == [0, 0]
    assert lake.arrow(TABLE).num_rows == 1
