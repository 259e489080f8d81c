"""Reads a workspace for the console: lake, registry and report pages. All it writes is which files it handed out.

Pages are asked for from many threads; all lake work happens in one thread, see ``lake_thread``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from trunkline.checks.sealing import is_sealed_text
from trunkline.console.campaigns import campaigns
from trunkline.console.data_reader import DataReader
from trunkline.console.intake import Intake
from trunkline.console.listing import (
    CampaignRow,
    Listing,
    ModelDetail,
    Page,
    RefusedRow,
    RunDetail,
    RunRow,
    Series,
    StepRow,
    UseCaseRow,
)
from trunkline.console.masking import masked
from trunkline.console.queries import (
    Stored,
    instant,
    interval,
    mapping,
    page_of,
    parsed,
    series_of,
    training_metrics,
    whole,
)
from trunkline.contracts.records import ALERTS, QUARANTINE, RECEIPTS, RUNS, STEPS, Alert, Receipt
from trunkline.errors import UnknownNameError
from trunkline.registry import LedgerEntry, ModelVersion, Registry
from trunkline.spec import UseCase
from trunkline.spec.sources import AnySource

if TYPE_CHECKING:
    from trunkline.lake import Lake
    from trunkline.run.topic_lags import TopicLags

__all__ = ["WorkspaceReader"]

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
_ALL: Final = Page(1, 1000)
_REPORT: Final = "report.html"
_AUDIENCE: Final = "audience.html"

Found = TypeVar("Found")


class WorkspaceReader(DataReader):
    """The console's reader over one workspace; a :class:`~trunkline.console.listing.ConsoleReader`."""

    def __init__(  # noqa: PLR0913 - the parts of a workspace
        self,
        *,
        lake: "Callable[[], Lake]",
        registry: Registry,
        usecases: Mapping[str, UseCase],
        reports: Path,
        is_running: Callable[[str], bool],
        clock: Callable[[], datetime],
        sources: Mapping[str, AnySource] | None = None,
        reject_budget: float | None = None,
        export_rows: int = 100_000,
        lags: "TopicLags | None" = None,
    ) -> None:
        """Point at the parts; nothing is opened yet.

        Args:
            lake: Opens the lake; called once, in the reader's own thread.
            registry: The registry; only its reading half is used.
            usecases: Installed use cases by name.
            reports: Folder of the runs' pages, ``RUN_ID/report.html`` and ``RUN_ID/audience.html`` below it.
            is_running: Tells whether a run of a use case goes on.
            clock: Gives the current instant, UTC.
            sources: Declared sources by name.
            reject_budget: Of the settings, share in [0, 1]; None for none.
            export_rows: Most rows of an exported file.
            lags: Asks how far the declared topics are ahead of the lake; closed with the reader. None asks nobody.
        """
        super().__init__(
            lake,
            usecases=usecases,
            intake=Intake(usecases, dict(sources or {}), reject_budget),
            clock=clock,
            export_rows=export_rows,
            lags=lags,
        )
        self._registry = registry
        self._reports = reports
        self._is_running = is_running

    # Pages

    def metrics(self) -> dict[str, str]:
        """Give the scorer name of the headline metric of each installed use case, by its name."""
        return {usecase.name: usecase.metric for usecase in self._sorted()}

    def usecases(self) -> tuple[UseCaseRow, ...]:
        """List the installed use cases."""
        return self._in_thread(lambda lake: tuple(self._usecase(lake, usecase) for usecase in self._sorted()))

    def runs(self, *, usecase: str | None, page: Page) -> Listing[RunRow]:
        """List runs, the newest first."""
        return self._in_thread(lambda lake: self._runs(lake, usecase=usecase, run_id=None, page=page))

    def run(self, run_id: str) -> RunDetail:
        """Give one run.

        Raises:
            UnknownNameError: There is no such run.
        """
        return self._in_thread(lambda lake: self._run(lake, run_id))

    def report(self, run_id: str) -> bytes:
        """Give the report page of a run.

        Raises:
            UnknownNameError: There is no such run, or it has no page.
        """
        path = self._page_path(run_id, _REPORT)
        if path is None:
            raise UnknownNameError(f"run {run_id[:64]!r} has no report page", next_step="see the run's steps")
        return path.read_bytes()

    def campaigns(self, *, usecase: str | None, page: Page) -> Listing[CampaignRow]:
        """List the audiences that runs have made, and what came of them, the newest first."""

        def has_page(run_id: str) -> bool:
            return self._page_path(run_id, _AUDIENCE) is not None

        return self._in_thread(lambda lake: campaigns(lake, usecase=usecase, page=page, has_page=has_page))

    def audience(self, run_id: str) -> bytes:
        """Give the business page of a run.

        Raises:
            UnknownNameError: There is no such run, or it made no audience.
        """
        path = self._page_path(run_id, _AUDIENCE)
        if path is None:
            raise UnknownNameError(f"run {run_id[:64]!r} made no audience", next_step="see the list of campaigns")
        return path.read_bytes()

    def models(self, *, usecase: str | None, page: Page) -> Listing[ModelVersion]:
        """List model versions by use case, the newest first."""
        versions = [
            version
            for found in self._sorted()
            if usecase in (None, found.name)
            for version in reversed(self._registry.versions(found.name))
        ]
        return _paged(versions, page)

    def model(self, usecase: str, version: str) -> ModelDetail:
        """Give one version.

        Raises:
            UnknownNameError: There is no such use case or version.
        """
        if usecase not in self._usecases:
            raise UnknownNameError(f"there is no use case {usecase[:40]!r}", allowed=self._usecases)
        found = self._registry.get(usecase, version)
        trained = self._in_thread(lambda lake: _training_document(lake, found.run_id))
        return ModelDetail(
            version=found,
            events=tuple(
                entry
                for entry in self._registry.ledger.entries()
                if entry.usecase == usecase and entry.version == found.version
            ),
            table_versions={name: whole(value) for name, value in mapping(trained, "table_versions").items()},
            contract_fingerprints={
                name: str(value) for name, value in mapping(trained, "contract_fingerprints").items()
            },
        )

    def ledger(self, *, usecase: str | None, page: Page) -> Listing[LedgerEntry]:
        """List what was done to models, the newest first."""
        entries = [entry for entry in self._registry.ledger.entries() if usecase in (None, entry.usecase)]
        return _paged(entries[::-1], page)

    def readings(self, *, usecase: str | None, family: str | None, page: Page) -> Listing[Series]:
        """List monitored numbers, those beyond their limits first."""
        series = self._in_thread(lambda lake: series_of(lake, usecase=usecase, family=family))
        return _paged(series, page)

    def alerts(self, *, usecase: str | None, page: Page) -> Listing[Alert]:
        """List alerts, the newest first."""

        def read(lake: "Lake") -> Listing[Alert]:
            rows, total = page_of(
                lake, ALERTS, page=page, equal={"usecase": usecase}, newest_first=("raised_at", "alert_id")
            )
            return Listing(tuple(Alert.model_validate(row) for row in rows), total, page)

        return self._in_thread(read)

    def receipts(self, *, usecase: str | None, page: Page) -> Listing[Receipt]:
        """List receipts, the newest first."""

        def read(lake: "Lake") -> Listing[Receipt]:
            rows, total = page_of(
                lake, RECEIPTS, page=page, equal={"usecase": usecase}, newest_first=("finished_at", "batch_id")
            )
            return Listing(tuple(Receipt.model_validate(row) for row in rows), total, page)

        return self._in_thread(read)

    def quarantine(
        self, *, usecase: str | None, batch: str | None, state: str | None, page: Page
    ) -> Listing[RefusedRow]:
        """List rows in quarantine in their newest state, the newest batch first, values masked."""
        equal = {"usecase": usecase, "batch_id": batch, "state": state}

        def read(lake: "Lake") -> Listing[RefusedRow]:
            rows, total = page_of(
                lake, QUARANTINE, page=page, equal=equal, newest_first=("changed_at", "batch_id"), then=("row_number",)
            )
            return Listing(tuple(self._refused(row, lake) for row in rows), total, page)

        return self._in_thread(read)

    # Inside

    def _usecase(self, lake: "Lake", usecase: UseCase) -> UseCaseRow:
        champion = self._registry.live(usecase.name).champion
        score = None
        if champion is not None:
            score = self._registry.get(usecase.name, champion.version).metrics.get(usecase.metric)
        runs = self._runs(lake, usecase=usecase.name, run_id=None, page=Page(1, 1)).rows
        _, open_rows = page_of(
            lake,
            QUARANTINE,
            page=Page(1, 1),
            equal={"usecase": usecase.name, "state": "open"},
            newest_first=("changed_at",),
        )
        series = series_of(lake, usecase=usecase.name, family=None)
        return UseCaseRow(
            name=usecase.name,
            title=usecase.title,
            question=usecase.question,
            metric=usecase.metric if usecase.task is not None else "",
            champion=None if champion is None else champion.version,
            score=score,
            last_run=runs[0] if runs else None,
            open_rows=open_rows,
            crossed=sum(found.newest.crossed for found in series),
        )

    def _runs(self, lake: "Lake", *, usecase: str | None, run_id: str | None, page: Page) -> Listing[RunRow]:
        equal = {"usecase": usecase, "run_id": run_id}
        newest = ("started_at", "run_id")
        rows, total = page_of(lake, RUNS, page=page, equal=equal, newest_first=newest)
        unfinished = [row for row in rows if row["state"] == "started"]
        idle = {name for name in {str(row["usecase"]) for row in unfinished} if not self._is_running(name)}
        if idle:  # one may have ended before we asked: what is unfinished still, and unchanged, was interrupted
            rows, total = page_of(lake, RUNS, page=page, equal=equal, newest_first=newest)
            rows = [
                {**row, "state": "interrupted"} if str(row["usecase"]) in idle and row in unfinished else row
                for row in rows
            ]
        trained = training_metrics(lake, [str(row["run_id"]) for row in rows])
        versions = {
            (name, version.run_id): version.version
            for name in {str(row["usecase"]) for row in rows}
            for version in self._registry.versions(name)
        }
        return Listing(tuple(self._run_row(row, trained, versions) for row in rows), total, page)

    def _run_row(self, row: Stored, trained: Mapping[str, Stored], versions: Mapping[tuple[str, str], str]) -> RunRow:
        run_id, name = str(row["run_id"]), str(row["usecase"])
        known = self._usecases.get(name)
        metrics = trained.get(run_id, {})
        metric = known.metric if known is not None else ""
        return RunRow(
            run_id=run_id,
            usecase=name,
            state=str(row["state"]),
            started_at=instant(row["started_at"]),
            changed_at=instant(row["changed_at"]),
            code_version=str(row["code_version"]),
            metric=metric if metric in metrics else "",
            score=interval(metrics.get(metric)),
            version=versions.get((name, run_id), ""),
            problem=str(parsed(str(row["document"])).get("text", "")) if row["state"] == "failed" else "",
            has_report=self._page_path(run_id, _REPORT) is not None,
            has_audience=self._page_path(run_id, _AUDIENCE) is not None,
        )

    def _run(self, lake: "Lake", run_id: str) -> RunDetail:
        found = self._runs(lake, usecase=None, run_id=run_id, page=Page(1, 1)).rows
        if not found:
            raise UnknownNameError(f"there is no run {run_id[:64]!r}", next_step="see the list of runs")
        equal: dict[str, str | None] = {"run_id": run_id}
        steps, _ = page_of(lake, STEPS, page=_ALL, equal=equal, newest_first=("finished_at",))
        receipts, _ = page_of(lake, RECEIPTS, page=_ALL, equal=equal, newest_first=("finished_at",))
        alerts, _ = page_of(lake, ALERTS, page=_ALL, equal=equal, newest_first=("raised_at",))
        return RunDetail(
            run=found[0],
            steps=tuple(
                StepRow(
                    step=str(row["step"]), seconds=float(str(row["seconds"])), finished_at=instant(row["finished_at"])
                )
                for row in reversed(steps)
            ),
            receipts=tuple(Receipt.model_validate(row) for row in reversed(receipts)),
            alerts=tuple(Alert.model_validate(row) for row in alerts),
        )

    def _refused(self, row: Stored, lake: "Lake") -> RefusedRow:
        from trunkline.ingest.privacy import opening

        text = str(row["row"])
        if is_sealed_text(text):
            said = {name: str(row[name]) for name in ("usecase", "dataset", "batch_id")}
            text = opening(lake.keys, **said)(whole(row["row_number"]), text)
        usecase = self._usecases.get(str(row["usecase"]))
        contract = usecase.contracts.get(str(row["dataset"])) if usecase else None
        return RefusedRow(
            batch_id=str(row["batch_id"]),
            usecase=str(row["usecase"]),
            dataset=str(row["dataset"]),
            source=str(row["source"]),
            row_number=whole(row["row_number"]),
            reasons=tuple(str(reason) for reason in json.loads(str(row["reasons"]))),
            values=masked(parsed(text), contract),
            state=str(row["state"]),
            changed_at=instant(row["changed_at"]),
        )

    def _page_path(self, run_id: str, name: str) -> Path | None:
        """A page of a run; ids that are no folder's name have none, whatever they point at."""
        if not _RUN_ID.match(run_id):
            return None
        path = self._reports / run_id / name
        return path if path.is_file() else None


def _paged(rows: Sequence[Found], page: Page) -> Listing[Found]:
    return Listing(tuple(rows[page.offset : page.offset + page.rows]), len(rows), page)


def _training_document(lake: "Lake", run_id: str) -> Stored:
    rows, _ = page_of(
        lake, STEPS, page=Page(1, 1), equal={"run_id": run_id, "step": "train"}, newest_first=("finished_at",)
    )
    return parsed(str(rows[0]["document"])) if rows else {}
