"""Rows past their time: archived, found whole, gone from the table; and what keeps them."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
import pytest
from tests.run.upkeep.conftest import NOW, TABLE, Shop

from trunkline.contracts import Contract, Integer, KeepRows, Table
from trunkline.engine import Engine
from trunkline.errors import ContractError, UnknownNameError
from trunkline.run import Workspace, execute, utc_now
from trunkline.run.upkeep import maintain, retiring
from trunkline.run.upkeep.archive_files import ArchiveFiles, write_parts
from trunkline.run.upkeep.archives import Part
from trunkline.run.upkeep.places import ArchivePlace
from trunkline.settings import load_settings
from trunkline.spec.dialect import CsvDialect

if TYPE_CHECKING:
    import ibis.expr.types as ir

Trunkline = Callable[..., tuple[int, str, str]]

OLD = ["c1", "c2", "c3", "c4", "c5"]
NEW = ["c10", "c6", "c7", "c8", "c9"]


@pytest.mark.slow
def test_rows_past_their_time_are_archived_and_go(fives: Shop) -> None:
    before = {str(row["call_id"]): row for row in fives.rows()}
    look = fives.tidy(act=False)
    assert (look.done, fives.retired(look)) == (False, 5)
    (table,) = [row for row in look.tables if row.table == TABLE]
    assert table.keeps == "30 days by began_at, archived"
    assert table.oldest_at == NOW - timedelta(days=31)
    assert not fives.archive.exists()
    assert len(fives.rows()) == 10

    assert fives.retired(fives.tidy()) == 5
    assert fives.ids() == NEW
    assert {str(row["call_id"]): row for row in fives.archived().to_pylist()} == {one: before[one] for one in OLD}
    begun, record = sorted(fives.rows("platform.archives"), key=lambda row: str(row["changed_at"]))
    assert (begun["state"], begun["archive"], begun["rows"]) == ("begun", record["archive"], 0)
    assert (record["lake_table"], record["rows"], record["place"]) == (TABLE, 5, fives.archive.as_uri())
    manifest = json.loads(next(fives.archive.rglob("manifest.json")).read_text())
    assert [part["rows"] for part in manifest["parts"]] == [5]

    assert fives.retired(fives.tidy()) == 0, "nothing more is due"
    assert fives.retired(fives.tidy(now=NOW + timedelta(days=2))) == 5
    assert (fives.ids(), fives.archived_ids()) == ([], sorted(OLD + NEW))
    whole = [row for row in fives.rows("platform.archives") if row["state"] == "whole"]
    assert sorted(int(str(row["number"])) for row in whole) == [1, 2]


@pytest.mark.slow
def test_rows_without_an_event_time_age_by_their_coming(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text("call_id,caller,began_at,seconds\nc1,s1,,7\n")
    shop.ingest(path)
    assert shop.retired(shop.tidy(now=NOW + timedelta(days=29))) == 0
    assert shop.retired(shop.tidy(now=NOW + timedelta(days=31))) == 1


def test_a_known_file_whose_raw_copy_aged_gets_no_other_one(fives: Shop) -> None:
    copies = fives.workspace / "landing" / TABLE / "files"
    assert len(list(copies.glob("*.zst"))) == 2
    fives.tidy(now=NOW + timedelta(days=100), retention={"tables": {TABLE: {"days": None}}})
    assert list(copies.iterdir()) == []
    (fives.folder / "calls-1-31.csv").rename(fives.folder / "other.csv")
    fives.ingest(fives.folder / "other.csv", now=NOW + timedelta(days=100))
    assert list(copies.iterdir()) == []
    assert len(fives.rows()) == 10
    with fives.open() as workspace:  # under another dialect it is another batch, which has its copy
        files, csv = (str(fives.folder / "other.csv"),), CsvDialect(delimiter=",")
        execute(workspace, "phone", sources=files, csv=csv, only="ingest", progress=lambda _what, _share: None)
    assert len(list(copies.glob("*.zst"))) == 1


@pytest.mark.slow
def test_the_settings_win_over_the_contract(fives: Shop) -> None:
    def kept(**said: object) -> dict[str, object]:
        return {"tables": {TABLE: said}}

    assert fives.retired(fives.tidy(act=False, retention=kept(days=None))) == 0
    assert fives.retired(fives.tidy(act=False, retention=kept(days=30, by="ingestion"))) == 0
    assert fives.retired(fives.tidy(act=False, retention=kept(days=1))) == 10
    assert fives.retired(fives.tidy(retention=kept(days=30, archive=False))) == 5
    assert (fives.ids(), fives.archive.exists()) == (NEW, False)
    assert fives.retired(fives.tidy(retention=kept(days=30, archive=False))) == 0


def test_what_cannot_be_is_refused_before_anything_is_done(fives: Shop) -> None:
    with pytest.raises(UnknownNameError, match=r"no table 'phone\.texts'"):
        fives.tidy(retention={"tables": {"phone.texts": {"days": 1}}})
    with pytest.raises(UnknownNameError, match=r"'platform\.receipts'"):
        fives.tidy(retention={"tables": {"platform.receipts": {"days": 1}}})
    assert len(fives.rows()) == 10


def test_a_contract_whose_rows_cannot_age_is_refused() -> None:
    with pytest.raises(ContractError, match="the table has none"):

        class Timeless(Contract):
            table: ClassVar[Table] = Table(keep_rows=KeepRows(days=1))
            number: Integer

    with pytest.raises(ContractError, match="more than 0 days"):

        class Never(Contract):
            table: ClassVar[Table] = Table(keep_rows=KeepRows(days=0, by="ingestion"))
            number: Integer


@pytest.mark.slow
def test_tables_of_the_platform_age_by_the_settings(fives: Shop, trunkline: Trunkline) -> None:
    path = fives.folder / "bad.csv"
    path.write_text(
        "call_id,caller,began_at,seconds\nc99,s99,2026-06-20T00:00:00Z,-1\nc98,s98,2026-06-29T00:00:00Z,1\n"
    )
    fives.ingest(path)
    said: dict[str, object] = {"tables": {"platform.quarantine": {"days": 10, "by": "ingestion"}}}
    found = fives.tidy(now=NOW + timedelta(days=11), retention=said)
    assert {row.table: row.rows_retired for row in found.tables}["platform.quarantine"] == 1
    assert fives.rows("platform.quarantine") == []


@pytest.mark.slow
def test_rows_that_come_while_an_archive_is_written_are_in_it(fives: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[str] = []

    def late(name: str) -> None:
        visits.append(name)
        if visits.count("retire.after_manifest") == 1 and name == "retire.after_manifest":
            fives.take([99], days_ago=40)

    monkeypatch.setattr(retiring, "point", late)
    assert fives.retired(fives.tidy()) == 6
    assert visits.count("retire.after_manifest") == 2, "it was written again, under the table's lock"
    assert (fives.ids(), fives.archived_ids()) == (NEW, [*OLD, "c99"])


@pytest.mark.slow
def test_a_damaged_archive_of_a_killed_call_is_made_anew_at_once(fives: Shop, killed: Callable[..., None]) -> None:
    killed(fives, "retire.after_manifest")
    (part,) = fives.archive.rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    found = fives.tidy(now=NOW + timedelta(days=2))
    assert (found.failed, fives.retired(found)) == ((), 10)
    assert (fives.ids(), fives.archived_ids()) == ([], sorted(OLD + NEW))


@pytest.mark.slow
def test_new_rows_that_are_not_due_disturb_nothing(fives: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    visits: list[str] = []

    def late(name: str) -> None:
        visits.append(name)
        if name == "retire.after_manifest":
            fives.take([99], days_ago=1)

    monkeypatch.setattr(retiring, "point", late)
    assert fives.retired(fives.tidy()) == 5
    assert visits.count("retire.after_manifest") == 1
    assert (fives.ids(), fives.archived_ids()) == (sorted([*NEW, "c99"]), OLD)


def test_a_file_that_comes_back_as_another_one_keeps_the_rows(
    fives: Shop, monkeypatch: pytest.MonkeyPatch, trunkline: Trunkline
) -> None:
    monkeypatch.setattr(ArchivePlace, "digest", lambda _self, _name: ("0" * 64, 1))
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(fives.folder / "usecases"))
    code, out, err = trunkline("maintain", "--workspace", fives.workspace, "--json")
    (fault,) = json.loads(out)["failed"]
    assert (code, TABLE in fault, "another one" in fault, fault in err) == (1, True, True, True)
    assert len(fives.rows()) == 10


def test_rows_that_an_archive_lacks_are_not_deleted(fives: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def less(
        files: ArchiveFiles, rows: "ir.Table", schema: pa.Schema, *, engine: Engine, drafts: Path, seals: bool
    ) -> Iterator[Part]:
        return write_parts(files, rows.limit(4), schema, engine=engine, drafts=drafts, seals=seals)

    monkeypatch.setattr(retiring, "write_parts", less)
    (fault,) = fives.tidy().failed
    assert "does not hold the rows of its table" in fault
    assert len(fives.rows()) == 10


@pytest.mark.slow
def test_a_version_that_a_model_was_trained_on_stays_readable(workspace: Path) -> None:
    said = {"tables": {"leavers.subscribers": {"days": 1, "by": "ingestion"}}}
    settings = load_settings(
        workspace=workspace, lake={"deleted_file_retention": "PT0S", "vacuum_grace": "PT0S"}, retention=said
    )
    later = utc_now() + timedelta(days=2)
    with Workspace(settings, clock=lambda: later) as opened:
        before = opened.lake.read("leavers.subscribers").count().execute()
        found = maintain(opened, progress=lambda _what, _share: None)
        (row,) = [row for row in found.tables if row.table == "leavers.subscribers"]
        assert (row.rows_retired, row.pinned) == (before, (0,))
        assert opened.lake.read("leavers.subscribers").count().execute() == 0
        assert opened.lake.read("leavers.subscribers", version=0).count().execute() == before
        assert row.stock.superseded_bytes > 0
        assert row.stock.live_bytes == 0
