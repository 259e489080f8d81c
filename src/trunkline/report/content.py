"""What a report is made of: the stored records of one run, gathered, and nothing else.

Takes records of the stages, gives one frozen value that goes into JSON and back. A step that has not happened is None
or empty, and the page says so. There is no clock in it: the same records make the same page.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import Alert, Reading, Receipt
from trunkline.spec.facts import FieldFacts, UseCaseFacts
from trunkline.tasks import AnyCard, AnyReport, ForecastReport, ModelInfo, TrainingReport
from trunkline.train import EvaluateDocument

__all__ = [
    "FanSummary",
    "FieldFacts",
    "Lineage",
    "ModelFacts",
    "PredictionsSummary",
    "ReportContent",
    "RunState",
    "StepTime",
    "UseCaseFacts",
]

RunState = Literal["started", "finished", "refused", "failed"]
"""How a run stands, as in ``platform.runs``."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepTime(_Record):
    """How long one step took.

    Attributes:
        step: Its name.
        seconds: Wall time.
    """

    step: str
    seconds: float


class ModelFacts(_Record):
    """What became of the candidate in the registry.

    Attributes:
        version: The version it was registered as.
        alias: The alias it was given; None when it got none.
        previous: The version that had the alias before; None for the first.
    """

    version: str
    alias: str | None = None
    previous: str | None = None


class FanSummary(_Record):
    """The hours ahead of one server.

    Attributes:
        server: The server.
        limit: What warnings are given for; None where there is none.
        past: Values of the hours before, the newest last; None where unknown.
        q10: By hour ahead, one in ten lies below.
        q50: Median.
        q90: One in ten lies above.
        exceeds: Probability of a value above the limit; None without one.
    """

    server: str
    limit: float | None = None
    past: tuple[float | None, ...] = ()
    q10: tuple[float, ...]
    q50: tuple[float, ...]
    q90: tuple[float, ...]
    exceeds: tuple[float | None, ...] = ()


class PredictionsSummary(_Record):
    """What the run scored, or forecast.

    Attributes:
        rows: Rows scored, or forecasts made.
        model_version: Version that answered.
        mean_score: Mean score, or mean prediction.
        decided: Rows at or above the threshold; None for a regression and for forecasts.
        made_at: Newest hour that forecasts rest on; None for rows.
        hours: Hours for which forecasts were made; 0 for rows.
        degraded: Servers that lacked their newest value.
        unit: Unit of the values.
        fans: What is ahead of the first servers.
    """

    rows: int
    model_version: str
    mean_score: float
    decided: int | None = None
    made_at: datetime | None = None
    hours: int = 0
    degraded: tuple[str, ...] = ()
    unit: str = ""
    fans: tuple[FanSummary, ...] = ()


class Lineage(_Record):
    """What the run can be repeated from.

    Attributes:
        table_versions: Lake table to the version that was read.
        contract_fingerprints: Dataset to fingerprint.
        seed: Seed of everything random; None when nothing was trained.
        packages: Library to version.
    """

    table_versions: Mapping[str, int] = {}
    contract_fingerprints: Mapping[str, str] = {}
    seed: int | None = None
    packages: Mapping[str, str] = {}


class ReportContent(_Record):
    """Everything that the page of one run shows.

    Attributes:
        usecase: The use case.
        run_id: The run.
        state: How it stands.
        started_at: When it began, UTC.
        code_version: Version of the package and commit.
        problem: Why the run failed; empty when it did not.
        steps: Finished steps in their order.
        receipts: One per ingested batch.
        simulated: Whether the rows came from the simulator.
        best_score: The best score possible on simulated rows.
        training: The training report; None when nothing was trained.
        info: What the trained model says of itself; None when nothing was trained.
        evaluation: Verdicts of the gates and the comparison with the champion; None when not judged.
        model: What the registry made of the candidate; None when it was not registered.
        predictions: What was scored; None when nothing was.
        readings: Monitored numbers of this run.
        alerts: Alerts that this run raised.
        lineage: What it can be repeated from.
    """

    usecase: UseCaseFacts
    run_id: str
    state: RunState = "finished"
    started_at: datetime | None = None
    code_version: str = ""
    problem: str = ""
    steps: tuple[StepTime, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    simulated: bool = False
    best_score: float | None = None
    training: AnyReport | None = None
    info: AnyCard | None = None
    evaluation: EvaluateDocument | None = None
    model: ModelFacts | None = None
    predictions: PredictionsSummary | None = None
    readings: tuple[Reading, ...] = ()
    alerts: tuple[Alert, ...] = ()
    lineage: Lineage = Lineage()

    @property
    def of_rows(self) -> TrainingReport | None:
        """The training report, where the task learns rows."""
        return self.training if isinstance(self.training, TrainingReport) else None

    @property
    def of_series(self) -> ForecastReport | None:
        """The training report, where the task learns series."""
        return self.training if isinstance(self.training, ForecastReport) else None

    @property
    def rows_info(self) -> ModelInfo | None:
        """What the model says of itself, where it scores rows."""
        return self.info if isinstance(self.info, ModelInfo) else None
