"""The console over a small real workspace: what is shown, what is hidden, and that nothing is written."""

import html
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, HTTPException, Request
from starlette.testclient import TestClient

from trunkline.console import Page, mount
from trunkline.console.masking import masked
from trunkline.console.sparkline import sparkline
from trunkline.contracts.records import RunRecord
from trunkline.errors import UnknownNameError
from trunkline.lake import Lake, held
from trunkline.serve import Holder

if TYPE_CHECKING:
    from tests.console.conftest import Console

Append = Callable[[Lake, str, Sequence[Mapping[str, object]]], None]
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>\" onload=\"y"
PAGES = (
    "/",
    "/console/runs",
    "/console/campaigns",
    "/console/models",
    "/console/ledger",
    "/console/readings",
    "/console/receipts",
    "/console/quarantine",
    "/console/quality",
    "/console/quality/leaving/customers",
    "/console/tables",
    "/console/tables/leaving/customers",
)


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_workspace_has_pages_and_stays_empty(empty: "Console", path: str) -> None:
    assert "Trunkline" in empty.text(path)
    assert not empty.root.exists()


def test_use_cases_show_how_they_stand(shown: "Console") -> None:
    said = shown.text("/")
    for part in ("Leaving", "Who leaves?", "version 1", "0.851", "failed"):
        assert part in said
    [found] = shown.reader.usecases()
    assert (found.open_rows, found.crossed, found.champion) == (2, 1, "1")


def test_runs_show_their_newest_state_metric_version_and_duration(shown: "Console") -> None:
    said = shown.text("/console/runs")
    assert "2 runs" in said
    assert "run-1 leaving finished 2026-03-01 12:00 2 min 0 s 0.8512 [0.843, 0.859]" in said
    assert said.index("run-2") < said.index("run-1")
    assert 'href="/console/runs/run-1/report"' in shown.page("/console/runs")
    assert "started" not in said


def test_a_run_shows_its_steps_and_links_to_its_report(shown: "Console") -> None:
    said = shown.text("/console/runs/run-1")
    for part in ("train 12.5 s", "ingest 12.5 s", "version 1", "open the report", "Drift of remark", "customers.csv"):
        assert part in said
    assert said.index("ingest 12.5 s") < said.index("train 12.5 s")
    assert "the report of run-1" in shown.page("/console/runs/run-1/report")


def audience_of(members: int, *, results: Sequence[Mapping[str, object]] = ()) -> str:
    """The document of a report step that made an audience."""
    made = {"note": "Members are likely to leave.", "members": members, "held_out": 7, "expected_value": 1234.4}
    return json.dumps({"path": "x", "sha256": "y", "audience": {**made, "spend": 321.0, "results": list(results)}})


def test_campaigns_show_what_was_expected_and_what_came(shown: "Console", append: Append) -> None:
    def interval(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.01, "high": value + 0.01}

    def result(segment: str, response: float) -> dict[str, object]:
        effect = {"response": interval(response), "uplift": interval(0.02), "incremental_revenue": interval(5000.0)}
        return {"campaign": "run-1", "segment": segment, "effect": effect}

    def step(run_id: str, document: str, minutes: int) -> dict[str, object]:
        at = AT + timedelta(minutes=minutes)
        kept = {"usecase": "leaving", "step": "report", "seconds": 1.0}
        return {**kept, "run_id": run_id, "document": document, "finished_at": at}

    append(shown.lake, "platform.steps", [step("run-1", audience_of(140), 3)])
    assert "run-1 leaving 2026-03-01 12:03 140 7 1,234 321 \u2013 \u2013 \u2013" in shown.text("/console/campaigns")
    later = audience_of(150, results=[result("all", 0.1), result("Heavy users", 0.5)])
    append(shown.lake, "platform.steps", [step("run-3", later, 9), step("run-0", '{"audience": null}', 9)])
    said = shown.text("/console/campaigns")
    assert "2 campaigns" in said
    assert "140 7 1,234 321 10.0 % [9.0 %, 11.0 %] 2.0 % [1.0 %, 3.0 %] 5,000 [5,000, 5,000]" in said
    assert said.index("run-3") < said.index("run-1")
    assert "No run has made an audience" in shown.text("/console/campaigns?usecase=others")


def test_the_business_page_is_reached_from_campaigns_and_from_its_run(shown: "Console", append: Append) -> None:
    step = {"run_id": "run-1", "usecase": "leaving", "step": "report", "seconds": 1.0, "finished_at": AT}
    append(shown.lake, "platform.steps", [{**step, "document": audience_of(140)}])
    address = 'href="/console/runs/run-1/audience"'
    assert address not in shown.page("/console/campaigns")
    (shown.root / "runs" / "run-1" / "audience.html").write_text("<!DOCTYPE html><p>whom run-1 would contact</p>")
    assert address in shown.page("/console/campaigns")
    assert address in shown.page("/console/runs/run-1")
    assert "whom run-1 would contact" in shown.page("/console/runs/run-1/audience")


def test_a_failed_run_says_why(shown: "Console") -> None:
    assert "the file is truncated" in shown.text("/console/runs/run-2")


@pytest.mark.parametrize(
    "path",
    [
        "/console/runs/nothing",
        "/console/runs/nothing/report",
        "/console/runs/run-2/report",
        "/console/runs/run-2/audience",
        "/console/runs/%2e%2e/report",
        "/console/runs/..%2e/report",
        "/console/models/leaving/9",
        "/console/models/nothing/1",
        "/console/quality/nothing/customers",
        "/console/quality/leaving/nothing",
        "/console/tables/leaving/nothing",
        "/console/tables/leaving/customers/export",
    ],
)
def test_what_is_not_there_is_said_in_a_page(shown: "Console", path: str) -> None:
    assert "Not found" in shown.text(path, status=404)


@pytest.mark.parametrize(
    ("path", "option", "known"),
    [
        ("/console/runs?usecas=leaving", "'usecas'", "?usecase= , ?page="),
        ("/console/models/leaving/1?page=1", "'page'", "takes no options"),
        ("/console/quality?day=7", "'day'", "?days="),
    ],
)
def test_a_misspelt_filter_is_refused_and_not_ignored(shown: "Console", path: str, option: str, known: str) -> None:
    text = html.unescape(shown.text(path, status=400))
    assert option in text
    assert known in text


def test_an_unknown_use_case_names_those_there_are(shown: "Console") -> None:
    assert "leaving" in shown.text("/console/quality/leavin/customers", status=404)


def test_a_report_outside_its_folder_is_not_given(console: "Console") -> None:
    (console.root / "report.html").write_text("secret")
    for run_id in ("..", "../runs/run-1/..", ".", "a/../..", "run-1\0"):
        with pytest.raises(UnknownNameError, match="has no report page"):
            console.reader.report(run_id)


def test_models_show_aliases_ledger_and_lineage(shown: "Console") -> None:
    listed = shown.text("/console/models")
    for part in ("version 1", "champion", "0.851", "registered", "promoted to champion", "gates"):
        assert part in listed
    said = shown.text("/console/models/leaving/1")
    for part in ("leaving.customers 4", "customers cd", "Calibration passed", "ECE 0.0100", "model.json", "0.1.0"):
        assert part in said
    assert "promoted to champion" in shown.text("/console/ledger")


def test_readings_over_time_with_those_beyond_their_limit_first(shown: "Console") -> None:
    page, said = shown.page("/console/readings"), shown.text("/console/readings")
    assert "3 monitored numbers" in said
    assert said.index("0.400 ✗") < said.index("0.040")
    assert "PSI 0.4 is beyond its limit 0.2." in said
    assert page.count('class="spark"') == 2, "a series without any value has no drawing"
    assert 'points="3.0' in page
    assert "1 monitored number " in shown.text("/console/readings?family=performance")


def test_receipts_show_counts_and_reasons(shown: "Console") -> None:
    said = shown.text("/console/receipts?usecase=leaving")
    assert "leaving.customers customers.csv 12 9 2 1 tenure_months.type 2" in said
    assert "No batch has been taken in" in shown.text("/console/receipts?usecase=other")


def test_the_quarantine_masks_and_filters(shown: "Console") -> None:
    page, said = shown.page("/console/quarantine"), shown.text("/console/quarantine")
    assert "3 rows" in said
    for hidden in ("C-0001-SECRET", "+49 151 000", "who knows", "r" * 61):
        assert hidden not in page
    for part in ("tenure_months.type", "Tenure twelve", "customerID hidden", "unknown hidden", "r" * 60):
        assert part in said
    assert "2 rows" in shown.text("/console/quarantine?state=open")
    assert "1 row " in shown.text("/console/quarantine?batch=batch-2")
    assert "discarded" in shown.text("/console/quarantine?batch=batch-2")
    assert "No row is in quarantine here" in shown.text("/console/quarantine?batch=nothing&usecase=&state=")


def test_masking_hides_all_of_an_unknown_use_case() -> None:
    assert masked({"a": "1", "b": "", "c": None}, None) == {"a": None, "b": "", "c": ""}


def test_more_than_a_hundred_rows_go_over_pages_with_their_filter(empty: "Console", append: Append) -> None:
    rows = [
        {
            "quarantine_id": f"q{number}",
            "batch_id": "b",
            "run_id": "r",
            "usecase": "leaving",
            "dataset": "customers",
            "source": "s",
            "row_number": number,
            "reasons": '["x"]',
            "row": "{}",
            "state": "open",
            "changed_at": AT,
        }
        for number in range(1, 251)
    ]
    append(empty.lake, "platform.quarantine", rows)
    first, last = empty.page("/console/quarantine?batch=b"), empty.page("/console/quarantine?batch=b&page=3")
    assert "250 rows, page 1 of 3" in empty.text("/console/quarantine?batch=b")
    assert 'rel="next" href="/console/quarantine?batch=b&amp;page=2"' in first
    assert 'rel="prev"' not in first
    assert 'rel="next"' not in last
    assert first.count("<summary>") == 100
    assert last.count("<summary>") == 50
    shown = [
        row.row_number
        for number in (1, 2, 3)
        for row in empty.reader.quarantine(usecase=None, batch=None, state=None, page=Page(number)).rows
    ]
    assert shown == list(range(1, 251))
    assert "250 rows, page 9 of 3" in empty.text("/console/quarantine?page=9")


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999"])
def test_a_page_that_cannot_be_is_refused(shown: "Console", page: str) -> None:
    answer = shown.client.get(f"/console/runs?page={page}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert "The option &#39;page&#39; cannot be read" in answer.text
    assert "Back to the use cases" in answer.text


@pytest.mark.parametrize("path", ["/console", "/console/"])
def test_the_address_of_the_console_leads_to_its_first_page(shown: "Console", path: str) -> None:
    answer = shown.client.get(path)
    assert answer.status_code == 200
    assert answer.url.path == "/"


def test_names_from_data_are_escaped(empty: "Console", append: Append) -> None:
    when = {"started_at": AT, "changed_at": AT + timedelta(seconds=1)}
    append(
        empty.lake,
        "platform.runs",
        [
            {"run_id": HOSTILE, "usecase": HOSTILE, "state": "failed", "code_version": HOSTILE, **when}
            | {"document": json.dumps({"text": HOSTILE})}
        ],
    )
    append(
        empty.lake,
        "platform.quarantine",
        [
            {
                "quarantine_id": "q",
                "batch_id": HOSTILE,
                "run_id": HOSTILE,
                "usecase": "leaving",
                "dataset": "customers",
                "source": HOSTILE,
                "row_number": 1,
                "reasons": json.dumps([HOSTILE]),
                "row": json.dumps({HOSTILE: HOSTILE, "remark": HOSTILE}),
                "state": "open",
                "changed_at": AT,
            }
        ],
    )
    for path in ("/console/runs", "/console/quarantine", f"/console/quarantine?batch={HOSTILE.replace('/', '%2F')}"):
        assert "&lt;script&gt;" in empty.page(path)


@pytest.mark.slow
def test_nothing_but_reading_is_offered(shown: "Console") -> None:
    before = {path: path.stat().st_mtime_ns for path in shown.root.rglob("*") if path.is_file()}
    for path in PAGES:
        shown.page(path)
        for method in ("post", "put", "delete", "patch"):
            assert getattr(shown.client, method)(path).status_code == 405
    assert {path: path.stat().st_mtime_ns for path in shown.root.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_pages_may_be_asked_for_from_many_threads(shown: "Console") -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: shown.client.get(PAGES[number % len(PAGES)]).status_code, range(28)))
    assert answers == [200] * 28


def test_what_a_page_demands_is_demanded_first(shown: "Console") -> None:
    def nobody(_request: Request) -> Holder:
        raise HTTPException(401)

    app = FastAPI()
    mount(app, shown.reader, access=lambda _role: nobody)
    client = TestClient(app)
    assert {client.get(path).status_code for path in (*PAGES, "/console/runs/run-1/report")} == {401}


def test_a_damaged_ledger_is_said_in_a_page(console: "Console") -> None:
    path = console.root / "ledger.jsonl"
    path.write_text(path.read_text().replace("gates", "nobody"))
    assert "The workspace cannot be read" in console.text("/console/models", status=500)


def test_a_sparkline_leaves_gaps_and_shows_the_limit() -> None:
    drawn = sparkline([0.1, None, 0.3, 0.4], limit=0.2)
    assert drawn.count("<polyline") == 2
    assert 'class="limit"' in drawn
    assert sparkline([None, None]) == ""
    assert "nan" not in sparkline([1.0, 1.0])


def test_a_run_that_neither_ended_nor_goes_on_was_interrupted(
    console: "Console", append: Callable[[Lake, str, list[dict[str, object]]], None]
) -> None:
    (first,) = console.lake.arrow("platform.runs", where=lambda rows: rows["state"] == "started").to_pylist()
    append(
        console.lake, "platform.runs", [{name: first[name] for name in RunRecord.model_fields} | {"run_id": "run-3"}]
    )

    def states() -> dict[str, str]:
        return {row.run_id: row.state for row in console.reader.runs(usecase=None, page=Page(1, 10)).rows}

    with held(console.root / "locks" / "run-leaving.lock", what="use case 'leaving'"):
        assert states() == {"run-1": "finished", "run-2": "failed", "run-3": "started"}
    assert states() == {"run-1": "finished", "run-2": "failed", "run-3": "interrupted"}
    assert console.reader.run("run-3").run.seconds is None
    assert "interrupted" in console.client.get("/console/runs").text
    stored = console.lake.arrow("platform.runs", where=lambda rows: rows["run_id"] == "run-3")
    assert stored["state"].to_pylist() == ["started"], "a reader writes nothing"
