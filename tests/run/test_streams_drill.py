"""A shorter form of the drill of streams: the edge killed at full load, and connections cut."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def drill(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("drill_of_streams", repository / "drills" / "streams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("case", ["edge_killed", "connections_cut"])
def test_nothing_acknowledged_is_lost_or_there_twice(drill: ModuleType, tmp_path: Path, case: str) -> None:
    found = getattr(drill, case)(tmp_path, kills=1)
    assert found["passed"]
    assert (found["lost"], found["duplicated"], found["windows_differ"]) == (0, 0, 0)
    assert found["points"] >= 1


@pytest.mark.servers
def test_memory_and_files_stay_flat_for_two_minutes_of_a_steady_load_with_maintenance(
    drill: ModuleType, tmp_path: Path
) -> None:
    found = drill.soak(tmp_path, seconds=120)
    assert found["passed"], found
    assert (found["lost"], found["duplicated"], found["windows_differ"]) == (0, 0, 0)
    assert len(found["files"]) >= 8
    assert found["acknowledged"] > 0


@pytest.mark.slow
def test_memory_stays_flat_while_more_comes_than_there_is_room_for(drill: ModuleType, tmp_path: Path) -> None:
    found = drill.overloaded(tmp_path, seconds=10)
    assert found["passed"], found
    assert found["refused"] > 100
    assert (found["lost"], found["duplicated"], found["windows_differ"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        ([400, 500, 505, 498, 503, 900, 501, 499], False),  # the start and one peak are no growth
        ([400, 500, 530, 560, 590, 620, 650, 680], True),
        ([500, 505, 498, 503, 501, 499, 504, 900], False),
        ([500, 440, 460, 480, 500, 520, 540, 560], True),  # though it ends not far above its begin
    ],
)
def test_growth_is_told_by_the_slope_of_all_and_not_by_single_values(
    drill: ModuleType, values: list[float], grows: bool
) -> None:
    told = drill.Told()
    drill.refuse_growth(told, "memory", values, share=0.05, room=10)
    assert bool(told.wrong) is grows


def test_the_judge_sees_what_is_lost_doubled_and_halved(drill: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"device_id": "d", "session_id": "a-0-1", "sensor": "s", "read_at": at} for at in range(drill.READINGS)]
    stored = {"readings": [*rows[1:], rows[5], {**rows[0], "session_id": "a-0-2"}]}
    monkeypatch.setattr(drill, "stored", lambda _workspace, table, _columns: stored[table])
    told = drill.Told(kept={"a-0-1"}, cut={"a-0-2"})
    assert drill.judged(Path(), told) == {"lost": 1, "duplicated": 1, "rows": drill.READINGS}
    assert any("half of a request" in line for line in told.wrong)
