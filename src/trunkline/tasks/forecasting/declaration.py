"""Learn the next hours of hourly series: declared as data, trained by ``training``."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trunkline.errors import UseCaseError
from trunkline.tasks.features import Feature
from trunkline.tasks.learners import Parameter, SearchRange
from trunkline.tasks.task import Progress, Trained

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.forecasting.panel import Panel

__all__ = ["Baseline", "Forecasting"]

Baseline = Literal["last_value", "naive_day", "naive_week", "ets", "recursive"]
"""What every report compares with; the last two need the extra ``forecast``."""


def _search() -> dict[str, SearchRange]:
    return {
        "max_depth": SearchRange(low=4, high=7, whole=True),
        "eta": SearchRange(low=0.03, high=0.08, log=True),
        "min_child_weight": SearchRange(low=15, high=80, log=True),
        "subsample": SearchRange(low=0.5, high=0.8),
        "colsample_bytree": SearchRange(low=0.2, high=0.6),
        "rounds": SearchRange(low=120, high=260, whole=True),
    }


class Forecasting(BaseModel):
    """Forecast the next hours of every series of a metric: one model per hour ahead, for all series together.

    Attributes:
        label: Column of values.
        at: Column of instants; a value stands for the hour that begins there.
        server: Column of server names.
        metric_column: Column of metric names.
        group: Column that says which servers belong together and see each other's covariates; None: all do.
        target: The metric that is forecast; all others of the group are covariates.
        horizons: Hours ahead.
        known_ahead: Metrics whose future values are in the table before their time, e.g. planned deployments.
        zone: Time zone of working hours.
        country: Country whose holidays count, two letters; empty for none.
        booster: The learner. XGBoost with absolute errors: forecasts are medians.
        parameters: Where the search begins, and what is fixed.
        search: What the search may change.
        trials: Tries per hour ahead, the declared parameters included; a fixed number.
        tuning_rows: Most rows of one fit while searching.
        most_rows: Most rows of one fit; drawn evenly.
        most_rows_of_many: The same where a model serves more than 64 series.
        half_life_days: Days after which an hour counts half as much in a fit; None: all count alike.
        refit_hours: Hours of a block of the rolling evaluation, for which models are fitted anew.
        evaluation_days: Days over which the rolling evaluation judges.
        warm_up_days: Days before them from which the intervals learn.
        most_judged: Most series that the rolling evaluation takes, drawn evenly.
        baselines: What the report compares with.
        interval: Share of truths that the interval from 10 to 90 % shall hold.
        warn_at: Probability of exceeding a server's limit from which on a warning is given.
        limits: Limit by server, in the metric's unit; the others have their upper whisker of training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["forecasting"] = "forecasting"
    label: str = "value"
    at: str = "at"
    server: str = "server"
    metric_column: str = "metric"
    group: str | None = None
    target: str
    horizons: int = Field(default=6, ge=1, le=24)
    known_ahead: tuple[str, ...] = ()
    zone: str = "UTC"
    country: str = ""
    booster: Literal["xgboost", "lightgbm"] = "xgboost"
    parameters: Mapping[str, Parameter] = {
        "max_depth": 5,
        "eta": 0.04,
        "min_child_weight": 40.0,
        "subsample": 0.6,
        "colsample_bytree": 0.3,
        "rounds": 200,
    }
    search: Mapping[str, SearchRange] = Field(default_factory=_search)
    trials: int = Field(default=5, ge=1)
    tuning_rows: int = Field(default=5_000, ge=500)
    most_rows: int = Field(default=200_000, ge=1_000)
    most_rows_of_many: int = Field(default=40_000, ge=1_000)
    half_life_days: float | None = Field(default=45.0, gt=0)
    refit_hours: int = Field(default=168, ge=24)
    evaluation_days: int = Field(default=28, ge=2)
    warm_up_days: int = Field(default=14, ge=1)
    most_judged: int = Field(default=64, ge=1)
    baselines: tuple[Baseline, ...] = ("last_value", "naive_day", "naive_week", "ets", "recursive")
    interval: float = Field(default=0.8, gt=0, lt=1)
    warn_at: float = Field(default=0.4, gt=0, lt=1)
    limits: Mapping[str, float] = {}

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        where = f"forecasting of {self.target!r}"
        names = [self.label, self.at, self.server, self.metric_column, *([self.group] if self.group else [])]
        if len(set(names)) < len(names):
            raise UseCaseError("two roles have one column", where=where)
        if self.target in self.known_ahead:
            raise UseCaseError("what is forecast is not known ahead", where=where)
        if unknown := sorted(set(self.search) - set(self.parameters)):
            raise UseCaseError(
                f"the search changes undeclared parameters: {', '.join(unknown)}", where=where, allowed=self.parameters
            )
        return self

    @property
    def name(self) -> str:
        """The kind of task."""
        return self.kind

    @property
    def features(self) -> tuple[Feature, ...]:
        """None by name: the inputs are made of the series' own past."""
        return ()

    @property
    def reads_history(self) -> bool:
        """Yes: a forecast rests on the hours before it, whichever run took them in."""
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        """Table columns that training reads, sorted."""
        group = () if self.group is None else (self.group,)
        return tuple(sorted((self.label, self.at, self.server, self.metric_column, *group)))

    def present_in(self, table: "pa.Table") -> Self:
        """The same declaration: whichever series are there are learned from."""
        del table
        return self

    def panel(self, table: "pa.Table") -> "Panel":
        """Put rows on a grid of hours.

        Raises:
            SchemaError: A column is missing.
            InputError: There is no row of the metric.
        """
        from trunkline.tasks.forecasting.panel import panel_of

        return panel_of(
            table,
            target=self.target,
            at=self.at,
            server=self.server,
            metric=self.metric_column,
            value=self.label,
            group=self.group,
        )

    def train(
        self,
        table: "pa.Table",
        *,
        seed: int,
        threads: int = 1,
        progress: Progress = lambda _phase, _share: None,
        clock: Callable[[], float] = perf_counter,
    ) -> Trained:
        """Learn from rows in long form.

        Args:
            table: Rows with at least ``columns``.
            seed: Seed of everything random; the same rows and seed give the same model.
            threads: Threads of the learner.
            progress: Told (phase, share done).
            clock: Seconds from any start, for the report's times.

        Returns:
            The model and the report.

        Raises:
            InputError: There is no row of the metric.
            SchemaError: A column is missing.
            LabelError: The series are too short to be judged.
        """
        from trunkline.tasks.forecasting.training import train

        return train(self, table, seed=seed, threads=threads, progress=progress, clock=clock)
