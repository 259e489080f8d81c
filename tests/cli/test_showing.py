"""What came of a run in words: where its rows came from is said, and a step alone is told alone."""

import json
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


def result(*, simulated: bool) -> RunResult:
    delivered = {"target": "churn_scores", "to": "sqlite:///out.db", "sink": "x", "state": "delivered", "rows": 2}
    return RunResult(
        usecase="churn",
        run_id="r1",
        documents={
            "ingest": json.dumps({"receipts": [RECEIPT], "known": False, "simulated": simulated}),
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
