"""Keys are made once whoever asks first, survive a kill, and are told of by doctor; and where encryption reaches."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from trunkline.checks.sealing import is_sealed_text
from trunkline.cli.server import build_app
from trunkline.contracts.records import QUARANTINE, REIDENTIFICATIONS, VAULT
from trunkline.errors import TamperedError
from trunkline.lake import Keyring
from trunkline.lake.keys import CRASH_POINTS
from trunkline.lake.keys.files import KeyFiles
from trunkline.run import Workspace, utc_now
from trunkline.settings import PrivacySettings, load_settings
from trunkline.settings.drills import VARIABLE

Trunkline = Callable[..., tuple[int, str, str]]


def ring(root: Path, **settings: object) -> Keyring:
    return Keyring(root, settings=PrivacySettings.model_validate(settings), clock=utc_now)


def test_whoever_asks_first_makes_the_key_and_all_others_have_it(tmp_path: Path) -> None:
    rings = [ring(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: (one.pseudonym_key("msisdn"), one.data_key()), rings))
    assert len(set(found)) == 1
    assert [one.use for one in ring(tmp_path).facts()].count("msisdn") == 1
    assert ring(tmp_path).pseudonym_keys("email") == (), "looking makes none"


def test_threads_that_complete_the_list_of_keys_do_not_disturb_each_other(tmp_path: Path) -> None:
    made = ring(tmp_path).pseudonym_key("msisdn")
    for _ in range(20):
        (tmp_path / "keys.json").unlink()  # as who is killed before the key is noted leaves it
        rings = [ring(tmp_path) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda one: one.pseudonym_key("msisdn"), rings)) == {made}
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_keys_may_lie_elsewhere_and_no_secret_is_in_the_workspace(tmp_path: Path) -> None:
    made = ring(tmp_path / "w", key_folder=tmp_path / "safe").pseudonym_key("msisdn")
    assert {path.name for path in (tmp_path / "w").rglob("*") if path.is_file()} <= {
        "keys.json",
        "keys.lock",
        "keys.lock.holder",
    }
    assert ring(tmp_path / "w", key_folder=tmp_path / "safe").pseudonym_key("msisdn") == made
    with pytest.raises(TamperedError, match="not there"):
        ring(tmp_path / "w").pseudonym_key("msisdn")
    with pytest.raises(TamperedError, match="not there"):
        ring(tmp_path / "w").pseudonym_key("a type that never had one")


def test_a_keyring_of_before_is_noticed(tmp_path: Path) -> None:
    keys = ring(tmp_path)
    keys.pseudonym_key("msisdn")
    old = (tmp_path / "keys" / "keyring.json").read_bytes()
    lost = keys.pseudonym_key("email").key_id
    (tmp_path / "keys" / "keyring.json").write_bytes(old)
    with pytest.raises(TamperedError, match=f"lacks the key {lost} of email"):
        ring(tmp_path).pseudonym_key("msisdn")


@pytest.mark.slow
@pytest.mark.parametrize("at", CRASH_POINTS)
def test_who_is_killed_while_keys_are_made_or_changed_loses_none(tmp_path: Path, at: str) -> None:
    before = ring(tmp_path).pseudonym_key("msisdn")
    code = (
        "from pathlib import Path; from trunkline.lake import Keyring; from trunkline.run import utc_now\n"
        "from trunkline.settings import PrivacySettings\n"
        f"Keyring(Path({str(tmp_path)!r}), settings=PrivacySettings(), clock=utc_now).rotate('encryption')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, VARIABLE: at}, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    keys = ring(tmp_path)
    assert keys.pseudonym_key("msisdn") == before
    keys.rotate("encryption")
    assert ring(tmp_path).pseudonym_key("msisdn") == before
    assert len((tmp_path / "keys" / "master.key").read_text().split()) == 1


def test_who_reads_while_the_master_key_is_changed_has_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ring(tmp_path).pseudonym_key("msisdn")
    masters = KeyFiles.masters
    changes: list[str] = []

    def between(files: KeyFiles) -> list[bytes]:
        """Change the keys after a reader has read the keyring, and before it reads the master key."""
        if not changes:
            changes.append("begun")
            changes.append(ring(tmp_path).rotate("encryption").key_id)
        return masters(files)

    monkeypatch.setattr(KeyFiles, "masters", between)
    assert ring(tmp_path).pseudonym_key("msisdn") == made
    assert len(changes) == 2


def test_files_of_keys_have_their_names_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    ring(tmp_path).pseudonym_key("msisdn")
    assert {tmp_path, tmp_path / "keys"} <= set(synced)


def findings(trunkline: Trunkline) -> dict[str, dict[str, str]]:
    _, out, _ = trunkline("doctor", "--json")
    return {found["part"]: found for found in json.loads(out)["findings"]}


@pytest.mark.slow
def test_doctor_says_whether_the_keys_are_there(trunkline: Trunkline, lines: Path, workspace: Workspace) -> None:
    assert findings(trunkline)["keys"]["detail"] == "made on first need"
    (lines / "a.csv").write_text("msisdn,seconds\n0170 1,1\n")
    assert trunkline("ingest", "lines", lines / "a.csv")[0] == 0
    found = findings(trunkline)["keys"]
    assert (found["state"], str(workspace.keys.folder) in found["detail"]) == ("ok", True)
    master = workspace.keys.folder / "master.key"
    master.chmod(0o644)
    assert findings(trunkline)["keys"] == {
        "part": "keys",
        "state": "broken",
        "detail": "others may read master.key",
        "mend": f"chmod 600 {workspace.keys.folder}/*",
    }
    master.unlink()
    assert findings(trunkline)["keys"]["state"] == "broken"
    assert trunkline("doctor")[0] == 1


@pytest.mark.parametrize("encrypt", ["protected", "personal"])
def test_what_is_personal_and_kept_in_clear_is_encrypted_where_the_settings_say(
    trunkline: Trunkline, lines: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, encrypt: str
) -> None:
    plugin = lines.parent / "plugins" / "lines" / "__init__.py"
    text = plugin.read_text().replace('Pii("msisdn", keep="encrypted", country="49")', '"msisdn"')
    plugin.write_text(text.replace('Pii("email", keep="pseudonym")', '"email"'))
    monkeypatch.setenv("TRUNKLINE_PRIVACY__ENCRYPT", encrypt)
    (lines / "a.csv").write_text("msisdn,seconds\n0170 1,1\n0170 2,x\n")
    assert trunkline("ingest", "lines", lines / "a.csv")[0] == 0
    assert workspace.lake.arrow("lines.lines").column("msisdn").to_pylist() == ["0170 1"]
    (row,) = workspace.lake.arrow(QUARANTINE).column("row").to_pylist()
    (piece,) = workspace.landing("lines.lines").pieces("files")
    assert {is_sealed_text(row), piece.is_sealed, workspace.keys.folder.exists()} == {encrypt == "personal"}


def test_lineage_finds_a_row_by_the_clear_identifier(trunkline: Trunkline, lines: Path) -> None:
    (lines / "a.csv").write_text("msisdn,seconds\n0170 1234567,1\n")
    assert trunkline("ingest", "lines", lines / "a.csv")[0] == 0
    code, out, err = trunkline("lineage", "lines.lines#msisdn=+49 170 1234567")
    assert code == 0, err
    assert "a.csv" in out
    assert "1234567" not in out


@pytest.mark.slow
def test_nobody_reads_the_vault_through_the_server(trunkline: Trunkline, lines: Path) -> None:
    (lines / "a.csv").write_text("msisdn,seconds\n0170 1234567,1\n")
    assert trunkline("ingest", "lines", lines / "a.csv")[0] == 0
    app, reader = build_app(load_settings())
    try:
        listed = {f"{row.usecase}.{row.dataset}" for row in reader.tables()}
        assert "lines.lines" in listed
        assert listed.isdisjoint({VAULT, REIDENTIFICATIONS})
        with TestClient(app, base_url="http://127.0.0.1:8000") as client:
            assert client.get("/console/tables/lines/lines").status_code == 200
            for table in (VAULT, REIDENTIFICATIONS):
                path = f"/console/tables/{table.replace('.', '/')}"
                assert client.get(path).status_code == 404
                assert client.get(f"{path}/export?form=csv").status_code == 404
    finally:
        reader.close()
