"""A small workspace: a real lake and registry with two runs, a model, readings, receipts and refused rows."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest
from fastapi import FastAPI
from pydantic import JsonValue
from starlette.testclient import TestClient

from trunkline.checks import table_from_rows
from trunkline.console import WorkspaceReader, mount
from trunkline.contracts import Contract, Flag, Integer, Table, Text, field
from trunkline.contracts.records import RECORDS
from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.lake.locks import is_held
from trunkline.registry import NoTracker, Registry
from trunkline.settings.lake import LakeSettings
from trunkline.settings.registry import RegistrySettings
from trunkline.spec import UseCase
from trunkline.tasks import Classification, Feature

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
Rows = Sequence[Mapping[str, object]]


class Customer(Contract):
    """One row per customer."""

    table: ClassVar[Table] = Table(key=("customer_id",))

    customer_id: Text = field(aliases=("customerID",))
    phone: Text | None = field(pii="phone")
    tenure_months: Integer | None = field(aliases=("Tenure",))
    remark: Text | None = field()
    left: Flag | None = field()


USECASE = UseCase(
    name="leaving",
    title="Leaving",
    question="Who leaves?",
    datasets={"customers": Customer},
    main="customers",
    task=Classification(label="left", features=(Feature("tenure_months"),)),
    metric="roc_auc",
)


@dataclass(frozen=True)
class Console:
    """A mounted console and what stands behind it."""

    client: TestClient
    reader: WorkspaceReader
    lake: Lake
    registry: Registry
    root: Path

    def page(self, path: str, *, status: int = 200) -> str:
        """Get a page, prove that it is well-formed, and give it."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text[:300]
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        balanced(answer.text)
        return answer.text

    def text(self, path: str, *, status: int = 200) -> str:
        """Get a page's text without tags and style."""
        page = self.page(path, status=status).split("</style>")[1]
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "iframe", "img"}
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in {"meta", "input", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def balanced(page: str) -> None:
    """Prove that every element is closed where it was opened, and that no script is there."""
    found = _Balance()
    found.feed(page)
    found.close()
    assert found.open == []


def receipt(batch: str, **more: object) -> dict[str, object]:
    return {
        "batch_id": batch,
        "run_id": "run-1",
        "usecase": "leaving",
        "dataset": "customers",
        "source": "customers.csv",
        "content_sha256": "ab",
        "contract_fingerprint": "cd",
        "read": 12,
        "accepted": 9,
        "quarantined": 2,
        "duplicates": 1,
        "reasons": json.dumps({"tenure_months.type": 2}),
        "absent_columns": "[]",
        "extra_columns": "[]",
        "table_version": 0,
        "started_at": AT,
        "finished_at": AT,
        **more,
    }


def refused(batch: str, number: int, **more: object) -> dict[str, object]:
    row = {
        "customerID": "C-0001-SECRET",
        "phone": "+49 151 000",
        "Tenure": "twelve",
        "remark": "r" * 200,
        "unknown": "who knows",
    }
    return {
        "quarantine_id": f"{batch}-{number}",
        "batch_id": batch,
        "run_id": "run-1",
        "usecase": "leaving",
        "dataset": "customers",
        "source": "customers.csv",
        "row_number": number,
        "reasons": json.dumps(["tenure_months.type"]),
        "row": json.dumps(row),
        "state": "open",
        "changed_at": AT,
        **more,
    }


def reading(metric: str, subject: str, value: float | None, *, hours: int = 0, **more: object) -> dict[str, object]:
    return {
        "reading_id": f"{metric}-{subject}-{hours}",
        "run_id": "run-1",
        "usecase": "leaving",
        "model_version": "1",
        "family": "drift",
        "metric": metric,
        "subject": subject,
        "value": value,
        "low": None,
        "high": None,
        "limit": 0.2,
        "crossed": False,
        "rows": 900,
        "window_start_at": None,
        "window_end_at": None,
        "read_at": AT + timedelta(hours=hours),
        **more,
    }


def run(run_id: str, state: str, *, minutes: int = 0, **more: object) -> dict[str, object]:
    return {
        "run_id": run_id,
        "usecase": "leaving",
        "state": state,
        "started_at": AT,
        "changed_at": AT + timedelta(minutes=minutes),
        "code_version": "0.1.0+abc",
        "document": "{}",
        **more,
    }


def appended(lake: Lake, table: str, rows: Rows) -> None:
    """Append records to a platform table."""
    lake.append(table, table_from_rows(RECORDS[table], [dict(row) for row in rows]))


@contextmanager
def opened(root: Path) -> Iterator[Console]:
    """A console over a workspace in which nothing has happened."""
    settings = LakeSettings(lock_timeout_s=5.0)

    def clock() -> datetime:
        return AT

    registry = Registry(root, settings=RegistrySettings(), clock=clock, follower=NoTracker())
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(root / "lake", engine=engine, settings=settings, clock=clock)
        reader = WorkspaceReader(
            lake=lambda: Lake(root / "lake", engine=open_engine("duckdb", threads=1), settings=settings, clock=clock),
            registry=registry,
            usecases={"leaving": USECASE},
            reports=root / "runs",
            is_running=lambda usecase: is_held(root / "locks" / f"run-{usecase}.lock"),
            clock=clock,
            export_rows=5,
        )
        app = FastAPI()
        mount(app, reader)
        yield Console(TestClient(app), reader, lake, registry, root)
        reader.close()


def filled(empty: Console) -> Console:
    """The same console after a finished and a failed run."""
    metrics = {"roc_auc": {"value": 0.8512, "low": 0.843, "high": 0.859}}
    trained = {
        "report": {"metric": "roc_auc", "metrics": metrics, "curves": ["x"] * 1000},
        "table_versions": {"leaving.customers": 4},
        "contract_fingerprints": {"customers": "cd"},
    }
    appended(empty.lake, "platform.runs", [run("run-1", "started")])
    appended(
        empty.lake,
        "platform.runs",
        [
            run("run-1", "finished", minutes=2),
            run(
                "run-2",
                "failed",
                minutes=1,
                started_at=AT + timedelta(seconds=5),
                document=json.dumps({"error": "SourceError", "text": "the file is truncated"}),
            ),
        ],
    )
    steps = [("ingest", "{}", 1), ("train", json.dumps(trained), 2)]
    appended(
        empty.lake,
        "platform.steps",
        [
            {
                "run_id": "run-1",
                "usecase": "leaving",
                "step": step,
                "document": document,
                "seconds": 12.5,
                "finished_at": AT + timedelta(minutes=minutes),
            }
            for step, document, minutes in steps
        ],
    )
    appended(empty.lake, "platform.receipts", [receipt("batch-1")])
    appended(empty.lake, "platform.quarantine", [refused("batch-1", 3), refused("batch-1", 4), refused("batch-2", 1)])
    appended(
        empty.lake,
        "platform.quarantine",
        [refused("batch-2", 1, state="discarded", changed_at=AT + timedelta(hours=1))],
    )
    appended(
        empty.lake,
        "platform.readings",
        [
            *(reading("psi", "tenure_months", 0.01 * hours, hours=hours) for hours in range(5)),
            reading("psi", "remark", 0.4, crossed=True),
            reading("roc_auc", "score", None, family="performance", limit=None),
        ],
    )
    appended(
        empty.lake,
        "platform.alerts",
        [
            {
                "alert_id": "a1",
                "run_id": "run-1",
                "usecase": "leaving",
                "severity": "major",
                "title": "Drift of remark",
                "text": "PSI 0.4 is beyond its limit 0.2.",
                "raised_at": AT,
            }
        ],
    )
    folder = empty.root.parent / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    gates: JsonValue = [{"name": "calibration", "passed": True, "value": 0.01, "limit": 0.02, "detail": "ECE 0.0100"}]
    version = empty.registry.register(
        "leaving", folder, run_id="run-1", metrics={"roc_auc": 0.8512}, tags={"code_version": "0.1.0"}, evidence=gates
    )
    empty.registry.promote("leaving", version.version, approver="gates", evidence=gates)
    page = empty.root / "runs" / "run-1" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<!DOCTYPE html><html><head><style></style></head><body>the report of run-1</body></html>")
    return empty


@pytest.fixture
def append() -> Callable[[Lake, str, Rows], None]:
    """Append records to a platform table."""
    return appended


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Console]:
    """A console over a workspace in which nothing has happened."""
    with opened(tmp_path / "workspace") as console:
        yield console


@pytest.fixture
def console(empty: Console) -> Console:
    """A console over a workspace with a finished and a failed run, for a test that changes it."""
    return filled(empty)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The like of ``console``, one for all tests that only look at it."""
    with opened(tmp_path_factory.mktemp("shown") / "workspace") as console:
        yield filled(console)
