"""Rows traced to batch, file and record, from the lake and from the quarantine, and on to what learned from them."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

Trunkline = Callable[..., tuple[int, str, str]]


def traced(trunkline: Trunkline, workspace: Path, identity: str) -> list[tuple[str, str, dict[str, str]]]:
    code, out, err = trunkline("lineage", identity, "--workspace", workspace, "--json")
    assert code == 0, err
    return [(link["kind"], link["identity"], link["facts"]) for link in json.loads(out)["lineage"]]


def ingest(trunkline: Trunkline, workspace: Path, path: Path) -> None:
    code, _, err = trunkline("ingest", "leavers", path, "--workspace", workspace)
    assert code == 0, err


def receipts(workspace: Path) -> list[dict[str, object]]:
    from trunkline.run import Workspace
    from trunkline.settings import Settings

    with Workspace(Settings(workspace=workspace)) as opened:
        rows: list[dict[str, object]] = opened.lake.arrow("platform.receipts").sort_by("finished_at").to_pylist()
    return rows


@pytest.mark.slow
def test_a_row_by_its_key_and_by_its_record(
    trunkline: Trunkline, workspace: Path, subscribers: Callable[..., pa.Table], tmp_path: Path, source: Path
) -> None:
    table = subscribers(500)
    key = table.column("subscriber_id")[41].as_py()
    links = traced(trunkline, workspace, f"leavers.subscribers#subscriber_id={key}")
    (first,) = receipts(workspace)
    kind, identity, facts = links[0]
    assert (kind, identity) == ("row", f"{first['batch_id']}/42")
    assert (facts["record"], facts["state"], facts["run_id"]) == ("42", "the newest of its key", "first")
    assert facts["code_version"]
    kind, identity, facts = links[1]
    assert (kind, identity) == ("batch", first["batch_id"])
    assert (facts["source"], facts["content_sha256"]) == (str(source), first["content_sha256"])
    assert facts["contract_fingerprint"] == first["contract_fingerprint"]
    assert Path(facts["raw file"]).exists()
    ((kind, identity, facts),) = links[2:]
    assert (kind, identity, facts["model version"]) == ("training", "first", "leavers/1")
    assert facts["learned from"] == "the row"
    assert traced(trunkline, workspace, f"{first['batch_id']}/42") == links
    assert traced(trunkline, workspace, f"leavers.subscribers#{key}") == links
    Path(links[1][2]["raw file"]).unlink()
    assert traced(trunkline, workspace, f"{first['batch_id']}")[0][2]["raw file"].endswith(", removed")
    newer = tmp_path / "newer.csv"
    pa_csv.write_csv(table.slice(40, 3), newer)
    ingest(trunkline, workspace, newer)
    second = receipts(workspace)[-1]
    links = traced(trunkline, workspace, f"leavers.subscribers#subscriber_id={key}")
    assert [(kind, identity) for kind, identity, _ in links] == [
        ("row", f"{second['batch_id']}/2"),
        ("superseded row", f"{first['batch_id']}/42"),
        ("batch", second["batch_id"]),
    ], "no model has learned from the new row"
    links = traced(trunkline, workspace, f"{first['batch_id']}/42")
    assert links[0][2]["state"] == f"superseded by {second['batch_id']}/2"
    assert [(kind, identity) for kind, identity, _ in links[1:]] == [
        ("batch", first["batch_id"]),
        ("training", "first"),
    ]


def test_a_version_of_a_table(trunkline: Trunkline, trained: Path) -> None:
    (only,) = receipts(trained)
    links = traced(trunkline, trained, f"leavers.subscribers@{only['table_version']}")
    assert [(kind, identity) for kind, identity, _ in links] == [
        ("table version", f"leavers.subscribers@{only['table_version']}"),
        ("training", "first"),
        ("batch", only["batch_id"]),
    ]
    assert (links[0][2]["rows"], links[0][2]["batches"]) == ("500", "1")


@pytest.mark.slow
def test_a_refused_row_and_what_it_became(
    trunkline: Trunkline, subscribers: Callable[..., pa.Table], tmp_path: Path
) -> None:
    path, workspace = tmp_path / "subscribers.csv", tmp_path / "w"
    pa_csv.write_csv(subscribers(50), path)
    lines = path.read_text().splitlines()
    names = [name.strip('"') for name in lines[0].split(",")]
    place = names.index("subscriber_id")
    for row in (7, 9):
        cells = lines[row].split(",")
        cells[place] = ""
        lines[row] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    ingest(trunkline, workspace, path)
    (first,) = receipts(workspace)
    links = traced(trunkline, workspace, f"{first['batch_id']}/9")
    assert [(kind, identity) for kind, identity, _ in links] == [
        ("refused row", f"{first['batch_id']}/9"),
        ("batch", first["batch_id"]),
    ]
    assert (links[0][2]["state"], links[0][2]["reasons"]) == ("open", "subscriber_id.null")
    mended = tmp_path / "mended.csv"
    mended.write_text("_row,subscriber_id\n9,S9\n")
    code, out, err = trunkline(
        "quarantine", "replay", first["batch_id"], "--file", mended, "--workspace", workspace, "--json"
    )
    assert code == 0, err
    (batch,) = json.loads(out)["batches"]
    links = traced(trunkline, workspace, "leavers.subscribers#subscriber_id=S9")
    assert [(kind, identity) for kind, identity, _ in links] == [
        ("row", f"{batch}/1"),
        ("batch", batch),
        ("refused row", f"{first['batch_id']}/9"),
        ("batch", first["batch_id"]),
    ]
    assert links[1][2]["source"] == f"quarantine {first['batch_id']}"
    assert (links[2][2]["edited"], links[2][2]["state"]) == ("yes", "replayed")
    links = traced(trunkline, workspace, f"{first['batch_id']}/9")
    assert [identity for _, identity, _ in links] == [f"{first['batch_id']}/9", first["batch_id"], batch]
    assert "open since" in links[0][2]["history"]


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("leavers.subscribers#subscriber_id=nobody", "no row of that key"),
        ("leavers.nothing#a=1", "has no dataset 'nothing'"),
        ("nothing.nothing#a=1", "nothing"),
        ("leavers.subscribers@9999", "9999"),
        ("leavers.nothing@1", "leavers.nothing"),
        ("0123456789abcdef01234567/1", "0123456789abcdef01234567"),
        ("not an id", "nothing has the id"),
        ("/1", "nothing has the id"),
    ],
)
def test_ids_of_nothing(trunkline: Trunkline, trained: Path, identity: str, said: str) -> None:
    code, _, err = trunkline("lineage", identity, "--workspace", trained)
    assert code == 2, err
    assert said in err


def test_a_record_that_was_never_read(trunkline: Trunkline, trained: Path) -> None:
    (only,) = receipts(trained)
    code, _, err = trunkline("lineage", f"{only['batch_id']}/501", "--workspace", trained)
    assert code == 2
    assert "neither in the lake nor in the quarantine: not there" in err
