"""No file of a workspace holds an identifier in clear, whatever has been done with it; and an erasure finds all of it.

The identifiers are looked for in the bytes of every file, and in those of every packed file, Parquet column and log
record that the files hold.
"""

import bz2
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from trunkline.brokers import EmbeddedLog
from trunkline.cli.server import build_app
from trunkline.contracts.records import QUARANTINE, VAULT
from trunkline.plugins import load_usecase
from trunkline.run import Workspace
from trunkline.settings import load_settings

Trunkline = Callable[..., tuple[int, str, str]]

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
ANN, BEN, EVE = "+491701234567", "+491717654321", "+491728306519"
SPELLED = {
    ANN: (ANN, "0170 / 1234567", "00491701234567", "1701234567"),
    BEN: (BEN, "0171-7654321", "1717654321"),
    EVE: (EVE, "0172 8306519", "1728306519"),
}


def traces(root: Path, *people: str) -> set[str]:
    """Names of the files that hold one of the people in one of their spellings."""
    needles = [text.encode() for person in people for text in SPELLED[person]]
    found = set()
    for path in root.rglob("*"):
        if path.is_file() and any(needle in content for content in contents(path) for needle in needles):
            found.add(str(path.relative_to(root)))
    return found


def contents(path: Path) -> Iterator[bytes]:
    """What a file holds: its bytes, what they unpack to, the values of its columns."""
    yield path.read_bytes()
    if path.suffix == ".zst":
        yield pa.input_stream(path, compression="zstd").read()
    if path.suffix in (".gz", ".bz2"):
        yield (gzip if path.suffix == ".gz" else bz2).open(path).read()
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield json.dumps(batch.to_pylist(), default=str).encode()


@pytest.fixture
def subscribers(lines: Path) -> pa.Table:
    """Subscribers of the use case ``leavers``, here known by their telephone number, Ann and Ben among them."""
    folder = lines.parent / "plugins" / "leavers"
    shutil.copytree(PLUGINS / "leavers", folder, ignore=shutil.ignore_patterns("__pycache__"))
    code = folder / "__init__.py"
    text = code.read_text().replace('pii="subscriber"', 'pii=Pii("msisdn", keep="encrypted", country="49")')
    code.write_text(
        text.replace("import Contract, Flag, Integer, Number,", "import Contract, Flag, Integer, Number, Pii,")
    )
    simulate = load_usecase("leavers", plugin_dir=folder.parent).simulate
    assert simulate is not None
    table = simulate(rows=500, seed=0).tables["subscribers"]
    numbers = [f"0151 {number:07d}" for number in range(498)]
    return table.set_column(0, "subscriber_id", pa.array([SPELLED[ANN][1], SPELLED[BEN][1], *numbers]))


@contextmanager
def served() -> Iterator[TestClient]:
    """The server of the workspace, ended when the block is left: what is logged is in the lake then."""
    app, reader = build_app(load_settings())
    try:
        with TestClient(app, base_url="http://127.0.0.1:8000") as client:
            yield client
    finally:
        reader.close()


def row_of(table: pa.Table, place: int, **changed: object) -> dict[str, object]:
    (row,) = table.slice(place, 1).to_pylist()
    return {name: value for name, value in {**row, **changed}.items() if name != "left"}


@pytest.fixture
def used(trunkline: Trunkline, lines: Path, subscribers: pa.Table) -> Path:
    """A workspace in which everything has been done that touches people."""
    source = lines / "subscribers.csv"
    pa_csv.write_csv(subscribers, source)
    code, _, err = trunkline("run", "leavers", "--source", source)
    assert code == 0, err
    bad = subscribers.slice(0, 2).set_column(2, "tenure_months", pa.array([-1, -1]))
    pa_csv.write_csv(bad, lines / "bad.csv")
    with (lines / "bad.csv").open("a") as more:
        more.write(f"{SPELLED[ANN][2]},is,no,row\n0160 1,true,5,,5,1,0,north\n")
    code, _, err = trunkline("ingest", "leavers", lines / "bad.csv")
    assert code == 0, err
    held = json.loads(trunkline("quarantine", "list", "--json")[1])["batches"][0]["batch_id"]
    file = lines / "mended.csv"
    file.write_text("_row,tenure_months\n1,7\n2,-3\n")
    code, out, err = trunkline("quarantine", "replay", held, "--file", file, "--json")
    assert code == 0, err
    assert (json.loads(out)["accepted"], json.loads(out)["edited"]) == (1, 1)
    with served() as client:
        asked = row_of(subscribers, 0)
        for person in (SPELLED[ANN][1], ANN, EVE):
            assert client.post("/v1/leavers/predict", json={**asked, "subscriber_id": person}).status_code == 200
        rows = [row_of(subscribers, 0), row_of(subscribers, 1)]
        assert client.post("/v1/leavers/predict", json=rows).status_code == 200
        outcome = {"entity_key": SPELLED[ANN][2], "value": 1, "observed_at": "2026-01-01T00:00:00Z"}
        assert client.post("/v1/leavers/outcomes", json=outcome).status_code == 200
        sent = [row_of(subscribers, 0, left=True), row_of(subscribers, 1, tenure_months=-5), ANN]
        taken = client.post("/v1/ingest/leavers/subscribers", json=sent)
        assert (taken.status_code, taken.json()["accepted"], taken.json()["refused"]) == (200, 1, 2)
    return lines.parent / "w"


@pytest.mark.slow
def test_no_file_holds_a_known_subscriber_in_clear(
    trunkline: Trunkline, used: Path, lines: Path, workspace: Workspace
) -> None:
    assert traces(lines, ANN, BEN), "what was handed over is found by this search"
    assert traces(used, ANN, BEN, EVE) == set()
    landing = workspace.landing("leavers.subscribers")
    landed = [piece for source in landing.sources() for piece in landing.pieces(source)]
    assert len(landed) == 3, "the file, the bad one, and what was replayed"
    assert all(piece.is_sealed for piece in landed)
    pseudonyms = workspace.keys.pseudonyms(workspace.usecase("leavers").contract)
    assert pseudonyms is not None
    ann = pseudonyms.value("subscriber_id", ANN)
    answers = workspace.lake.arrow("platform.predictions", where=lambda rows: rows["entity_key"] == ann)
    assert answers.num_rows == 4, "two spellings, the batch, and the run"
    outcomes = workspace.lake.arrow("platform.outcomes").column("entity_key").to_pylist()
    assert outcomes == [ann], "so that it joins its predictions"
    log = EmbeddedLog(
        used / "log" / "log.db", settings=workspace.settings.broker, clock=workspace.clock, keys=workspace.keys
    )
    try:
        (record, *_) = log.read("predictions", after=0, limit=10)
    finally:
        log.close()
    assert json.loads(record.value)["entity_key"] == ann
    assert b"model_version" not in (used / "log" / "log.db").read_bytes(), "records of the log are encrypted"


@pytest.mark.slow
@pytest.mark.parametrize("by", ["another spelling", "the pseudonym"])
def test_an_erasure_by_the_clear_identifier_finds_all_of_it(
    trunkline: Trunkline, used: Path, workspace: Workspace, by: str
) -> None:
    pseudonyms = workspace.keys.pseudonyms(workspace.usecase("leavers").contract)
    assert pseudonyms is not None
    ann, ben = (pseudonyms.value("subscriber_id", person) for person in (ANN, BEN))
    asked_for = "+49 (0)170 123 45 67" if by == "another spelling" else ann
    code, out, err = trunkline("maintain", "--erase", f"msisdn={asked_for}", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["raw_files"] == 3
    assert found["log_records"] == 5, "two answers, one to two rows, an outcome, and what was sent"
    assert found["tables"] == {
        "leavers.subscribers": 3,
        "platform.predictions": 4,
        "platform.outcomes": 1,
        QUARANTINE: 4,
        VAULT: 1,
    }
    assert traces(used, ANN, BEN, EVE) == set()
    held = {
        name
        for path in used.rglob("*.parquet")
        for content in contents(path)
        for name in (ann, ben)
        if name.encode() in content
    }
    assert held == {ben}, "and everybody else still is there"
