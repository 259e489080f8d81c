"""Which log files nobody needs: a pure function against a plain reading of the protocol."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trunkline.lake.log import LogFile, expendable, openable

START = datetime(2026, 1, 1, tzinfo=UTC)


def log_of(commits: int, every: int) -> list[LogFile]:
    """A log with a commit a minute and a checkpoint after every few."""
    files = []
    for version in range(commits):
        at = START + timedelta(minutes=version)
        if (version + 1) % every == 0:
            files.append(LogFile(f"_delta_log/{version:020d}.checkpoint.parquet", version, False, True, at))
        files.append(LogFile(f"_delta_log/{version:020d}.json", version, True, False, at))
    return files


def can_open(files: list[LogFile], version: int) -> bool:
    """The protocol, read plainly: some checkpoint at or before the version (or none, from 0), and all commits after."""
    commits = {file.version for file in files if file.is_commit}
    starts = {file.version for file in files if file.is_checkpoint and file.version <= version} | {-1}
    return any(all(step in commits for step in range(start + 1, version + 1)) for start in starts if version >= 0)


@given(
    commits=st.integers(1, 60),
    every=st.integers(1, 12),
    pins=st.sets(st.integers(0, 70), max_size=4),
    minutes=st.integers(-5, 70),
)
def test_what_is_needed_stays_and_most_of_the_rest_goes(commits: int, every: int, pins: set[int], minutes: int) -> None:
    files = log_of(commits, every)
    cutoff = START + timedelta(minutes=minutes)
    doomed = expendable(files, pins=pins, cutoff=cutoff)
    left = [file for file in files if file not in doomed]
    needed = {commits - 1} | {pin for pin in pins if pin < commits} | {v for v in range(commits) if v >= minutes}
    for version in needed:
        assert can_open(left, version)
    assert set(openable(left)) == {version for version in range(commits) if can_open(left, version)}
    # Nothing is kept without a reason: each file lies between a needed version and the checkpoint before it.
    reasons = needed | ({minutes - 1} if 0 < minutes < commits else set())
    for file in left:
        assert any(file.version <= version < file.version + 2 * every for version in reasons)
    again = expendable(left, pins=pins, cutoff=cutoff)
    assert again == []


@given(commits=st.integers(1, 40), every=st.integers(1, 9), pins=st.sets(st.integers(0, 40), max_size=3))
def test_a_clean_up_that_is_killed_half_way_harms_nothing(commits: int, every: int, pins: set[int]) -> None:
    files = log_of(commits, every)
    doomed = expendable(files, pins=pins, cutoff=START + timedelta(days=1))
    for done in range(len(doomed) + 1):
        left = [file for file in files if file not in doomed[:done]]
        for version in {commits - 1} | {pin for pin in pins if pin < commits}:
            assert can_open(left, version)


def test_an_empty_log_has_nothing_to_clean() -> None:
    assert expendable([], pins=[1], cutoff=START) == []
    assert openable([]) == []
