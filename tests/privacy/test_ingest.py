"""Identifiers that come in as a source spells them are in the lake as pseudonyms, and join there."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.checks.sealing import TEXT_MARK
from trunkline.contracts.records import QUARANTINE, REIDENTIFICATIONS, VAULT
from trunkline.errors import InputError, TamperedError
from trunkline.lake.vault import reidentify
from trunkline.run import Workspace

Trunkline = Callable[..., tuple[int, str, str]]

ANN = "0170 / 123-4567"
ANN_MEANT = "+491701234567"
PSEUDONYM = re.compile(r"hmac:[0-9a-f]{8}:[A-Za-z0-9_-]{43}")


def taken(trunkline: Trunkline, lines: Path) -> None:
    """Take in two customers and their calls, each spelled in another way, and two rows that break the contract."""
    (lines / "lines.csv").write_text(
        f"phone number,email,seconds\n{ANN},Ann@Example.org ,1\n+49 171 7654321,,2\n{ANN}9,bad@example.org,x\nz,q,1,2\n"
    )
    (lines / "calls.csv").write_text("call_id,caller,minutes\nc1,00491701234567,3\nc2,491717654321,4\n")
    for dataset in ("lines", "calls"):
        code, _, err = trunkline("ingest", "lines", lines / f"{dataset}.csv", "--dataset", dataset)
        assert code == 0, err


def test_pseudonyms_join_across_sources_and_datasets(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    taken(trunkline, lines)
    rows = workspace.lake.arrow("lines.lines").to_pylist()
    calls = workspace.lake.arrow("lines.calls").to_pylist()
    assert all(PSEUDONYM.fullmatch(row["msisdn"]) for row in rows)
    assert {row["msisdn"] for row in rows} == {call["caller"] for call in calls}
    ann = next(row for row in rows if row["seconds"] == 1)
    key = workspace.keys.pseudonym_key("msisdn")
    assert ann["msisdn"].split(":")[1] == key.key_id
    assert PSEUDONYM.fullmatch(ann["email"])
    assert ann["email"].split(":")[1] != key.key_id, "each type has a key of its own"
    assert next(row for row in rows if row["seconds"] == 2)["email"] is None


def test_handing_a_file_in_again_changes_nothing(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    taken(trunkline, lines)
    before = {table: workspace.lake.version(table) for table in ("lines.lines", "lines.calls", VAULT, QUARANTINE)}
    taken(trunkline, lines)
    assert before == {table: workspace.lake.version(table) for table in before}


def test_the_vault_keeps_originals_once_and_only_where_the_policy_says(
    trunkline: Trunkline, lines: Path, workspace: Workspace
) -> None:
    taken(trunkline, lines)
    entries = workspace.lake.arrow(VAULT).to_pylist()
    assert [entry["kind"] for entry in entries] == ["msisdn"] * 2, "one per customer; the refused row brought none"
    assert all(entry["original"].startswith(TEXT_MARK) for entry in entries)


def test_reidentification_is_written_down_before_it_is_answered(
    trunkline: Trunkline, lines: Path, workspace: Workspace
) -> None:
    taken(trunkline, lines)
    names = [row["msisdn"] for row in workspace.lake.arrow("lines.lines").to_pylist()]
    found = reidentify(workspace.lake, [*names, "hmac:nobody"], kind="msisdn", who="campaigns", why="winter offer")
    assert sorted(found.values()) == [ANN_MEANT, "+491717654321"]
    (record,) = workspace.lake.arrow(REIDENTIFICATIONS).to_pylist()
    assert (record["who"], record["why"], record["asked"], record["found"]) == ("campaigns", "winter offer", 3, 2)
    for who, why in (("", "winter offer"), ("campaigns", " "), ("campaigns", "x" * 2_000)):
        with pytest.raises(InputError):
            reidentify(workspace.lake, names, kind="msisdn", who=who, why=why)
    assert workspace.lake.arrow(REIDENTIFICATIONS).num_rows == 1


def test_keys_are_made_on_first_need_and_readable_by_their_owner_alone(
    trunkline: Trunkline, lines: Path, workspace: Workspace
) -> None:
    assert not workspace.keys.folder.exists()
    taken(trunkline, lines)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in workspace.keys.folder.iterdir()}
    assert modes == {"keyring.json": 0o600, "master.key": 0o600}
    assert stat.S_IMODE(workspace.keys.folder.stat().st_mode) == 0o700
    noted = json.loads((workspace.root / "keys.json").read_text())
    assert sorted(key["use"] for key in noted["keys"]) == ["email", "encryption", "msisdn"]
    assert not any("wrapped" in key for key in noted["keys"])


def test_raw_copies_are_encrypted_and_taken_in_again(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    taken(trunkline, lines)
    landing = workspace.landing("lines.lines")
    (piece,) = landing.pieces("files")
    assert piece.is_sealed
    assert piece.path is not None
    assert piece.path.name.endswith(".csv.zst.sealed")
    with landing.lent(piece) as path:
        assert path.name.endswith(".csv.zst")
        clear = path.resolve()
        assert path.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert not path.exists()
    assert not clear.exists()
    plugin = lines.parent / "plugins" / "lines" / "__init__.py"
    plugin.write_text(plugin.read_text().replace('aliases=("phone number",)', 'aliases=("phone number", "number")'))
    batch = json.loads(trunkline("quarantine", "list", "--json")[1])["batches"][0]["batch_id"]
    code, _, err = trunkline("ingest", "lines", "--again", batch, "--json")
    assert code == 0, err
    assert workspace.lake.arrow("lines.lines").num_rows == 2


def test_a_raw_copy_in_anothers_place_is_refused(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    taken(trunkline, lines)
    (lines / "more.csv").write_text("msisdn,seconds\n0172 1,1\n")
    assert trunkline("ingest", "lines", lines / "more.csv")[0] == 0
    landing = workspace.landing("lines.lines")
    one, other = landing.pieces("files")
    assert one.path is not None
    assert other.path is not None
    held = one.path.read_bytes()
    one.path.write_bytes(other.path.read_bytes())
    with pytest.raises(TamperedError, match="does not open where it stands"), landing.lent(one):
        pass
    for damaged in (held[:-1], held[:40], held[:-1] + bytes([held[-1] ^ 1]), held + b"x", b""):
        one.path.write_bytes(damaged)
        with pytest.raises(TamperedError), landing.lent(one):
            pass
    one.path.write_bytes(held)
    with landing.lent(one) as path:
        assert path.stat().st_size > 0


def test_small_files_in_one_commit_are_protected_as_well(
    trunkline: Trunkline, lines: Path, workspace: Workspace
) -> None:
    plugin = lines.parent / "plugins" / "lines" / "__init__.py"
    plugin.write_text(plugin.read_text().replace('keep="encrypted"', 'keep="pseudonym"'))
    folder = lines / "many"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.csv").write_text(f"msisdn,seconds\n0170 123456{number},{number}\n0171 {number},x\n")
    code, _, err = trunkline("ingest", "lines", folder)
    assert code == 0, err
    commits = workspace.lake.history("lines.lines")
    assert len([commit for commit in commits if commit.version == 0]) == len(commits) == 1, "they share a commit"
    rows = workspace.lake.arrow("lines.lines").to_pylist()
    pseudonyms = workspace.keys.pseudonyms(workspace.usecase("lines").contract)
    assert pseudonyms is not None
    assert {row["msisdn"]: row["seconds"] for row in rows} == {
        pseudonyms.value("msisdn", f"+49170123456{number}"): number for number in range(5)
    }
    refused = workspace.lake.arrow(QUARANTINE).column("row").to_pylist()
    assert len(refused) == 5
    assert all(row.startswith(TEXT_MARK) for row in refused)
    assert not workspace.lake.exists(VAULT), "no originals are kept"
    assert all(piece.is_sealed for piece in workspace.landing("lines.lines").pieces("files"))
