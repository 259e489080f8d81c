"""A watched folder: whole files only, each once, put away afterwards; nothing depends on the notices alone."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest import watching
from trunkline.ingest.watching import Arrivals, Taken, watch
from trunkline.spec.sources import FolderSource


def folder(path: Path, **said: object) -> FolderSource:
    return FolderSource.model_validate({"kind": "folder", "usecase": "calls", "path": path, **said})


def noon() -> datetime:
    return datetime(2024, 5, 1, 12, tzinfo=UTC)


def names(paths: Iterable[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_file_is_whole_when_it_stands_still(tmp_path: Path) -> None:
    arrivals = Arrivals(folder(tmp_path, settle_s=2))
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    assert arrivals.whole(0.0) == []
    file.write_text("a\n1\n2\n")
    assert arrivals.whole(1.9) == []  # it grew
    assert arrivals.due_in(2.9) == pytest.approx(1.0)
    assert arrivals.whole(3.8) == []
    assert names(arrivals.whole(3.95)) == ["a.csv"]
    assert arrivals.whole(99.0) == []
    assert arrivals.due_in(99.0) is None


def test_a_file_that_changes_after_it_was_given_is_given_again(tmp_path: Path) -> None:
    arrivals = Arrivals(folder(tmp_path, settle_s=0))
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    assert names(arrivals.whole(0.0)) == ["a.csv"]
    file.write_text("a\n1\n2\n")
    assert names(arrivals.whole(1.0)) == ["a.csv"]


def test_files_of_folders_below_are_taken_where_that_is_said(tmp_path: Path) -> None:
    archive = tmp_path / "done"
    for name in ("a.csv", "2026/01/b.csv", ".hidden/c.csv", "done/2026-01-01/d.csv", "2026/e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    said = {"settle_s": 0, "pattern": "*.csv", "afterwards": "archive", "archive": archive}
    assert names(Arrivals(folder(tmp_path, **said)).whole(0.0)) == ["a.csv"]
    assert sorted(names(Arrivals(folder(tmp_path, recursive=True, **said)).whole(0.0))) == ["a.csv", "b.csv"]


def test_hidden_unfinished_and_other_files_are_left(tmp_path: Path) -> None:
    for name in (".a.csv", "~a.csv", "a.csv.tmp", "a.csv.PART", "a.csv.filepart", "a.csv.done", "b.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sub.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "b.txt")
    (tmp_path / "a.csv").write_text("x")
    assert names(Arrivals(folder(tmp_path, settle_s=0, pattern="*.csv*")).whole(0.0)) == ["a.csv"]


def test_a_marker_says_that_a_file_is_whole(tmp_path: Path) -> None:
    arrivals = Arrivals(folder(tmp_path, settle_s=3600, done_marker=".done"))
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "b.csv").write_text("x")
    assert arrivals.whole(0.0) == []
    (tmp_path / "b.csv.done").touch()
    assert names(arrivals.whole(0.1)) == ["b.csv"]


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    for name, at in (("late.csv", 300), ("early.csv", 100), ("b.csv", 200), ("a.csv", 200)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (at, at))
    given = Arrivals(folder(tmp_path, settle_s=0)).whole(0.0)
    assert names(given) == ["early.csv", "a.csv", "b.csv", "late.csv"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        Arrivals(folder(tmp_path / "nowhere")).whole(0.0)


class Recorder:
    """Takes files in; refuses those whose content begins with ``bad``."""

    def __init__(self) -> None:
        self.contents: list[str] = []

    def __call__(self, paths: Sequence[Path]) -> Iterable[Taken]:
        for path in paths:
            content = path.read_text()
            if content.startswith("bad"):
                yield Taken(path, is_done=False, error=SourceError("a bad file", where=str(path)))
            else:
                self.contents.append(content)
                yield Taken(path)


def test_once_takes_what_is_there_and_archives_it_by_day(tmp_path: Path) -> None:
    inbox, archive = tmp_path / "in", tmp_path / "archive"
    inbox.mkdir()
    for name, content in (("a.csv", "one"), ("b.csv", "bad"), ("c.csv", "two")):
        (inbox / name).write_text(content)
    declared = folder(inbox, settle_s=0, afterwards="archive", archive=archive)
    take = Recorder()
    done = list(watch(declared, take, stop=threading.Event(), clock=noon, once=True))
    assert sorted(take.contents) == ["one", "two"]
    assert [one.path.name for one in done if one.error] == ["b.csv"]
    assert names(sorted(inbox.iterdir())) == ["b.csv"]
    assert names(sorted((archive / "2024-05-01").iterdir())) == ["a.csv", "c.csv"]


@pytest.mark.slow
def test_the_archive_keeps_both_of_two_files_with_one_name(tmp_path: Path) -> None:
    inbox, archive = tmp_path / "in", tmp_path / "archive"
    inbox.mkdir()
    declared = folder(inbox, settle_s=0, afterwards="archive", archive=archive)
    for content in ("one", "two", "one"):
        (inbox / "a.csv").write_text(content)
        assert len(list(watch(declared, Recorder(), stop=threading.Event(), clock=noon, once=True))) == 1
    kept = sorted((archive / "2024-05-01").iterdir())
    assert len(kept) == 2
    assert {path.read_text() for path in kept} == {"one", "two"}


def test_what_is_taken_in_within_a_second_is_noted_at_once_before_it_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, noted = 0.0, []
    monkeypatch.setattr(watching, "monotonic", lambda: seconds)
    inbox, archive = tmp_path / "in", tmp_path / "archive"
    for number in range(20):
        (inbox / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        (inbox / f"{number % 2}" / f"{number // 2}.csv").write_text(f"{number // 2}")

    def take(paths: Sequence[Path]) -> Iterable[Taken]:
        nonlocal seconds
        for path in paths:
            seconds += 0.125
            yield Taken(path)

    @contextmanager
    def archiving(moves: Mapping[Path, Path]) -> Iterator[None]:
        assert all(path.exists() for path in moves)
        noted.append(len(moves))
        yield
        assert not any(path.exists() for path in moves)
        assert all(target.exists() for target in moves.values())

    declared = folder(inbox, settle_s=0, recursive=True, afterwards="archive", archive=archive)
    done = list(watch(declared, take, stop=threading.Event(), clock=noon, once=True, archiving=archiving))
    assert len(done) == 20
    assert noted == [1, 8, 8, 3]
    assert len(list((archive / "2024-05-01").iterdir())) == 10, "one of each name: both have the same content"


def test_each_file_is_told_before_the_next_is_read(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).write_text(name)
    told: list[str] = []
    before: list[list[str]] = []

    def take(paths: Sequence[Path]) -> Iterable[Taken]:
        for path in paths:
            before.append(list(told))
            yield Taken(path)

    for one in watch(folder(tmp_path, settle_s=0), take, stop=threading.Event(), clock=noon, once=True):
        told += [one.path.name]  # now: the next one is read after it
    assert before == [told[:number] for number in range(4)]


def four_files(inbox: Path) -> Path:
    """A folder of the files a to d, which came in that order."""
    inbox.mkdir()
    for number, name in enumerate("abcd"):
        (inbox / name).write_text(name)
        os.utime(inbox / name, (number, number))
    return inbox


def test_what_was_taken_in_before_the_watch_fails_is_told_and_put_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "monotonic", lambda: 0.0)
    inbox, archive = four_files(tmp_path / "in"), tmp_path / "archive"

    def take(paths: Sequence[Path]) -> Iterable[Taken]:
        yield from map(Taken, paths[:3])
        raise UnavailableError("the lake's disk did not answer")

    declared = folder(inbox, settle_s=0, afterwards="archive", archive=archive)
    told: list[str] = []
    with pytest.raises(UnavailableError):
        told.extend(one.path.name for one in watch(declared, take, stop=threading.Event(), clock=noon, once=True))
    assert told == ["a", "b", "c"]
    assert names(sorted((archive / "2024-05-01").iterdir())) == ["a", "b", "c"]
    assert names(inbox.iterdir()) == ["d"]


@pytest.mark.parametrize("afterwards", ["archive", "delete"])
def test_a_file_that_cannot_be_put_away_keeps_no_other_from_it(
    afterwards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "monotonic", lambda: 0.0)
    inbox, archive = four_files(tmp_path / "in"), tmp_path / "archive"
    unlink = Path.unlink

    def replace(path: Path, target: Path) -> None:
        if path.name != "b":
            path.rename(target)
            return
        raise PermissionError(13, "Permission denied", str(path))

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(watching, "_move", replace)
    monkeypatch.setattr(Path, "unlink", refusing)
    declared = folder(inbox, settle_s=0, afterwards=afterwards, archive=archive if afterwards == "archive" else None)
    told: list[str] = []
    with pytest.raises(PermissionError, match="Permission denied"):
        told.extend(one.path.name for one in watch(declared, Recorder(), stop=threading.Event(), clock=noon, once=True))
    assert told == ["a", "b", "c", "d"]
    assert names(inbox.iterdir()) == ["b"]


def test_what_comes_in_the_place_of_a_file_that_is_to_be_moved_stays(tmp_path: Path) -> None:
    inbox, archive = tmp_path / "in", tmp_path / "archive"
    inbox.mkdir()
    for name in ("a.csv", "b.csv"):
        (inbox / name).write_text("old")
    replaced: list[Path] = []

    @contextmanager
    def archiving(moves: Mapping[Path, Path]) -> Iterator[None]:
        if not replaced:
            replaced.extend(moves)
            replaced[0].write_text("new content")
        yield

    declared = folder(inbox, settle_s=0, afterwards="archive", archive=archive)
    take = Recorder()
    list(watch(declared, take, stop=threading.Event(), clock=noon, once=True, archiving=archiving))
    assert sorted(take.contents) == ["new content", "old", "old"]
    assert sorted(path.read_text() for path in (archive / "2024-05-01").iterdir()) == ["new content", "old"]


@pytest.mark.parametrize("same", [True, False])
def test_two_files_of_one_name_are_moved_together(same: bool, tmp_path: Path) -> None:
    inbox, archive = tmp_path / "in", tmp_path / "archive"
    for below in "abc":
        (inbox / below).mkdir(parents=True)
        (inbox / below / "x.csv").write_text("first" if same or below == "a" else "other")
    declared = folder(inbox, settle_s=0, recursive=True, afterwards="archive", archive=archive)
    list(watch(declared, Recorder(), stop=threading.Event(), clock=noon, once=True))
    kept = {path.read_text() for path in (archive / "2024-05-01").iterdir()}
    assert kept == ({"first"} if same else {"first", "other"})
    assert len(list((archive / "2024-05-01").iterdir())) == len(kept)
    assert not [path for path in inbox.rglob("*") if path.is_file()]


def test_delete_takes_the_marker_along(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("one")
    (tmp_path / "a.csv.ok").touch()
    declared = folder(tmp_path, done_marker=".ok", afterwards="delete")
    list(watch(declared, Recorder(), stop=threading.Event(), clock=noon, once=True))
    assert list(tmp_path.iterdir()) == []


def test_the_archive_is_another_folder(tmp_path: Path) -> None:
    declared = folder(tmp_path, afterwards="archive", archive=tmp_path / "x" / "..")
    with pytest.raises(InputError, match="cannot be the watched folder"):
        list(watch(declared, Recorder(), stop=threading.Event(), clock=noon, once=True))


@pytest.mark.parametrize("noticed", [True, False], ids=["notices", "rescans only"])
def test_files_that_arrive_while_it_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, noticed: bool) -> None:
    if not noticed:
        monkeypatch.setattr(watching, "_wait", _without_notices(watching._wait))
    stop, take = threading.Event(), Recorder()
    arrived: list[str] = []

    def run() -> None:
        for one in watch(
            folder(tmp_path, settle_s=0.05), take, stop=stop, clock=noon, rescan_s=30.0 if noticed else 0.1
        ):
            arrived.append(one.path.name)
            if len(arrived) == 20:
                stop.set()

    thread = threading.Thread(target=run)
    thread.start()
    for number in range(20):
        part = tmp_path / f"{number}.csv.part"
        part.write_text(f"{number}")
        part.rename(tmp_path / f"{number}.csv")
    thread.join(20)
    stop.set()
    thread.join(5)
    assert sorted(take.contents, key=int) == [str(number) for number in range(20)]


def _without_notices(wait: Callable[..., None]) -> Callable[..., None]:
    import queue

    return lambda _notices, **said: wait(queue.SimpleQueue(), **said)
