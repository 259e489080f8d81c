"""The log: JSON lines with the ids of run and batch, quiet text, and nothing of what rows hold."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.cli.logs import set_up_log
from trunkline.run.run_log import JsonLines
from trunkline.settings.log import LogSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the logging of this process as it was."""
    root, own = logging.getLogger(), logging.getLogger("trunkline")
    handlers, level = list(root.handlers), own.level
    yield
    root.handlers[:] = handlers
    own.setLevel(level)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_run_says_its_ids_and_counts_and_no_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUNKLINE_LOG__FORMAT", "json")
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "rows.csv"
    source.write_text("customerID,tenure,MonthlyCharges\nSECRET-1,3,29.53125\nSECRET-2,-9,VALUE\n")
    assert main(["ingest", "churn", str(source), "--workspace", str(tmp_path / "w"), "--json"]) == 0
    said = lines(capsys.readouterr().err)
    assert [line["text"] for line in said] == ["run begins", "batch taken in", "step ingest done", "run ends"]
    assert len({line["run_id"] for line in said}) == 1
    assert {line["usecase"] for line in said} == {"churn"}
    batch = said[1]
    assert (batch["read"], batch["accepted"], batch["quarantined"], batch["dataset"]) == (2, 1, 1, "subscribers")
    assert len(str(batch["batch_id"])) == 24
    assert said[-1]["state"] == "finished"
    assert all(str(line["at"]).endswith("+00:00") and line["level"] == "info" for line in said)
    for value in ("SECRET", "VALUE", "29.53125"):
        assert value not in "".join(map(json.dumps, said))


def test_a_run_that_fails_says_the_class_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUNKLINE_LOG__FORMAT", "json")
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "rows.csv"
    source.write_text("customerID,tenure\n")
    assert main(["ingest", "churn", str(source), "--workspace", str(tmp_path / "w")]) == 2
    failed = lines(capsys.readouterr().err)[-1]
    assert (failed["level"], failed["state"], failed["text"]) == ("error", "failed", "run failed: SourceError")


def test_as_text_a_command_says_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("customerID,tenure\n")
    assert main(["ingest", "churn", "rows.csv", "--workspace", "w"]) == 2
    said = capsys.readouterr().err
    assert "INFO" not in said
    assert "run failed" not in said
    assert said.count("trunkline: ") == 1


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_levels(level: str, shown: int, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log(LogSettings.model_validate({"format": "json", "level": level}))
    set_up_log(LogSettings.model_validate({"format": "json", "level": level}))  # takes the place of the first
    logger = logging.getLogger("trunkline.anything")
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    logging.getLogger("urllib3").info("GET https://x/?token=1")
    said = capsys.readouterr().err
    assert len(lines(said)) == shown
    assert "token" not in said


def test_only_known_members_and_the_class_of_an_exception_are_written() -> None:
    record = logging.LogRecord("trunkline.x", logging.ERROR, __file__, 1, "it %s", ("broke",), None)
    record.run_id, record.row = "r1", {"phone": "+49"}
    try:
        int("phone +49")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    said = json.loads(JsonLines().format(record))
    assert (said["text"], said["run_id"], said["error"]) == ("it broke", "r1", "ValueError")
    assert "+49" not in json.dumps(said)


def test_runs_are_logged_in_files_that_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_LOG__FILES", "3")
    monkeypatch.setenv("TRUNKLINE_LOG__FILE_MB", "0.0005")  # about two lines
    monkeypatch.chdir(tmp_path)
    source, folder = tmp_path / "rows.csv", tmp_path / "w" / "logs"
    source.write_text("customerID,tenure,MonthlyCharges\nSECRET-1,3,29.53125\n")
    for run in ("first", "second", "third"):
        assert main(["ingest", "churn", str(source), "--workspace", str(tmp_path / "w"), "--run-id", run]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["churn.jsonl", "churn.jsonl.1", "churn.jsonl.2"]
    said = lines("\n".join(path.read_text() for path in folder.iterdir()))
    assert {line["run_id"] for line in said} <= {"second", "third"}, "the oldest lines have gone"
    assert "SECRET" not in str(said)
    newest = lines((folder / "churn.jsonl").read_text())[-1]
    assert (newest["text"], newest["run_id"], newest["state"]) == ("run ends", "third", "finished")


def test_a_log_that_cannot_be_written_stops_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "rows.csv"
    source.write_text("customerID,tenure,MonthlyCharges\nSECRET-1,3,29.53125\n")
    (tmp_path / "w" / "logs" / "churn.jsonl").mkdir(parents=True)
    assert main(["ingest", "churn", str(source), "--workspace", str(tmp_path / "w")]) == 0
    monkeypatch.setenv("TRUNKLINE_LOG__FILES", "0")
    assert main(["ingest", "churn", str(source), "--workspace", str(tmp_path / "none")]) == 0
    assert not (tmp_path / "none" / "logs").exists()
