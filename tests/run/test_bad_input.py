"""Bad input ends in exit code 2, a text that says what, where and what next, no traceback, and nothing half-written."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

Trunkline = Callable[..., tuple[int, str, str]]
Subscribers = Callable[..., pa.Table]
Made = Callable[[Path, pa.Table], Path]


def csv(folder: Path, rows: pa.Table) -> Path:
    path = folder / "rows.csv"
    pa_csv.write_csv(rows, path)
    return path


def changed(rows: pa.Table, name: str, values: object) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def missing_file(folder: Path, rows: pa.Table) -> Path:
    return folder / "absent.csv"


def below_a_file(folder: Path, rows: pa.Table) -> Path:
    return csv(folder, rows) / "rows.csv"


def folder_without_data(folder: Path, rows: pa.Table) -> Path:
    (folder / "notes.md").write_text("nothing here")
    return folder


def empty_file(folder: Path, rows: pa.Table) -> Path:
    (folder / "rows.csv").write_bytes(b"")
    return folder / "rows.csv"


def only_a_header(folder: Path, rows: pa.Table) -> Path:
    return csv(folder, rows.slice(0, 0))


def parquet_without_rows(folder: Path, rows: pa.Table) -> Path:
    pq.write_table(rows.slice(0, 0), folder / "rows.parquet")
    return folder / "rows.parquet"


def missing_columns(folder: Path, rows: pa.Table) -> Path:
    return csv(folder, rows.drop_columns(["tenure_months", "subscriber_id"]))


def column_twice(folder: Path, rows: pa.Table) -> Path:
    (folder / "rows.csv").write_text("subscriber_id,tenure_months,tenure_months\nA,1,2\n")
    return folder / "rows.csv"


def cut_csv(folder: Path, rows: pa.Table) -> Path:
    path = csv(folder, rows)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b",", 0, -20)])
    return path


def cut_gzip(folder: Path, rows: pa.Table) -> Path:
    path = folder / "rows.csv.gz"
    path.write_bytes(gzip.compress(csv(folder, rows).read_bytes())[:-200])
    return path


def cut_parquet(folder: Path, rows: pa.Table) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(rows, path)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def holed_parquet(folder: Path, rows: pa.Table) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(rows, path)
    content = bytearray(path.read_bytes())
    content[10:400] = bytes(390)
    path.write_bytes(bytes(content))
    return path


def cut_ndjson(folder: Path, rows: pa.Table) -> Path:
    path = folder / "rows.ndjson"
    path.write_text("\n".join(json.dumps(row) for row in rows.to_pylist())[:-15])
    return path


def text_called_parquet(folder: Path, rows: pa.Table) -> Path:
    return csv(folder, rows).rename(folder / "rows.parquet")


def bytes_called_csv(folder: Path, rows: pa.Table) -> Path:
    (folder / "rows.csv").write_bytes(bytes(range(256)) * 10)
    return folder / "rows.csv"


UNREADABLE = (
    missing_file,
    below_a_file,
    folder_without_data,
    empty_file,
    only_a_header,
    parquet_without_rows,
    missing_columns,
    column_twice,
    cut_csv,
    cut_gzip,
    cut_parquet,
    holed_parquet,
    cut_ndjson,
    text_called_parquet,
    bytes_called_csv,
)
# One of each kind is quick enough for every run; the readers of each form have their own quick tests.
QUICK = (missing_file, folder_without_data, only_a_header, missing_columns, cut_csv, cut_parquet)


def files(workspace: Path) -> dict[str, bytes]:
    """Everything that is stored, but for what is noted of a run and a source that were tried, and the locks."""
    changing = {"runs", "locks", "logs", "attempts", "alerts"}
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and not changing & set(path.relative_to(workspace).parts) and "lock" not in path.name
    }


def assert_refused(result: tuple[int, str, str], *, kind: str | None = None) -> dict[str, str]:
    """Exit code 2, a text with where and what next, one JSON document that says the same."""
    code, out, err = result
    assert code == 2, err
    assert "Traceback" not in err
    assert "trunkline: " in err
    document = json.loads(out)
    error: dict[str, str] = document["error"]
    assert error["what"]
    assert error["next"] or error["allowed"], error
    if kind is not None:
        assert error["kind"] == kind
    return error


@pytest.mark.parametrize(
    "made", [made if made in QUICK else pytest.param(made, marks=pytest.mark.slow) for made in UNREADABLE]
)
def test_a_source_that_cannot_be_taken_in_leaves_nothing(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers, made: Made
) -> None:
    path = made(tmp_path, subscribers(60, seed=9))
    before = files(workspace)
    error = assert_refused(trunkline("run", "leavers", "--source", path, "--workspace", workspace, "--json"))
    assert files(workspace) == before
    assert path.name in error["where"]


@pytest.mark.slow
@pytest.mark.parametrize("made", [missing_columns, cut_gzip, only_a_header, missing_file])
@pytest.mark.parametrize("command", ["evaluate", "monitor", "predict"])
def test_a_look_at_a_source_that_cannot_be_read_leaves_nothing(
    trunkline: Trunkline, trained: Path, tmp_path: Path, subscribers: Subscribers, made: Made, command: str
) -> None:
    path = made(tmp_path, subscribers(60, seed=9))
    out = tmp_path / "scores.csv"
    before = files(trained)
    more = ("--out", out) if command == "predict" else ()
    assert_refused(trunkline(command, "leavers", "--source", path, *more, "--workspace", trained, "--json"))
    assert files(trained) == before
    assert not out.exists()


def test_rows_that_are_all_bad_are_quarantined_with_every_reason(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    rows = changed(subscribers(40, seed=9), "tenure_months", pa.array(["soon"] * 40))
    rows = changed(rows, "monthly_charges", pa.array([-1.0] * 40))
    path = csv(tmp_path, rows)
    result = trunkline("run", "leavers", "--source", path, "--workspace", workspace, "--json")
    error = assert_refused(result, kind="RowsRefusedError")
    assert "none of the 40 rows" in error["what"]
    assert "monthly_charges.minimum (40)" in error["what"]
    batches = json.loads(trunkline("quarantine", "list", "--workspace", workspace, "--json")[1])["batches"]
    assert [batch["rows"] for batch in batches] == [40]
    again = trunkline("run", "leavers", "--source", path, "--workspace", workspace, "--json")
    assert_refused(again, kind="RowsRefusedError")
    batches = json.loads(trunkline("quarantine", "list", "--workspace", workspace, "--json")[1])["batches"]
    assert [batch["rows"] for batch in batches] == [40], "handed in twice, quarantined once"


def test_wrong_values_in_some_rows_cost_only_those(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers
) -> None:
    rows = subscribers(60, seed=9)
    tenure = [str(value) for value in rows["tenure_months"].to_pylist()]
    path = csv(tmp_path, changed(rows, "tenure_months", pa.array(["1.5", "-3", *tenure[2:]])))
    code, out, err = trunkline("ingest", "leavers", path, "--workspace", workspace, "--json")
    assert code == 0, err
    found = json.loads(out)["ingest"]
    assert (found["read"], found["accepted"], found["quarantined"], found["duplicates"]) == (60, 58, 2, 0)


@pytest.mark.parametrize(
    "label", ["one class", *(pytest.param(label, marks=pytest.mark.slow) for label in ("absent", "null"))]
)
def test_a_label_that_cannot_be_learned(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, subscribers: Subscribers, label: str
) -> None:
    rows = subscribers(60, seed=9)
    if label == "absent":
        rows = rows.drop_columns(["left"])  # the contract lets it be absent: rows to score have none
    else:
        rows = changed(rows, "left", pa.array([True if label == "one class" else None] * 60, pa.bool_()))
    path = csv(tmp_path, rows)
    error = assert_refused(
        trunkline("run", "leavers", "--source", path, "--workspace", workspace, "--json"), kind="LabelError"
    )
    if label != "one class":
        assert "'left' is absent or null throughout" in error["what"]
        assert "--map FILE.toml" in error["next"]
    shown = json.loads(trunkline("models", "list", "leavers", "--workspace", workspace, "--json")[1])
    assert [version["version"] for version in shown["versions"]] == ["1"], "nothing was registered"
    assert not (workspace / "candidates").exists() or len(list((workspace / "candidates").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("run", "leaver"), "leavers", id="unknown use case"),
        pytest.param(("run", "leavers", "--until", "end"), "evaluate", id="unknown last step"),
        pytest.param(("evaluate", "leavers", "--run-id", "nobody"), "nobody", id="unknown run"),
        pytest.param(("register", "leavers", "--run-id", "nobody"), "nobody", id="unknown run to register"),
        pytest.param(("report", "leavers", "--run-id", "nobody"), "nobody", id="unknown run to report"),
        pytest.param(("train", "house_prices", "--run-id", "first"), "leavers", id="run of another use case"),
        pytest.param(("run", "leavers", "--run-id", "../../etc"), "letters", id="malformed run"),
        pytest.param(("run", "leavers", "--run-id", "ü" * 5), "letters", id="run in other letters"),
        pytest.param(("ingest", "leavers", "--dataset", "bills"), "subscribers", id="unknown dataset"),
        pytest.param(("models", "show", "leavers", "7"), "7", id="unknown version"),
        pytest.param(("models", "promote", "leavers", "1", "--alias", "king"), "champion", id="unknown alias"),
        pytest.param(("models", "rollback", "leavers"), "leavers", id="no earlier champion"),
        *(
            pytest.param(("models", *command), "there is no use case 'leave'", id=f"{command[0]} of no use case")
            for command in (
                ("rollback", "leave"),
                ("show", "leave"),
                ("promote", "leave", "1"),
                ("retire", "leave", "1"),
            )
        ),
        pytest.param(("models", "list", "leaver"), "leavers", id="models of an unknown use case"),
        pytest.param(("models", "show", "leaver"), "leaver", id="model of an unknown use case"),
        pytest.param(("quarantine", "show", "nothing"), "nothing", id="unknown batch"),
        pytest.param(("lineage", "nothing"), "nothing", id="unknown identity"),
        pytest.param(("simulate", "house_prices", "--rows", "5", "--out", "made"), "simulat", id="no simulator"),
        pytest.param(("simulate", "leavers", "--rows", "0", "--out", "made"), "at least 1", id="no rows to simulate"),
        pytest.param(("simulate", "leavers", "--rows", "many", "--out", "made"), "many", id="no number"),
        pytest.param(("predict", "leavers", "--out", "scores.csv"), "--source", id="out without source"),
        pytest.param(("run",), "usecase", id="no use case"),
        pytest.param(("run", "leavers", "--sauce", "x"), "sauce", id="unknown option"),
        pytest.param(("rum", "leavers"), "rum", id="unknown command"),
    ],
)
def test_what_does_not_exist_is_named(
    trunkline: Trunkline, trained: Path, arguments: tuple[str, ...], named: str
) -> None:
    before = files(trained)
    error = assert_refused(trunkline(*arguments, "--workspace", trained, "--json"))
    assert named.lower() in json.dumps(error, ensure_ascii=False).lower()
    assert files(trained) == before


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("[columns\n", id="no toml"),
        pytest.param('"Customer No" = "subscriber_id"\n', id="no table"),
        pytest.param("[columns]\nage = 7\n", id="no text"),
        pytest.param('[columns]\nregion = "no_such_field"\n', id="unknown field"),
        pytest.param('[columns]\n"no such column" = "region"\n', id="unknown column"),
        pytest.param(None, id="no file"),
    ],
)
def test_a_mapping_that_is_none(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, source: Path, content: str | None
) -> None:
    path = tmp_path / "map.toml"
    if content is not None:
        path.write_text(content)
    before = files(workspace)
    command = ("run", "leavers", "--source", source, "--map", path, "--workspace", workspace, "--json")
    assert_refused(trunkline(*command))
    assert files(workspace) == before


@pytest.mark.parametrize(
    ("line", "where", "meant"),
    [
        pytest.param('Months = "tenur_months"', "map.toml", "did you mean 'tenure_months'?", id="field"),
        pytest.param('"Tenure_Mnths" = "tenure_months"', "map.toml", "did you mean 'tenure_months'?", id="column"),
        pytest.param('QQQ = "region"', "map.toml", "name a column of the source", id="nothing like it"),
    ],
)
def test_a_misspelt_mapping_is_told_as_it_was_written(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, source: Path, line: str, where: str, meant: str
) -> None:
    path = tmp_path / "map.toml"
    path.write_text(f"[columns]\n{line}\n")
    command = ("ingest", "leavers", source, "--map", path, "--workspace", workspace, "--json")
    error = assert_refused(trunkline(*command), kind="MappingError")
    assert error["where"].startswith(str(tmp_path / where))
    assert source.name in error["where"]
    assert meant in error["next"]
    assert any(repr(name) in error["what"] for name in ("tenur_months", "Tenure_Mnths", "QQQ"))
    if "did you mean" in meant:
        assert error["allowed"][0] == "tenure_months"


def test_a_workspace_that_is_a_file(trunkline: Trunkline, tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert_refused(
        trunkline("run", "leavers", "--source", source, "--workspace", tmp_path / "file", "--json"), kind="InputError"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_workspace_of_another_time(trunkline: Trunkline, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    error = assert_refused(trunkline("models", "list", "--workspace", tmp_path, "--json"))
    assert "99" in error["what"]


def test_an_address_that_nobody_watches_is_refused_without_its_password(
    trunkline: Trunkline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "amqp://ann:hidden@127.0.0.1/phones"
    code, out, err = trunkline("watch", "sensors", url, "--workspace", tmp_path / "w")
    assert (code, "amqp://" in err, "kafka://" in err, "hidden" in out + err) == (2, True, True, False)
    (tmp_path / "trunkline.toml").write_text(f'[sources.phones]\nkind = "topic"\nusecase = "sensors"\nurl = "{url}"\n')
    code, out, err = trunkline("watch", "sensors", "phones", "--workspace", tmp_path / "w")
    assert (code, "kafka://" in err, "hidden" in out + err) == (2, True, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TRUNKLINE_SEED", "often"), ("TRUNKLINE_THREADS", "-1"), ("TRUNKLINE_LAKE__LOCK_TIMEOUT_S", "soon")],
)
def test_settings_that_are_wrong_are_named(
    trunkline: Trunkline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    error = assert_refused(trunkline("usecases", "--workspace", tmp_path / "w", "--json"))
    assert name in error["where"]


@pytest.mark.parametrize("content", ["seed = ", "sead = 1", "[lake]\nlook_timeout_s = 1"])
def test_a_settings_file_that_is_wrong(
    trunkline: Trunkline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text(content)
    error = assert_refused(trunkline("usecases", "--json"))
    assert "trunkline.toml" in error["where"]


def test_predictions_of_a_use_case_without_a_champion(trunkline: Trunkline, tmp_path: Path, source: Path) -> None:
    for command in (("predict",), ("monitor",), ("evaluate",)):
        more = ("--out", tmp_path / "out.csv") if command == ("predict",) else ()
        asked = (*command, "leavers", "--source", source, *more, "--workspace", tmp_path / "w", "--json")
        error = assert_refused(trunkline(*asked), kind="UnknownNameError")
        assert "champion" in error["what"]


@pytest.mark.parametrize("out", ["scores.xlsx", "nowhere/scores.csv", "rows.csv", ""])
def test_an_output_that_cannot_be_written(
    trunkline: Trunkline, trained: Path, tmp_path: Path, subscribers: Subscribers, out: str
) -> None:
    path = csv(tmp_path, subscribers(20, seed=9))
    before = path.read_bytes()
    asked = ("predict", "leavers", "--source", path, "--out", tmp_path / out, "--workspace", trained, "--json")
    assert_refused(trunkline(*asked))
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.csv"]
    assert path.read_bytes() == before


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["flipped", "cut", "removed"])
@pytest.mark.parametrize("name", ["model.onnx", "model.json", "seen.parquet", "lightgbm"])
def test_a_tampered_model_answers_nothing(
    trunkline: Trunkline, tmp_path: Path, trained: Path, source: Path, name: str, how: str
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    for part in ("models", "live"):
        shutil.copytree(trained / part, workspace / part)
    for part in ("VERSION", "ledger.jsonl"):
        shutil.copy(trained / part, workspace / part)
    folder = next((workspace / "models" / "leavers").iterdir())
    (target,) = [path for path in folder.iterdir() if path.name.startswith(name) and "view" not in path.name]
    if how == "flipped":
        flipped(target)
    elif how == "cut":
        target.write_bytes(target.read_bytes()[:-7])
    else:
        target.unlink()
    out = tmp_path / "scores.csv"
    asked = ("predict", "leavers", "--source", source, "--out", out, "--workspace", workspace, "--json")
    assert_refused(trunkline(*asked), kind="TamperedError")
    assert not out.exists()
    assert_refused(trunkline("models", "verify", "--workspace", workspace, "--json"), kind="TamperedError")


@pytest.mark.parametrize("how", ["another version", "no json", "not whole"])
def test_a_tampered_live_manifest_answers_nothing(
    trunkline: Trunkline, workspace: Path, tmp_path: Path, source: Path, how: str
) -> None:
    path = workspace / "live" / "leavers.json"
    text = path.read_text()
    path.write_text(
        {"another version": text.replace('"version": "1"', '"version": "2"'), "no json": "[", "not whole": text[:-20]}[
            how
        ]
    )
    assert path.read_text() != text
    out = tmp_path / "scores.csv"
    asked = ("predict", "leavers", "--source", source, "--out", out, "--workspace", workspace, "--json")
    assert_refused(trunkline(*asked), kind="TamperedError")
    assert not out.exists()


def test_a_tampered_ledger_is_found_and_nothing_is_added_to_it(
    trunkline: Trunkline, workspace: Path, source: Path
) -> None:
    ledger = workspace / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"approver":"gates"', '"approver":"greta"', 1))
    before = ledger.read_bytes()
    assert_refused(trunkline("models", "verify", "--workspace", workspace, "--json"), kind="TamperedError")
    asked = ("models", "promote", "leavers", "1", "--alias", "challenger", "--workspace", workspace, "--json")
    assert_refused(trunkline(*asked), kind="TamperedError")
    assert ledger.read_bytes() == before
