"""A pulled source: what landed is taken in once, whatever happens in between, and nothing is asked for twice."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from trunkline.contracts import Contract, Instant, Integer, Table, Text, field
from trunkline.errors import BusyError, RowsRefusedError, SchemaError, SourceError, UnavailableError
from trunkline.ingest import Ingested, Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources import Position, Pulled
from trunkline.lake import Lake, held


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)


class Version(Contract):
    table: ClassVar[Table] = Table(key=("call_id",), event_at="changed_at")

    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)
    changed_at: Instant


class Mended(Call):
    call_id: Text = field(max_length=10, aliases=("id",))


class Line(Contract):
    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)


TARGET = Target("calls", "calls", Call)


class Pages:
    """A source with numbered pages that fails at one of them."""

    name = "pages"

    def __init__(self, pages: list[list[dict[str, object]]], *, fails_at: int | None = None) -> None:
        self.pages = pages
        self.fails_at = fails_at
        self.asked: list[int] = []

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        begin = int(position["page"] or 0) if position else 0
        for number in range(begin, len(self.pages)):
            if number == self.fails_at:
                raise UnavailableError("the server did not answer")
            self.asked.append(number)
            path = folder / f"{number}.ndjson"
            path.write_text("".join(json.dumps(row) + "\n" for row in self.pages[number]))
            yield Pulled(path, origin=f"page {number}", position={"page": number + 1})


class Heap(Pages):
    """The same pages in any order: only the ledger tells what is new."""

    name = "heap"

    def pull_beside(self, landed: Sequence[Position], *, folder: Path) -> Iterator[Pulled]:
        known = {position["page"] for position in landed}
        for number in reversed(range(len(self.pages))):
            if number + 1 not in known:
                yield next(Pages(self.pages[: number + 1]).pull({"page": number}, folder=folder))


def page(number: int, rows: int = 3) -> list[dict[str, object]]:
    return [{"call_id": f"c{number}-{row}", "seconds": row} for row in range(rows)]


def now() -> datetime:
    return datetime.now(UTC)


def take(source: Pages, lake: Lake, folder: Path, *, target: Target = TARGET) -> list[Ingested]:
    landing = Landing(folder / "landing", clock=now)
    return list(pull(source, target, landing=landing, locks=folder / "locks", lake=lake, run_id="r1", clock=now))


def call_ids(lake: Lake) -> list[str]:
    return sorted(lake.arrow("calls.calls").column("call_id").to_pylist())


def test_each_page_is_asked_for_once_and_has_a_receipt(lake: Lake, tmp_path: Path) -> None:
    source = Pages([page(0), page(1)])
    assert [taken.receipt.source for taken in take(source, lake, tmp_path)] == ["page 0", "page 1"]
    source.pages.append(page(2))
    (third,) = take(source, lake, tmp_path)
    assert (third.receipt.piece, third.receipt.read, third.known) == ("pages/3", 3, False)
    assert source.asked == [0, 1, 2]
    assert call_ids(lake) == sorted(str(row["call_id"]) for number in range(3) for row in page(number))


def test_a_source_that_fails_goes_on_where_it_stopped(lake: Lake, tmp_path: Path) -> None:
    source = Pages([page(0), page(1), page(2)], fails_at=1)
    with pytest.raises(UnavailableError):
        take(source, lake, tmp_path)
    source.fails_at = None
    assert [taken.receipt.piece for taken in take(source, lake, tmp_path)] == ["pages/2", "pages/3"]
    assert source.asked == [0, 1, 2]


def test_what_landed_without_a_receipt_is_taken_in_first(lake: Lake, tmp_path: Path) -> None:
    landing = Landing(tmp_path / "landing", clock=now)
    with landing.drafts("pages") as folder:  # as a process leaves it that dies between landing and taking in
        (pulled, *_) = Pages([page(0)]).pull(None, folder=folder)
        landing.land("pages", pulled.path, origin=pulled.origin, position=pulled.position)
    source = Pages([page(0), page(1)])
    assert [taken.receipt.piece for taken in take(source, lake, tmp_path)] == ["pages/1", "pages/2"]
    assert source.asked == [1]
    assert len(call_ids(lake)) == 6


def test_the_same_content_later_is_a_batch_of_its_own(lake: Lake, tmp_path: Path) -> None:
    first, second = take(Pages([page(0), page(0)]), lake, tmp_path)
    assert first.receipt.batch_id != second.receipt.batch_id
    assert not second.known


def test_a_page_of_bad_rows_has_its_receipt_and_stops_nothing(lake: Lake, tmp_path: Path) -> None:
    bad: list[dict[str, object]] = [{"call_id": "x", "seconds": -1}]
    receipts = [taken.receipt for taken in take(Pages([bad, page(1)]), lake, tmp_path)]
    assert [(one.accepted, one.quarantined) for one in receipts] == [(0, 1), (3, 0)]
    assert take(Pages([bad, page(1)]), lake, tmp_path) == []


@pytest.mark.parametrize("contract", [Line, Version])
def test_a_page_that_does_not_fit_blocks_nothing_where_the_order_of_arrival_decides_nothing(
    contract: type[Contract], lake: Lake, tmp_path: Path
) -> None:
    fits = [{**row, "changed_at": "2026-01-01T00:00:00Z"} if contract is Version else row for row in page(1)]
    source, target = Pages([[{"other": 1}], fits]), Target("calls", "calls", contract)
    for _ in range(2):
        with pytest.raises(SchemaError):
            take(source, lake, tmp_path, target=target)
    assert source.asked == [0, 1]
    assert len(call_ids(lake)) == 3  # it stopped nothing behind it


def test_a_page_that_does_not_fit_is_not_overtaken_where_the_last_to_arrive_wins(lake: Lake, tmp_path: Path) -> None:
    source = Pages([page(0, 1), [{"id": "c0-0", "seconds": 50}], [{"call_id": "c0-0", "seconds": 99}]])
    for _ in range(2):
        with pytest.raises(SchemaError):
            take(source, lake, tmp_path)
    assert source.asked == [0, 1]
    assert call_ids(lake) == ["c0-0"]
    taken = take(source, lake, tmp_path, target=Target("calls", "calls", Mended))
    assert [one.receipt.piece for one in taken] == ["pages/2", "pages/3"]
    newest = lake.current("calls.calls", key=("call_id",), newest_by=("_ingested_at",))
    assert newest.execute()["seconds"].tolist() == [99]


def test_a_page_beyond_its_reject_budget_is_not_overtaken_either(lake: Lake, tmp_path: Path) -> None:
    class Strict(Call):
        table: ClassVar[Table] = Table(key=("call_id",), reject_budget=0.1)

    bad: list[dict[str, object]] = [{"call_id": "x", "seconds": -1}]
    source = Pages([bad, page(1)])
    with pytest.raises(RowsRefusedError):
        take(source, lake, tmp_path, target=Target("calls", "calls", Strict))
    assert source.asked == [0]


def test_a_source_without_an_order_is_told_all_that_landed(lake: Lake, tmp_path: Path) -> None:
    source = Heap([page(0), page(1)])
    assert [taken.receipt.source for taken in take(source, lake, tmp_path)] == ["page 1", "page 0"]
    source.pages.append(page(2))
    assert [taken.receipt.source for taken in take(source, lake, tmp_path)] == ["page 2"]
    assert len(call_ids(lake)) == 9


def test_one_pull_of_a_source_at_a_time(lake: Lake, tmp_path: Path) -> None:
    with held(tmp_path / "locks" / "pull-calls.calls-pages.lock", what="test"), pytest.raises(BusyError):
        take(Pages([page(0)]), lake, tmp_path)


class Drops(Pages):
    """A source of archives: each page is a file of rows, all of them in one archive."""

    name = "drops"

    def __init__(self, files: dict[str, bytes] | list[tuple[str, bytes]], *, name: str = "a.tgz") -> None:
        super().__init__([[]])
        self.files, self.archive, self.version = files, name, 1

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        given: Position = {"archive": self.archive, "version": self.version}
        if position == given:
            return
        path = folder / self.archive
        with tarfile.open(path, "w:gz") as archive:
            for name, content in self.files.items() if isinstance(self.files, dict) else self.files:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        self.asked.append(len(self.asked))
        yield Pulled(path, origin=f"s3://{self.archive}", position=given)


def drop(number: int) -> bytes:
    return f"call_id,seconds\nd{number},{number}\n".encode()


def test_the_files_of_a_pulled_archive_are_pieces_of_their_own(lake: Lake, tmp_path: Path) -> None:
    source = Drops({f"{n}.csv": drop(n) for n in range(3)})
    taken = take(source, lake, tmp_path)
    assert [one.receipt.source for one in taken] == [f"s3://a.tgz#{n}.csv" for n in range(3)]
    assert [one.receipt.piece for one in taken] == ["drops/1", "drops/2", "drops/3"]
    assert take(source, lake, tmp_path) == []
    assert len(source.asked) == 1, "the position has moved on"
    source.archive = "b.tgz"
    assert [one.receipt.piece for one in take(source, lake, tmp_path)] == ["drops/4", "drops/5", "drops/6"]
    assert not list((tmp_path / "landing").rglob("*.tgz")), "the archive itself is not kept"


def die(source: Drops, lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Pull, and be killed when so many pieces have landed."""
    land, left = Landing.land, [after]

    def killed(*args: object, **named: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return land(*args, **named)  # type: ignore[arg-type]  # what it was called with

    with monkeypatch.context() as patch:
        patch.setattr(Landing, "land", killed)
        with pytest.raises(KeyboardInterrupt):
            take(source, lake, folder)


def test_a_pull_that_was_killed_in_an_archive_goes_on_in_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for begun in (1, 2):  # before anything landed, and after a whole archive
        source = Drops({f"{begun}-{n}.csv": drop(10 * begun + n) for n in range(4)}, name=f"{begun}.tgz")
        die(source, lake, tmp_path, monkeypatch, after=2)
        taken = take(source, lake, tmp_path)
        assert [one.receipt.source for one in taken] == [f"s3://{begun}.tgz#{begun}-{n}.csv" for n in (2, 3)]
        assert take(source, lake, tmp_path) == []
    keys = sorted(lake.arrow("calls.calls").column("call_id").to_pylist())
    assert keys == sorted(f"d{10 * begun + n}" for begun in (1, 2) for n in range(4))


def seconds(lake: Lake, key: str) -> list[int]:
    """What the lake says of a key, oldest first."""
    rows = lake.arrow("calls.calls").sort_by("_ingested_at").to_pylist()
    return [row["seconds"] for row in rows if row["call_id"] == key]


def said(key: str, value: int) -> bytes:
    return f"call_id,seconds\n{key},{value}\n".encode()


def test_a_new_version_of_a_pulled_archive_is_taken_in_whole(lake: Lake, tmp_path: Path) -> None:
    source = Drops({"a.csv": said("k", 1), "b.csv": said("k", 2)})
    take(source, lake, tmp_path)
    source.version, source.files = 2, {"a.csv": said("k", 3), "b.csv": said("k", 2)}
    take(source, lake, tmp_path)
    assert seconds(lake, "k") == [1, 2, 3, 2], "the last file decides, though it is as before"


@pytest.mark.parametrize("count", [1, 2])
def test_a_pulled_archive_that_is_published_again_as_it_was_is_fetched_once(
    lake: Lake, tmp_path: Path, count: int
) -> None:
    source = Drops({f"{n}.csv": drop(n) for n in range(count)})
    take(source, lake, tmp_path)
    source.version = 2
    take(source, lake, tmp_path)
    take(source, lake, tmp_path)
    assert len(source.asked) == 2


def test_a_killed_pull_of_an_archive_that_changes_meanwhile_takes_it_in_whole(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Drops({"a.csv": said("k", 1), "b.csv": said("k", 2), "c.csv": drop(0)})
    die(source, lake, tmp_path, monkeypatch, after=2)
    source.version, source.files = 2, {"a.csv": said("k", 3), "b.csv": said("k", 2), "c.csv": drop(0)}
    die(source, lake, tmp_path, monkeypatch, after=1)
    take(source, lake, tmp_path)
    assert seconds(lake, "k") == [1, 2, 3, 2]


def test_a_file_that_an_archive_holds_twice_lands_twice_after_a_kill(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Drops([("a.csv", said("k", 1)), ("b.csv", said("k", 2)), ("a.csv", said("k", 1))])
    die(source, lake, tmp_path, monkeypatch, after=2)
    take(source, lake, tmp_path)
    take(source, lake, tmp_path)
    assert seconds(lake, "k") == [1, 2, 1]
    assert len(source.asked) == 2


def test_what_lands_between_two_pulls_of_a_killed_archive_doubles_nothing(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Drops({f"{n}.csv": drop(n) for n in range(3)})
    die(source, lake, tmp_path, monkeypatch, after=2)
    other = Drops({"x.csv": drop(7), "y.csv": drop(8)}, name="b.tgz")
    take(other, lake, tmp_path)
    take(source, lake, tmp_path)
    keys = sorted(lake.arrow("calls.calls").column("call_id").to_pylist())
    assert keys == ["d0", "d1", "d2", "d7", "d8"]


def test_a_pulled_archive_with_a_file_that_cannot_be_read_waits_behind_the_others(lake: Lake, tmp_path: Path) -> None:
    target = Target("calls", "lines", Line)  # nothing overtakes anything
    source = Drops({"0.csv": drop(0), "inner.zip": b"PK", "2.csv": drop(2)})
    taken: list[Ingested] = []
    landing = Landing(tmp_path / "landing", clock=now)
    told = []
    for _ in range(2):
        pulled = pull(source, target, landing=landing, locks=tmp_path / "locks", lake=lake, run_id="r1", clock=now)
        with pytest.raises(SourceError) as refused:
            taken.extend(pulled)
        told.append(str(refused.value))
    assert [one.receipt.source for one in taken] == ["s3://a.tgz#0.csv", "s3://a.tgz#2.csv"]
    assert len(source.asked) == 1
    assert all("an archive itself" in text for text in told), "it is told until somebody sees to it"
    kept = [piece.path.suffix for piece in landing.pieces("drops") if piece.path is not None]
    assert kept == [".csv", ".csv", ".tgz"]


def test_a_pulled_archive_that_waits_does_not_stop_a_source_whose_rows_are_ordered_by_arrival(
    lake: Lake, tmp_path: Path
) -> None:
    source = Drops({"0.csv": said("k", 1), "inner.zip": b"PK", "2.csv": said("k", 2)})
    with pytest.raises(SourceError, match="an archive itself"):
        take(source, lake, tmp_path)
    source.version, source.files = 2, {"0.csv": said("k", 3), "1.csv": said("k", 4)}
    with pytest.raises(SourceError, match="an archive itself"):
        take(source, lake, tmp_path)
    assert seconds(lake, "k") == [1, 2, 3, 4]
