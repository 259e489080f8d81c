"""What the console shows, as frozen records, and the protocol of who reads it.

Takes nothing and does nothing: pages are made from these values, and any reader that gives them can stand behind the
pages (the workspace in ``workspace_reader``, fixed values in a test).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from trunkline.console.alarms import CellDay, FleetAlarms
from trunkline.console.forecasts import ForecastList, ServerForecast
from trunkline.console.live import Live
from trunkline.console.paging import PAGE_ROWS, Listing, Page
from trunkline.console.quality import DatasetQuality
from trunkline.console.tables import ExportedFile, Form, TablePage, TableRow
from trunkline.contracts.records import Alert, Reading, Receipt
from trunkline.registry import LedgerEntry, ModelVersion
from trunkline.serve import Holder
from trunkline.stats.intervals import Interval

__all__ = [
    "PAGE_ROWS",
    "CampaignRow",
    "ConsoleReader",
    "Listing",
    "ModelDetail",
    "Page",
    "RefusedRow",
    "RunDetail",
    "RunRow",
    "Series",
    "StepRow",
    "UseCaseRow",
]


@dataclass(frozen=True)
class UseCaseRow:
    """A use case and how it stands.

    Attributes:
        name: Its name.
        title: A few words.
        question: The question it answers.
        metric: Scorer name of its headline metric; empty without a task.
        champion: Version that answers; None when none does.
        score: The champion's headline metric; None when unknown.
        last_run: Its newest run; None before the first.
        open_rows: Rows in quarantine that nobody has dealt with.
        crossed: Readings of the newest look beyond their limits.
    """

    name: str
    title: str
    question: str
    metric: str
    champion: str | None
    score: float | None
    last_run: "RunRow | None"
    open_rows: int
    crossed: int


@dataclass(frozen=True)
class RunRow:
    """A run in its newest state.

    Attributes:
        run_id: Its id.
        usecase: The use case.
        state: started, interrupted, finished, refused or failed; interrupted is what neither ended nor goes on.
        started_at: When it began, UTC.
        changed_at: When the state was reached, UTC.
        code_version: Package version and commit.
        metric: Scorer name of the headline metric; empty when nothing was trained.
        score: The candidate's headline metric with its 95 % interval; None when nothing was trained.
        version: The version it registered; empty when it registered none.
        problem: Why it failed; empty when it did not.
        has_report: Whether its page was written.
        has_audience: Whether it made an audience, and that page was written.
    """

    run_id: str
    usecase: str
    state: str
    started_at: datetime
    changed_at: datetime
    code_version: str
    metric: str = ""
    score: Interval | None = None
    version: str = ""
    problem: str = ""
    has_report: bool = False
    has_audience: bool = False

    @property
    def seconds(self) -> float | None:
        """Time from start to end; None while it runs, or where nobody knows when it was interrupted."""
        return None if self.state in ("started", "interrupted") else (self.changed_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class StepRow:
    """A finished step.

    Attributes:
        step: Its name.
        seconds: Wall time.
        finished_at: When it finished, UTC.
    """

    step: str
    seconds: float
    finished_at: datetime


@dataclass(frozen=True)
class RunDetail:
    """Everything the console knows of a run.

    Attributes:
        run: The run.
        steps: Its finished steps in order.
        receipts: Batches that it took in.
        alerts: Alerts that it raised.
    """

    run: RunRow
    steps: tuple[StepRow, ...]
    receipts: tuple[Receipt, ...]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True)
class CampaignRow:
    """The audience that a run made, and what has come of contacting it.

    Attributes:
        run_id: The run, which is the campaign.
        usecase: The use case.
        made_at: When its page was written last, UTC.
        note: What the audience rests on, one sentence.
        members: Members, those held out included.
        held_out: Members who are never contacted.
        expected_value: Of contacting all others, in currency units.
        spend: What contacting them costs.
        response: Share of the contacted who responded, with its 95 % interval; None before results have come.
        uplift: That share less that of the holdout group; None likewise, or without a holdout group.
        incremental_revenue: What contacting brought beyond the holdout group, in currency units; None likewise.
        has_page: Whether its business page was written.
    """

    run_id: str
    usecase: str
    made_at: datetime
    note: str
    members: int
    held_out: int
    expected_value: float
    spend: float
    response: Interval | None
    uplift: Interval | None
    incremental_revenue: Interval | None
    has_page: bool


@dataclass(frozen=True)
class ModelDetail:
    """One version of a model with its history.

    Attributes:
        version: The version.
        events: What was done to it, oldest first.
        table_versions: Lake table to the version it learned from; empty where the lake no longer says.
        contract_fingerprints: Dataset to fingerprint.
    """

    version: ModelVersion
    events: tuple[LedgerEntry, ...]
    table_versions: Mapping[str, int]
    contract_fingerprints: Mapping[str, str]


@dataclass(frozen=True)
class Series:
    """One monitored number over time.

    Attributes:
        usecase: The use case.
        family: As in ``platform.readings``.
        metric: As there.
        subject: As there.
        readings: Oldest first, at least one, the newest few dozen.
    """

    usecase: str
    family: str
    metric: str
    subject: str
    readings: tuple[Reading, ...]

    @property
    def newest(self) -> Reading:
        """The newest reading."""
        return self.readings[-1]


@dataclass(frozen=True)
class RefusedRow:
    """A row in quarantine, its values masked.

    Attributes:
        batch_id: Its batch.
        usecase: The use case.
        dataset: The dataset.
        source: Where it came from.
        row_number: 1 is the first data row of the source.
        reasons: All reasons.
        values: Column of the source to its value; None where the value is hidden.
        state: open, replayed or discarded.
        changed_at: When that state was reached, UTC.
    """

    batch_id: str
    usecase: str
    dataset: str
    source: str
    row_number: int
    reasons: tuple[str, ...]
    values: Mapping[str, str | None]
    state: str
    changed_at: datetime


class ConsoleReader(Protocol):
    """Reads what the pages show; may be called from any thread."""

    def alarms_by_severity(self) -> Sequence[FleetAlarms]:
        """Count the fleets of all use cases that watch series by severity."""
        ...

    def cell_day(self, usecase: str, object_id: str) -> CellDay:
        """Hold one object's last day beside what is usual for it."""
        ...

    def forecasts(self) -> Sequence[ForecastList]:
        """List the newest forecasts of all use cases that forecast series."""
        ...

    def server_forecast(self, usecase: str, server: str) -> ServerForecast:
        """Show one server: its last week, the hours ahead, and its accuracy."""
        ...

    def metrics(self) -> Mapping[str, str]:
        """Give the scorer name of the headline metric of each installed use case, by its name."""
        ...

    def usecases(self) -> Sequence[UseCaseRow]:
        """List the installed use cases."""
        ...

    def runs(self, *, usecase: str | None, page: Page) -> Listing[RunRow]:
        """List runs, the newest first."""
        ...

    def run(self, run_id: str) -> RunDetail:
        """Give one run.

        Raises:
            UnknownNameError: There is no such run.
        """
        ...

    def report(self, run_id: str) -> bytes:
        """Give the report page of a run.

        Raises:
            UnknownNameError: There is no such run, or it has no page.
        """
        ...

    def campaigns(self, *, usecase: str | None, page: Page) -> Listing[CampaignRow]:
        """List the audiences that runs have made, and what came of them, the newest first."""
        ...

    def audience(self, run_id: str) -> bytes:
        """Give the business page of a run.

        Raises:
            UnknownNameError: There is no such run, or it made no audience.
        """
        ...

    def models(self, *, usecase: str | None, page: Page) -> Listing[ModelVersion]:
        """List model versions by use case, the newest first."""
        ...

    def model(self, usecase: str, version: str) -> ModelDetail:
        """Give one version.

        Raises:
            UnknownNameError: There is no such use case or version.
        """
        ...

    def ledger(self, *, usecase: str | None, page: Page) -> Listing[LedgerEntry]:
        """List what was done to models, the newest first."""
        ...

    def readings(self, *, usecase: str | None, family: str | None, page: Page) -> Listing[Series]:
        """List monitored numbers, those beyond their limits first."""
        ...

    def alerts(self, *, usecase: str | None, page: Page) -> Listing[Alert]:
        """List alerts, the newest first."""
        ...

    def receipts(self, *, usecase: str | None, page: Page) -> Listing[Receipt]:
        """List receipts, the newest first."""
        ...

    def quarantine(
        self, *, usecase: str | None, batch: str | None, state: str | None, page: Page
    ) -> Listing[RefusedRow]:
        """List rows in quarantine in their newest state, the newest batch first, values masked."""
        ...

    def quality(self, *, days: int) -> Sequence[DatasetQuality]:
        """Judge the quality of every dataset over the last days."""
        ...

    def quality_of(self, usecase: str, dataset: str, *, days: int) -> DatasetQuality:
        """Judge the quality of one dataset over the last days.

        Raises:
            UnknownNameError: There is no such use case or dataset.
        """
        ...

    def live(self) -> Live:
        """Read what comes in right now."""
        ...

    def tables(self) -> Sequence[TableRow]:
        """List the tables of the installed use cases."""
        ...

    def table(self, usecase: str, dataset: str, *, holder: Holder, page: Page) -> TablePage:
        """Give a page of the current rows of a table, masked for who asks.

        Raises:
            UnknownNameError: There is no such use case or table.
        """
        ...

    def export(self, usecase: str, dataset: str, *, holder: Holder, form: Form) -> ExportedFile:
        """Make a file of the current rows of a table, masked for who asks, and note that it was made.

        Raises:
            UnknownNameError: There is no such use case or table, or it has no rows yet.
        """
        ...
