"""The landing zone keeps what came, as it came, and knows where each source goes on."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.errors import InputError, SourceError, TamperedError, UnknownNameError
from trunkline.ingest.landing import FILES, Landing

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
