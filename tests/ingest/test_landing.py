"""The landing zone keeps what came, as it came, and knows where each source goes on."""

import hashlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.errors import InputError, SourceError, TamperedError, UnknownNameError
from trunkline.ingest.folded_records import FOLDED
from trunkline.ingest.landing import FILES, FOLD_POINTS, Landed, Landing

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def landing(tmp_path: Path, clock: Clock) -> Landing:
    return Landing(tmp_path / "landing", clock=clock)


def land(landing: Landing, content: str, *, position: int, source: str = "crm") -> None:
    with landing.drafts(source) as folder:
        (folder / "page.ndjson").write_text(content)
        landing.land(source, folder / "page.ndjson", origin=f"page {position}", position={"page": position})


def test_pieces_come_back_in_their_order_with_their_position(landing: Landing) -> None:
    for page in range(1, 12):
        land(landing, f'{{"a": {page}}}\n', position=page)
    pieces = landing.pieces("crm")
    assert [piece.number for piece in pieces] == list(range(1, 12))
    assert [piece.position for piece in pieces] == [{"page": page} for page in range(1, 12)]
    assert [piece.path.read_text() for piece in pieces if piece.path] == [f'{{"a": {page}}}\n' for page in range(1, 12)]
    assert pieces[0].content_sha256 == hashlib.sha256(b'{"a": 1}\n').hexdigest()
    assert pieces[2].piece_id == "crm/3"
    assert landing.sources() == ("crm",)


def test_a_file_that_is_handed_over_is_kept_once_and_as_it_was(landing: Landing, tmp_path: Path) -> None:
    raw = b"a;b\r\n" + b"1;\xe4\r\n" * 5_000
    (tmp_path / "Export May.csv").write_bytes(raw)
    first = landing.keep(tmp_path / "Export May.csv")
    again = landing.keep(tmp_path / "Export May.csv")
    assert first == again == landing.find(hashlib.sha256(raw).hexdigest())
    assert first.path is not None
    assert first.path.name.endswith(".csv.zst")
    assert first.path.stat().st_size < len(raw) / 20
    with pa.input_stream(first.path, compression="zstd") as stream:
        assert stream.read() == raw
    assert len(landing.pieces(FILES)) == 1


def test_a_compressed_file_is_kept_byte_by_byte(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(b"whatever it is")
    kept = landing.keep(tmp_path / "x.csv.gz").path
    assert kept is not None
    assert (kept.suffix, kept.read_bytes()) == (".gz", b"whatever it is")


def test_what_a_killed_process_left_is_no_piece_and_is_tidied_up(
    landing: Landing, clock: Clock, tmp_path: Path
) -> None:
    land(landing, "{}\n", position=1)
    folder = tmp_path / "landing" / "crm"
    (folder / "0000000002-abc.ndjson").write_text("moved in, and then the process died")
    (folder / ".draft-x").mkdir()
    assert [piece.number for piece in landing.pieces("crm")] == [1]
    clock.now = datetime.now(UTC) + timedelta(hours=2)
    landing.tidy()
    assert sorted(path.suffix for path in folder.iterdir()) == [".ndjson", ".piece-record"]
    assert len(landing.pieces("crm")) == 1


@pytest.mark.parametrize("name", ["page.json", "page.piece-record", "page.record.json"])
def test_a_piece_is_not_taken_for_a_record_whatever_its_name(landing: Landing, name: str) -> None:
    with landing.drafts("crm") as folder:
        (folder / name).write_text('[{"a": 1}]')
        landing.land("crm", folder / name, origin="here", position={"page": 1})
    (piece,) = landing.pieces("crm")
    assert piece.path is not None
    assert piece.path.read_text() == '[{"a": 1}]'


def test_retention_takes_the_files_but_not_the_position(landing: Landing, clock: Clock) -> None:
    land(landing, "{}\n", position=1)
    land(landing, "{}\n{}\n", position=2)
    clock.now = NOON + timedelta(days=40)
    assert landing.forget(before=NOON + timedelta(days=1), taken=["crm/1"]) == len("{}\n")
    assert landing.forget(before=NOON + timedelta(days=1), taken=["crm/1", "crm/2"]) == len("{}\n{}\n")
    assert [(piece.number, piece.path, piece.position) for piece in landing.pieces("crm")] == [
        (1, None, {"page": 1}),
        (2, None, {"page": 2}),
    ]
    assert landing.forget(before=NOON + timedelta(days=1), taken=["crm/1", "crm/2"]) == 0
    land(landing, "{}\n", position=3)
    assert [piece.number for piece in landing.pieces("crm")] == [1, 2, 3]


def test_retention_takes_files_that_were_handed_over_with_their_records(
    landing: Landing, clock: Clock, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(name)
        landing.keep(tmp_path / f"{name}.csv")
    clock.now = NOON + timedelta(days=40)
    assert landing.forget(before=NOON + timedelta(days=1), taken=[]) > 0
    assert landing.pieces(FILES) == ()
    assert landing.keep(tmp_path / "a.csv").path is not None


def test_a_draft_that_still_grows_is_not_tidied_up(landing: Landing, clock: Clock, tmp_path: Path) -> None:
    clock.now = datetime.now(UTC)
    with landing.drafts("crm") as grows, landing.drafts("crm") as rests, landing.drafts("crm") as deep:
        for folder in (grows, rests, deep):
            (folder / "in").mkdir()
            (folder / "page.ndjson").write_text("{}")
            (folder / "in" / "page.ndjson").write_text("{}")
        old = (clock.now - timedelta(hours=2)).timestamp()
        still = {grows: grows / "page.ndjson", rests: None, deep: deep / "in" / "page.ndjson"}
        for folder, growing in still.items():
            for path in (*folder.rglob("*"), folder):
                if path != growing:
                    os.utime(path, (old, old))
        landing.tidy()
        assert [folder.exists() for folder in (grows, rests, deep)] == [True, False, True]
        rests.mkdir()  # the context takes it away


def test_unknown_content_damaged_records_and_odd_names_are_told(landing: Landing, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="does not hold that content"):
        landing.find("0" * 64)
    with pytest.raises(InputError, match="cannot be a source's name"):
        landing.pieces("../etc")
    with pytest.raises(SourceError):
        landing.keep(tmp_path / "nowhere.csv")
    land(landing, "{}\n", position=1)
    (record,) = (tmp_path / "landing" / "crm").glob("*.piece-record")
    record.write_text(record.read_text()[:-20])
    with pytest.raises(TamperedError, match="damaged"):
        landing.pieces("crm")


def records(landing: Landing, source: str) -> list[str]:
    return sorted(path.name for path in landing._folder(source).iterdir() if "piece-record" in path.name)


def test_records_of_pieces_that_are_gone_are_folded_and_dropped_when_nobody_needs_them(
    landing: Landing, clock: Clock
) -> None:
    for page in range(1, 7):
        clock.now = NOON + timedelta(days=page)
        land(landing, f'{{"a": {page}}}\n', position=page)
    clock.now = NOON + timedelta(days=30)
    before = NOON + timedelta(days=5)  # of pages 5 and 6 the files stay
    taken = {f"crm/{page}" for page in range(1, 7)} - {"crm/2"}
    assert landing.forget(before=before, taken=taken, act=False) == 3 * len('{"a": 1}\n')
    assert landing.forget(before=before, taken=taken) == 3 * len('{"a": 1}\n')
    everything = landing.pieces("crm")
    assert [piece.path is None for piece in everything] == [True, False, True, True, False, False]

    assert landing.fold(before=before, remembers=lambda _newest: None) == 3
    assert landing.pieces("crm") == everything, "nothing is forgotten"
    assert len(records(landing, "crm")) == 3 + 1
    assert landing.fold(before=before, remembers=lambda _newest: None) == 0

    landing.tidy(older_than=timedelta(0))
    assert landing.pieces("crm") == everything, "what is folded is no leftover"
    newest: list[int] = []

    def since(piece: Landed) -> datetime:
        newest.append(piece.number)
        return NOON + timedelta(days=4)

    assert landing.fold(before=before, remembers=since) == 2
    assert newest == [6]
    assert [piece.number for piece in landing.pieces("crm")] == [2, 4, 5, 6]
    land(landing, "{}\n", position=7)
    assert landing.pieces("crm")[-1].number == 7


def test_the_newest_record_stays_whatever_became_of_its_file(landing: Landing, clock: Clock) -> None:
    for page in (1, 2):
        land(landing, f'{{"a": {page}}}\n', position=page)
    clock.now = NOON + timedelta(days=30)
    landing.forget(before=clock.now, taken={"crm/1", "crm/2"})
    landing.fold(before=clock.now, remembers=lambda newest: newest.landed_at + timedelta(days=1))
    assert [(piece.number, piece.position) for piece in landing.pieces("crm")] == [(2, {"page": 2})]
    assert len(records(landing, "crm")) == 1
    land(landing, "{}\n", position=3)
    assert [piece.number for piece in landing.pieces("crm")] == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("point", FOLD_POINTS)
def test_a_killed_fold_forgets_nothing(landing: Landing, clock: Clock, tmp_path: Path, point: str) -> None:
    for page in range(1, 5):
        land(landing, f'{{"a": {page}}}\n', position=page)
    clock.now = NOON + timedelta(days=30)
    landing.forget(before=clock.now, taken={f"crm/{page}" for page in range(1, 5)})
    everything = landing.pieces("crm")
    program = (
        "import sys; from datetime import datetime, timedelta, UTC; from pathlib import Path\n"
        "from trunkline.ingest.landing import Landing\n"
        "now = datetime(2024, 6, 1, tzinfo=UTC)\n"
        "Landing(Path(sys.argv[1]), clock=lambda: now).fold(before=now, remembers=lambda newest: None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "landing"],
        env={**os.environ, "TRUNKLINE_CRASH_AT": point},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert landing.pieces("crm") == everything
    landing.fold(before=clock.now, remembers=lambda _newest: None)
    landing.tidy(older_than=timedelta(0))
    assert landing.pieces("crm") == everything
    assert len(records(landing, "crm")) == 2


def test_damaged_folded_records_are_told(landing: Landing, clock: Clock, tmp_path: Path) -> None:
    land(landing, "{}\n", position=1)
    (tmp_path / "landing" / "crm" / FOLDED).write_bytes(b"no zstd")
    with pytest.raises(TamperedError, match="folded records"):
        landing.pieces("crm")


def test_a_heap_of_objects_keeps_what_its_source_still_compares_with(tmp_path: Path) -> None:
    from trunkline.run import Workspace
    from trunkline.run.upkeep.landed import tidy_landing
    from trunkline.settings import load_settings

    now = datetime(2024, 9, 1, tzinfo=UTC)
    at = [NOON]
    with Workspace(load_settings(workspace=tmp_path / "w"), clock=lambda: at[0]) as workspace:
        heap = Landing(workspace.folder("landing") / "phone.calls", clock=lambda: at[0])
        for day in range(6):
            at[0] = NOON + timedelta(days=day)
            with heap.drafts("store") as folder:
                (folder / "one.csv").write_text(f"{day}\n")
                position = {"newest": at[0].isoformat(), "object": f"b/{day}.csv", "version": str(day)}
                piece = heap.land("store", folder / "one.csv", origin=f"s3://b/{day}.csv", position=position)
            heap.remove(piece)
        at[0] = now
        tidied = tidy_landing(workspace, act=True, without=())
        assert tidied.records_folded == 5
        # a day of overlap and a day of margin behind the newest object; the newest itself
        assert [piece.number for piece in heap.pieces("store")] == [4, 5, 6]
