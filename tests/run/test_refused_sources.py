"""A call with many files of which some are refused: what became of each is told, and a repeat takes the rest in."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from trunkline.cli import main
from trunkline.cli.output import refused_document, tell_refused
from trunkline.errors import (
    MappingError,
    RowsRefusedError,
    SchemaError,
    SourceError,
    TrunklineError,
    UnavailableError,
)
from trunkline.run import IngestDocument, SourcesRefusedError, Workspace
from trunkline.run.outcomes import Outcome
from trunkline.run.records import past_run
from trunkline.run.resolving import Handed
from trunkline.settings import load_settings

USECASE = """
from typing import ClassVar
from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.spec import UseCase

class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))
    call_id: Text = field()
    seconds: Integer = field(minimum=0)
    cell: Text | None = field()
    vendor: Text | None = field()

usecase = UseCase(name="refused_calls", title="Calls", question="?", datasets={"calls": Call}, main="calls",
                  task=None, metric="roc_auc")
"""
BROKEN = ("b_header.csv", "k_foreign.csv")


def calls(name: str, *, rows: int = 2) -> str:
    return "call_id,seconds\n" + "".join(f"{name}-{row},{row}\n" for row in range(rows))


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """25 files, of which two are refused; the working directory is beside it."""
    (tmp_path / "usecases" / "refused_calls").mkdir(parents=True)
    (tmp_path / "usecases" / "refused_calls" / "__init__.py").write_text(USECASE)
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(tmp_path / "usecases"))
    monkeypatch.chdir(tmp_path)
    inbox = tmp_path / "in"
    inbox.mkdir()
    for number in range(23):
        (inbox / f"{chr(ord('a') + number)}.csv").write_text(calls(str(number)))
    (inbox / BROKEN[0]).write_text("call_id,seconds\n")
    (inbox / BROKEN[1]).write_text("colour,shape\nred,round\n")
    return inbox


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int) -> dict[str, Any]:
    """Run a command with ``--json`` and give its one document."""
    assert main([*map(str, arguments), "--workspace", "w", "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def states(run_id: str) -> tuple[str, list[str]]:
    """The state of a run, and its finished steps."""
    with Workspace(load_settings(workspace=Path("w"))) as workspace:
        past = past_run(workspace, run_id)
        assert past is not None
        steps = workspace.lake.arrow("platform.steps") if workspace.lake.exists("platform.steps") else None
        rows = [] if steps is None else steps.to_pylist()
    return past.state, [row["step"] for row in rows if row["run_id"] == run_id]


@pytest.mark.parametrize("command", [("ingest", "refused_calls", "in"), ("run", "refused_calls", "--source", "in")])
def test_what_was_taken_in_is_told_beside_what_was_refused(
    inbox: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    document = said(capsys, *command, "--run-id", "first", code=2)
    assert (document["ingest"]["read"], document["ingest"]["accepted"]) == (46, 46)
    assert (len(document["receipts"]), document["ingest"]["known_files"]) == (23, 0)
    refused = {Path(one["source"]).name: one for one in document["refused"]}
    assert set(refused) == set(BROKEN)
    assert [one["kind"] for one in refused.values()] == ["SourceError", "SchemaError"]
    for name, one in refused.items():
        assert one["source"] == one["where"] == str(inbox / name)
        assert one["what"]
        assert one["next"]
    assert document["error"]["kind"] == "SourcesRefusedError"
    assert document["error"]["what"].startswith("2 sources were refused")
    assert "report" not in document, "a run stops where sources were refused"
    assert states("first") == ("failed", [])


def test_a_repeat_takes_in_what_was_missing_and_knows_the_rest(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "ingest", "refused_calls", "in", "--run-id", "first", code=2)
    again = said(capsys, "ingest", "refused_calls", "in", code=2)
    assert (len(again["receipts"]), again["ingest"]["known_files"], len(again["refused"])) == (23, 23, 2)
    (inbox / BROKEN[0]).write_text(calls("mended"))
    (inbox / BROKEN[1]).unlink()
    resumed = said(capsys, "ingest", "refused_calls", "--run-id", "first", code=0)
    assert "error" not in resumed
    assert resumed["refused"] == []
    assert (resumed["ingest"]["read"], resumed["ingest"]["known_files"], len(resumed["receipts"])) == (48, 23, 24)
    assert states("first") == ("finished", ["ingest"])


def test_words_tell_each_refused_file_and_count_what_is_alike(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", "refused_calls", "in", "--workspace", "w"]) == 2
    out, err = capsys.readouterr()
    assert "46 read = 46 accepted + 0 quarantined + 0 duplicates" in out
    assert "refused  2 sources: b_header.csv, k_foreign.csv" in out
    assert out.count("fields that no column fills") == 1
    assert "fields that no column fills: cell, vendor (23 batches of calls)" in out
    for name in BROKEN:
        assert err.count(f"  where:   {inbox / name}") == 1
    assert err.count("  next: ") == 2
    assert main(["ingest", "refused_calls", "in", "--workspace", "w"]) == 2
    assert "(files that were taken in before: 23)" in capsys.readouterr().out


def test_one_file_alone_is_told_by_its_own_error(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = said(capsys, "ingest", "refused_calls", inbox / BROKEN[1], "--run-id", "alone", code=2)
    assert document["error"]["kind"] == "SchemaError"
    assert document["refused"] == [{"source": str(inbox / BROKEN[1]), **document["error"]}]
    assert document["receipts"] == []


@pytest.mark.parametrize("missing", ["nothere.csv", "in/*.avro", "empty"])
def test_a_path_that_does_not_exist_stops_none_of_the_others(
    inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    (tmp_path / "empty").mkdir()
    sources = (missing, inbox / "a.csv", inbox / "c.csv")
    would = said(capsys, "ingest", "refused_calls", *sources, "--dry-run", code=2)
    assert (len(would["sources"]), [one["kind"] for one in would["refused"]]) == (2, ["SourceError"])
    document = said(capsys, "ingest", "refused_calls", *sources, "--run-id", "first", code=2)
    assert (len(document["receipts"]), document["ingest"]["accepted"]) == (2, 4)
    (refused,) = document["refused"]
    assert (refused["source"], refused["where"]) == (str(tmp_path / missing), missing)
    assert document["error"]["kind"] == "SourceError"
    assert states("first") == ("failed", [])
    assert main(["ingest", "refused_calls", *map(str, sources), "--workspace", "w"]) == 2
    out, err = capsys.readouterr()
    assert "(files that were taken in before: 2)" in out
    assert err.count(f"  where:   {missing}") == 1


def test_a_call_whose_sources_are_all_missing_leaves_no_run(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sources in (("no.csv",), ("no.csv", "in/*.avro")):
        document = said(capsys, "ingest", "refused_calls", *sources, "--run-id", "none", code=2)
        assert document["error"]["where"] == "no.csv"
        assert "refused" not in document
    with Workspace(load_settings(workspace=Path("w"))) as workspace:
        assert past_run(workspace, "none") is None
    said(capsys, "ingest", "refused_calls", "in/a.csv", "later/b.csv", "--run-id", "first", code=2)
    (inbox.parent / "later").mkdir()
    (inbox.parent / "later" / "b.csv").write_text(calls("later"))
    assert len(said(capsys, "ingest", "refused_calls", "--run-id", "first", code=0)["receipts"]) == 2


def test_a_batch_whose_rows_are_all_refused_has_its_receipt(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inbox / "z.csv").write_text("call_id,seconds\nz,-1\n")
    document = said(capsys, "ingest", "refused_calls", inbox / "a.csv", inbox / "z.csv", code=2)
    counted = document["ingest"]
    assert (counted["read"], counted["accepted"], counted["quarantined"]) == (3, 2, 1)
    (refused,) = document["refused"]
    assert refused["kind"] == "RowsRefusedError"
    assert main(["ingest", "refused_calls", str(inbox / "z.csv"), "--workspace", "w"]) == 2
    assert "trunkline quarantine show" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([SourceError("empty"), SchemaError("other columns")], 2),
        ([SourceError("empty"), UnavailableError("no answer")], 1),
        ([UnavailableError("no answer")], 1),
    ],
)
def test_the_exit_code_says_whether_another_try_may_help(errors: list[TrunklineError], code: int) -> None:
    outcomes = [Outcome(Handed(str(place), None, None, None), None, error) for place, error in enumerate(errors)]
    refused = SourcesRefusedError(outcomes, document=IngestDocument(receipts=(), known=(), batches=()))
    assert refused.exit_code == code
    assert refused.errors == tuple(errors)
    assert (refused.told is errors[0]) is (len(errors) == 1)


def packed(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
        link = tarfile.TarInfo("link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "a.csv"
        archive.addfile(link)
    return path


def test_a_refused_file_of_an_archive_is_named_within_it(
    inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = packed(tmp_path / "day.tgz", {"a.csv": calls("x"), "day/b.csv": "call_id,seconds\n"})
    document = said(capsys, "ingest", "refused_calls", archive, code=2)
    assert [one["source"] for one in document["receipts"]] == [f"{archive}#a.csv"]
    assert sorted(one["source"] for one in document["refused"]) == [f"{archive}#day/b.csv", f"{archive}#link.csv"]
    alone = said(capsys, "ingest", "refused_calls", f"{archive}#day/b.csv", code=2)
    assert [one["source"] for one in alone["refused"]] == [f"{archive}#day/b.csv"]


def test_a_dry_run_tells_what_would_be_taken_and_what_refused(
    inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = packed(tmp_path / "day.tgz", {"a.csv": calls("x"), "day/b.csv": "colour,shape\nred,flat\n"})
    asked = ("ingest", "refused_calls", "in", archive, "--dry-run")
    document = said(capsys, *asked, code=2)
    assert {one["source"] for one in document["sources"]} == {
        f"{archive}#a.csv",
        *(str(path) for path in inbox.iterdir() if path.name not in BROKEN),
    }
    refused = {one["source"]: one["kind"] for one in document["refused"]}
    assert refused == {
        str(inbox / BROKEN[0]): "SourceError",
        str(inbox / BROKEN[1]): "SchemaError",
        f"{archive}#day/b.csv": "SchemaError",
        f"{archive}#link.csv": "SourceError",
    }
    assert all(one["where"].startswith(one["source"]) for one in document["refused"])
    assert document["error"]["what"].startswith("4 sources were refused")
    assert not Path("w").joinpath("lake").exists(), "nothing is taken in"
    assert main([*map(str, asked), "--workspace", "w"]) == 2
    out, err = capsys.readouterr()
    would, refused_table = out.split("would be refused")
    assert would.count(".csv") == 24
    assert refused_table.count(".csv") == 4
    assert "the source has a header but no rows" in refused_table
    assert err.count("trunkline: the source lacks the columns for: call_id, seconds") == 1
    for place in (inbox / BROKEN[1], f"{archive}#day/b.csv"):
        assert err.count(f"  where:   {place}") == 1


def test_a_dry_run_names_the_line_of_the_mapping_that_fits_nothing(
    inbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = tmp_path / "names.toml"
    mapping.write_text('[columns]\nDauer = "seconds"\n')
    asked = ("ingest", "refused_calls", inbox / "a.csv", "--map", mapping, "--dry-run")
    (refused,) = said(capsys, *asked, code=2)["refused"]
    assert refused["kind"] == "MappingError"
    assert refused["where"].startswith(f"{mapping}, for ")


@pytest.mark.parametrize("alike", [True, False])
def test_many_refused_sources_are_counted_after_the_first(
    alike: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outcomes = [
        Outcome(Handed(name, tmp_path / name, None, "calls", {}), None, SourceError(what, where=f"in/{name}"))
        for name, what in ((f"{number}.csv", "no rows" if alike else f"{number} rows") for number in range(5_000))
    ]
    error = SourcesRefusedError(outcomes, document=IngestDocument(receipts=(), known=(), batches=()))
    tell_refused(error)
    err = capsys.readouterr().err
    assert err.count("  where:   in/") == 12
    assert "  where:   in/11.csv" in err
    assert ("  and 4988 more\n" if alike else "trunkline: 4988 more were refused for other reasons") in err
    assert len(err.splitlines()) == (14 if alike else 25)
    assert error.where.endswith("11.csv and 4988 more") or error.where.endswith("… and 4988 more")
    assert len(json.loads(json.dumps(refused_document(error)))["refused"]) == 5_000, "programs are told of each"
    assert str(error).count("\n") == 2


@pytest.mark.parametrize(
    "error",
    [
        MappingError("unknown", column="a", field="b", where="x.csv"),
        RowsRefusedError("broken", reasons={"a.null": 1}, where="x.csv"),
    ],
)
def test_an_error_is_told_in_another_place_with_its_own_facts(error: TrunklineError) -> None:
    other = error.at("y.csv")
    assert (type(other), other.where, error.where) == (type(error), "y.csv", "x.csv")
    assert {**vars(other), "where": "x.csv"} == vars(error)
