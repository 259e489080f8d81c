"""What came of a run in words: where its rows came from is said, and a step alone is told alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.cli.steps.showing import show, show_published, summary
from trunkline.run import RunResult

RECEIPT = {
    "batch_id": "b",
    "dataset": "subscribers",
    "read": 3,
    "accepted": 2,
    "quarantined": 1,
    "duplicates": 0,
    "reasons": "{}",
    "absent_columns": "[]",
    "extra_columns": "[]",
}


def result(*, simulated: bool, receipts: Sequence[Mapping[str, object]] = (RECEIPT,)) -> RunResult:
    delivered = {"target": "churn_scores", "to": "sqlite:///out.db", "sink": "x", "state": "delivered", "rows": 2}
    return RunResult(
        usecase="churn",
        run_id="r1",
        documents={
            "ingest": json.dumps({"receipts": list(receipts), "known": False, "simulated": simulated}),
            "publish": json.dumps({"published": [{**delivered, "error": "", "next_step": ""}], "owed": 0}),
        },
        refused=None,
        seconds=1.0,
    )


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_rows_are_named(*, simulated: bool, capsys: pytest.CaptureFixture[str]) -> None:
    document = summary(result(simulated=simulated), root=Path("/w"))
    show(document)
    assert ("simulated: nobody handed rows over" in capsys.readouterr().out) is simulated
    assert document["ingest"]["simulated"] is simulated  # type: ignore[index]  # a part of the document


def test_a_publish_step_is_told_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_published(summary(result(simulated=False), root=Path("/w")))
    told = capsys.readouterr().out
    assert "publish  churn_scores to sqlite:///out.db: delivered, 2 rows" in told
    assert "ingest" not in told


def test_what_batches_have_in_common_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    lacking = {**RECEIPT, "absent_columns": '["plan", "region"]'}
    wide = {**RECEIPT, "absent_columns": '["call", "plan"]', "extra_columns": '["call^plan"]'}
    show(summary(result(simulated=False, receipts=[lacking, wide, lacking, RECEIPT]), root=Path("/w")))
    told = capsys.readouterr().out
    assert "fields that no column fills: plan, region (2 batches of subscribers)\n" in told
    assert "fields that no column fills: call, plan (1 batch of subscribers)\n" in told
    assert told.count("fields that no column fills") == 2
    assert "columns the contract does not know, left out: call^plan (1 batch of subscribers)\n" in told
    assert "'^' seems to divide its columns: say --csv 'delimiter=^'" in told
    assert "--again b --csv" in told
    show(summary(result(simulated=False, receipts=[lacking]), root=Path("/w")))
    assert "fields that no column fills: plan, region\n" in capsys.readouterr().out


def test_the_first_batches_with_refused_rows_are_named_and_the_others_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = [{**RECEIPT, "batch_id": f"b{number}", "reasons": '{"plan.minimum": 1}'} for number in range(14)]
    show(summary(result(simulated=False, receipts=[RECEIPT, *broken]), root=Path("/w")))
    told = capsys.readouterr().out
    assert told.count("quarantined for plan.minimum (1); see `trunkline quarantine show b") == 12
    assert "and rows of 2 more batches; see `trunkline quarantine list`" in told
    show(summary(result(simulated=False, receipts=broken[:12]), root=Path("/w")))
    assert "quarantine list" not in capsys.readouterr().out


def test_sources_out_of_reach_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    made = result(simulated=False)
    document = {**json.loads(made.documents["ingest"]), "unreachable": ["crm"]}
    show(summary(replace(made, documents={"ingest": json.dumps(document)}), root=Path("/w")))
    assert "out of reach: crm; the run goes on with what the lake has" in capsys.readouterr().out
