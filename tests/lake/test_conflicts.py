"""Writers outside Trunkline take no lock: their commits are conflicts, tried again, and never overwritten."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from trunkline.errors import ConflictError
from trunkline.lake import Lake, delta

T = "a.b"


@pytest.fixture
def outsider(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], list[int]]:
    """Let an outsider commit just before a write of ours, some times in a row; gives the list of our attempts."""

    def prepare(times: int, mode: str) -> list[int]:
        tries: list[int] = []
        ours = delta.write

        def write(*given: object, **named: object) -> int:
            tries.append(1)
            if len(tries) <= times:
                rows = pa.table({"id": [f"outsider {len(tries)}"], "a": [0]})
                write_deltalake(str(Path(lake.root, "a", "b")), rows, mode=mode)  # type: ignore[call-overload]  # by name
            return ours(*given, **named)  # type: ignore[arg-type]  # handed through

        monkeypatch.setattr(delta, "write", write)
        return tries

    return prepare


def ids(lake: Lake) -> list[str]:
    return sorted(lake.arrow(T).column("id").to_pylist())


def test_a_conflict_is_tried_again_on_a_new_snapshot(lake: Lake, outsider: Callable[[int, str], list[int]]) -> None:
    lake.append(T, pa.table({"id": ["x"], "a": [1]}))
    tries = outsider(2, "overwrite")
    lake.replace(T, pa.table({"id": ["ours"], "a": [1]}))
    assert len(tries) == 3
    assert ids(lake) == ["ours"]


def test_an_append_meets_no_conflict_with_appends(lake: Lake, outsider: Callable[[int, str], list[int]]) -> None:
    lake.append(T, pa.table({"id": ["x"], "a": [1]}))
    tries = outsider(1, "append")
    lake.append(T, pa.table({"id": ["y"], "a": [1]}))
    assert len(tries) == 1
    assert ids(lake) == ["outsider 1", "x", "y"]


def test_after_enough_attempts_it_is_a_conflict(
    make_lake: Callable[..., Lake], outsider: Callable[[int, str], list[int]]
) -> None:
    lake = make_lake(commit_attempts=2)
    lake.append(T, pa.table({"id": ["x"], "a": [1]}))
    tries = outsider(99, "overwrite")
    with pytest.raises(ConflictError):
        lake.replace(T, pa.table({"id": ["ours"], "a": [1]}))
    assert len(tries) == 2
    assert ids(lake) == ["outsider 2"]


def test_a_stream_cannot_be_tried_twice(lake: Lake, outsider: Callable[[int, str], list[int]]) -> None:
    lake.append(T, pa.table({"id": ["x"], "a": [1]}))
    tries = outsider(1, "overwrite")
    with pytest.raises(ConflictError):
        lake.replace(T, pa.table({"id": ["ours"], "a": [1]}).to_reader())
    assert len(tries) == 1


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_folding_rows_loses_nothing_of_an_outsider(
    lake: Lake, outsider: Callable[[int, str], list[int]], mode: str
) -> None:
    for number in range(3):
        lake.append(T, pa.table({"id": ["x"], "a": [number]}))
    outsider(1, mode)
    lake.compact(T, key=["id"], newest_by=["a"])
    kept = ids(lake)
    assert kept == (["outsider 1", "x"] if mode == "append" else ["outsider 1"])


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_erasing_loses_nothing_of_an_outsider(lake: Lake, outsider: Callable[[int, str], list[int]], mode: str) -> None:
    lake.append(T, pa.table({"id": ["x", "y"], "a": [1, 2]}))
    outsider(1, mode)
    try:
        lake.erase(T, "id", ["y"])
    except ConflictError:
        lake.erase(T, "id", ["y"])
    assert ids(lake) == (["outsider 1", "x"] if mode == "append" else ["outsider 1"])
