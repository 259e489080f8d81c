"""Archives after they are made: a person is erased from them, wherever they lie; what is killed is completed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.run.conftest import Trunkline
from tests.run.upkeep.conftest import NOW, Shop
from tests.servers.stores import Bucket

from trunkline.errors import InputError, TamperedError
from trunkline.run.erasing import Erased, erase_person
from trunkline.run.upkeep.archive_files import copy_in_clear
from trunkline.run.upkeep.places import ArchivePlace


def erase(shop: Shop, person: str, retention: dict[str, object] | None = None) -> Erased:
    with shop.open(retention=retention) as workspace:
        return erase_person(workspace, "subscriber", person, progress=lambda _what, _share: None)


@pytest.mark.slow
def test_a_person_is_erased_from_archives_as_well(shop: Shop) -> None:
    shop.take(range(1, 6), days_ago=40)
    shop.take([6, 7], days_ago=35, caller="s3")
    shop.tidy(now=NOW - timedelta(days=6))
    shop.take([8], days_ago=33, caller="s3")
    shop.tidy()
    shop.take([9], days_ago=1, caller="s3")
    shop.take([10], days_ago=1)
    assert shop.archived_ids() == [f"c{one}" for one in range(1, 9)]
    found = erase(shop, "s3")
    assert found.tables == {"phone.calls": 1, "archive of phone.calls": 4}
    assert found.unread == ()
    assert shop.archived_ids() == ["c1", "c2", "c4", "c5"]
    assert shop.ids() == ["c10"]
    manifests = [json.loads(path.read_text()) for path in sorted(shop.archive.rglob("manifest.json"))]
    assert [(one["erased"], sum(part["rows"] for part in one["parts"])) for one in manifests] == [(1, 4)]
    listed = sorted(shop.rows("platform.archives"), key=lambda row: str(row["changed_at"]))
    newest = {row["archive"]: row["rows"] for row in listed}
    assert sorted(newest.values(), key=str) == [0, 4]
    assert erase(shop, "s3").tables == {}
    assert shop.retired(shop.tidy()) == 0


def opened_in_clear(shop: Shop, folder: Path) -> None:
    """A file of an archive in clear is given as it was written, or not at all; and nothing outside the folder."""
    (part,) = shop.archive.rglob("part-*.parquet")
    archive, whole, out = str(part.parent.relative_to(shop.archive)), part.read_bytes(), folder / "opened"
    manifest = part.with_name("manifest.json")
    said = manifest.read_text()
    with shop.open() as workspace:
        part.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(TamperedError, match="not what was written"):
            copy_in_clear(workspace, archive, out)
        assert list(out.iterdir()) == [], "what is not whole does not stay, and stands in the way of no repetition"
        part.write_bytes(whole)
        manifest.write_text(said.replace(part.name, f"../{part.name}"))
        with pytest.raises(TamperedError, match="manifest"):
            copy_in_clear(workspace, archive, out)
        manifest.write_text(said)
        (clear,) = copy_in_clear(workspace, archive, out)
    assert clear.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("point", ["retire.after_part", "erase.after_archive_part"])
@pytest.mark.parametrize("encrypt", ["personal", "nothing"])
def test_whoever_is_killed_leaves_no_draft(
    point: str, encrypt: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if encrypt == "personal":
        monkeypatch.setenv("TRUNKLINE_PRIVACY__ENCRYPT", encrypt)
    lying: list[Path] = []

    def look(name: str) -> None:
        if name == point:
            lying.extend((shop.workspace / "tmp").rglob("*"))
            looked.append(name)

    def stored(place: ArchivePlace, path: Path, name: str) -> None:
        lying.extend(one for one in (shop.workspace / "tmp").rglob("*") if one.is_file())
        put(place, path, name)

    looked: list[str] = []
    put = ArchivePlace.put
    monkeypatch.setattr(ArchivePlace, "put", stored)
    monkeypatch.setattr("trunkline.run.upkeep.retiring.point", look)
    monkeypatch.setattr("trunkline.run.upkeep.archive_erasing.point", look)
    shop.take(range(1, 4), days_ago=40)
    shop.tidy()
    erase(shop, "s2")
    assert looked
    assert [path for path in lying if path.is_file()] == []


@pytest.mark.slow
def test_archives_are_encrypted_where_personal_data_is(
    shop: Shop, trunkline: Trunkline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop.take([1], days_ago=40, caller="in-clear-{}")
    shop.tidy()  # from before the policy
    opened_in_clear(shop, tmp_path)
    monkeypatch.setenv("TRUNKLINE_PRIVACY__ENCRYPT", "personal")
    shop.take(range(2, 6), days_ago=40, caller="person-{}")
    assert shop.retired(shop.tidy()) == 4
    assert shop.ids() == []
    assert shop.archived_ids() == ["c1"]
    (sealed,) = shop.archive.rglob("*.sealed")
    assert b"person-" not in sealed.read_bytes()
    assert erase(shop, "person-3").tables == {"archive of phone.calls": 1}
    assert erase(shop, "person-3").tables == {}
    assert erase(shop, "in-clear-1").tables == {"archive of phone.calls": 1}
    (sealed,) = shop.archive.rglob("*.sealed")
    assert list((shop.workspace / "tmp").rglob("*.parquet*")) == []

    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(shop.folder / "usecases"))
    folder = str(sealed.parent.relative_to(shop.archive))
    asked = ("maintain", "--open-archive", folder, "--out", tmp_path / "out", "--workspace", shop.workspace)
    code, out, err = trunkline(*asked, "--json")
    assert code == 0, err
    (clear,) = json.loads(out)["files"]
    assert Path(clear).stat().st_mode & 0o077 == 0
    assert sorted(pq.read_table(clear).column("caller").to_pylist()) == ["person-2", "person-4", "person-5"]
    assert trunkline(*asked)[0] == 2, "nothing is written over"
    unknown = ("maintain", "--open-archive", "phone.calls/x", "--out", tmp_path, "--workspace", shop.workspace)
    assert trunkline(*unknown)[0] == 2

    whole = sealed.read_bytes()
    sealed.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    found = erase(shop, "person-2")
    assert len(found.unread) == 1
    assert found.tables == {}


@pytest.mark.slow
def test_archives_of_before_are_found_after_the_settings_changed(fives: Shop, tmp_path: Path) -> None:
    fives.tidy()
    elsewhere: dict[str, object] = {"archive": str(tmp_path / "vault")}
    assert erase(fives, "s2", elsewhere).tables == {"archive of phone.calls": 1}
    assert fives.archived_ids() == ["c1", "c3", "c4", "c5"]
    fives.archive.rename(tmp_path / "moved")
    (fives.archive).write_text("a file where the folder was")
    found = erase(fives, "s1", elsewhere)
    assert len(found.unread) == 1
    assert found.unread[0].startswith(fives.archive.as_uri())


@pytest.mark.slow
@pytest.mark.parametrize("maintained", ["maintained", "not maintained"])
def test_an_archive_killed_before_it_is_listed_is_found_elsewhere(
    fives: Shop, tmp_path: Path, killed: Callable[..., None], maintained: str
) -> None:
    elsewhere: dict[str, object] = {"archive": str(tmp_path / "vault")}
    killed(fives, "retire.before_listing")
    assert (len(fives.ids()), len(fives.archived_ids())) == (5, 5)
    if maintained == "maintained":
        assert fives.tidy(retention=elsewhere).failed == ()
        newest = max(fives.rows("platform.archives"), key=lambda row: str(row["changed_at"]))
        assert (newest["state"], newest["rows"], newest["place"]) == ("whole", 5, fives.archive.as_uri())
    found = erase(fives, "s2", elsewhere)
    assert (found.tables, found.unread) == ({"archive of phone.calls": 1}, ())
    assert fives.archived_ids() == ["c1", "c3", "c4", "c5"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "here", "there"), [("retire.after_manifest", 5, 0), ("retire.after_part", 0, 5), ("begun", 0, 5)]
)
def test_what_was_begun_elsewhere_is_completed_or_cleared_there(
    fives: Shop, tmp_path: Path, killed: Callable[..., None], name: str, here: int, there: int
) -> None:
    vault = tmp_path / "vault"
    killed(fives, "retire.after_part" if name == "begun" else name)
    if name == "begun":
        for path in fives.archive.rglob("*.parquet"):
            path.unlink()
    found = fives.tidy(retention={"archive": str(vault)})
    assert (found.failed, fives.retired(found), len(fives.ids())) == ((), 5, 5)
    assert len(fives.archived_ids()) == here
    assert len(list(fives.archive.rglob("*.parquet"))) == bool(here)
    assert len(list(vault.rglob("*.parquet"))) == bool(there)
    fives.archive.rename(tmp_path / "moved") if fives.archive.exists() else None
    fives.archive.write_text("a file where the folder was")
    again = erase(fives, "s2", {"archive": str(vault)})
    assert (len(again.unread), again.tables) == ((0, {"archive of phone.calls": 1}) if there else (1, {}))


@pytest.mark.slow
def test_rows_stay_while_the_place_of_a_begun_archive_is_out_of_reach(
    fives: Shop, tmp_path: Path, killed: Callable[..., None]
) -> None:
    killed(fives, "retire.after_part")
    fives.archive.rename(tmp_path / "moved")
    fives.archive.write_text("a file where the folder was")
    (fault,) = fives.tidy(retention={"archive": str(tmp_path / "vault")}).failed
    assert "rows past their time stay" in fault
    assert (len(fives.ids()), (tmp_path / "vault").exists()) == (10, False)
    fives.archive.unlink()
    (tmp_path / "moved").rename(fives.archive)
    assert fives.retired(fives.tidy(retention={"archive": str(tmp_path / "vault")})) == 5
    assert list(fives.archive.rglob("*.parquet")) == []


@pytest.mark.slow
def test_a_list_from_before_there_were_states_is_read(fives: Shop, tmp_path: Path) -> None:
    fives.tidy()
    with fives.open() as workspace:
        old = [row for row in fives.rows("platform.archives") if row["state"] == "whole"]
        rows = pa.Table.from_pylist(old).drop_columns(["state"])
        shutil.rmtree(fives.workspace / "lake" / "platform" / "archives")
        workspace.lake.append("platform.archives", rows)
    elsewhere: dict[str, object] = {"archive": str(tmp_path / "vault")}
    assert erase(fives, "s2", elsewhere).tables == {"archive of phone.calls": 1}
    assert fives.tidy(retention=elsewhere, now=NOW + timedelta(days=2)).failed == ()
    states = [row["state"] for row in fives.rows("platform.archives")]
    assert sorted(map(str, states)) == ["None", "begun", "whole", "whole"]


def test_what_is_no_place_for_archives_is_refused(fives: Shop) -> None:
    with pytest.raises(InputError, match="s3://"):
        fives.tidy(retention={"archive": "ftp://host/folder"})


@pytest.mark.slow
@pytest.mark.parametrize("point", ["retire.after_manifest", "lake.retire.after_commit", "erase.after_archive_manifest"])
def test_what_was_killed_is_completed_by_the_next_call(repository: Path, point: str) -> None:
    done = subprocess.run(
        [sys.executable, repository / "drills" / "retention.py", point],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["points"], verdict["lost"], verdict["duplicated"], verdict["passed"]) == (1, 0, 0, True)


@pytest.mark.servers
def test_archives_may_lie_in_an_object_store(fives: Shop, bucket: Bucket) -> None:
    address = f"{bucket.address}/trunkline"
    said: dict[str, object] = {"archive": address, "archive_options": dict(bucket.options)}
    assert fives.retired(fives.tidy(retention=said)) == 5
    with fives.open(retention=said) as workspace:
        place = ArchivePlace(address, workspace.settings.retention.archive_options)
        names = place.names("phone.calls")
        (part,) = [name for name in names if name.endswith(".parquet")]
        assert sorted(place.dataset([part]).to_table().column("call_id").to_pylist()) == ["c1", "c2", "c3", "c4", "c5"]
        assert erase(fives, "s1", said).tables == {"archive of phone.calls": 1}
        (after,) = [name for name in place.names("phone.calls") if name.endswith(".parquet")]
        assert sorted(place.dataset([after]).to_table().column("call_id").to_pylist()) == ["c2", "c3", "c4", "c5"]
        shown = json.dumps(fives.rows("platform.archives"), default=str)
        assert not [name for name in ("secret_key", "account_key") if bucket.options.get(name, "?") in shown]
    lost = {**said, "archive": address.replace(bucket.name, f"{bucket.name}-gone")}
    fives.take([50], days_ago=45)
    (fault,) = fives.tidy(retention=lost).failed
    assert "no such bucket" in fault
    assert "c50" in fives.ids()
