"""Learn a number from the other columns of a row: tabular regression.

Declared as data, trained by ``regression_training``.
"""

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from trunkline.errors import UseCaseError
from trunkline.stats.metrics import REGRESSION_METRICS
from trunkline.tasks.learners import Learner, default_regressors
from trunkline.tasks.supervised import Supervised
from trunkline.tasks.task import Progress, TrainedRows

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.base_matrix import BaseMatrix
    from trunkline.tasks.estimators import FitSettings

__all__ = ["Regression"]


class Regression(Supervised):
    """Predict a number; see :class:`Supervised` for what it shares with classification.

    Attributes:
        learners: Linear, ridge, lasso, elastic net (``alpha`` from 0.01 to 10,000 by tens) and XGBoost unless named.
        metric: What is maximised: R2 unless named.
        folds: Ten unless named.
        log_target: Learn ``log(1 + target)``; predictions and metrics stay in target units. Needs a target >= 0.
    """

    kind: Literal["regression"] = "regression"
    learners: tuple[Learner, ...] = Field(default_factory=default_regressors)
    metric: str = "r2"
    folds: int = Field(default=10, ge=2, le=50)
    log_target: bool = False

    @model_validator(mode="after")
    def _refuse_what_is_no_regression(self) -> Self:
        where = f"regression of {self.label!r}"
        if self.metric not in REGRESSION_METRICS:
            raise UseCaseError(f"{self.metric!r} cannot be maximised", where=where, allowed=REGRESSION_METRICS)
        if wrong := [learner.name for learner in self.learners if learner.kind == "logistic_regression"]:
            raise UseCaseError(f"these learners predict classes: {', '.join(wrong)}", where=where)
        return self

    @property
    def name(self) -> str:
        """The kind of task."""
        return self.kind

    def fit_settings(self, columns: "BaseMatrix") -> "FitSettings":
        """Say what all learners of the task share."""
        from trunkline.tasks.estimators import FitSettings

        return FitSettings(columns=columns, classification=False)

    def train(
        self,
        table: "pa.Table",
        *,
        seed: int,
        threads: int = 1,
        progress: Progress = lambda _phase, _share: None,
        clock: Callable[[], float] = perf_counter,
    ) -> TrainedRows:
        """Learn from typed rows.

        Args:
            table: Rows with at least ``columns``; rows whose label is null are left out.
            seed: Seed of everything random; the same rows and seed give the same model.
            threads: Fits at a time; has no effect on the result.
            progress: Told (phase, share done).
            clock: Seconds from any start, for the report's times and the ceiling of searches.

        Returns:
            The model and the report.

        Raises:
            InputError: There are no rows.
            SchemaError: A column is missing or of the wrong type.
            LabelError: The label has one value, too few rows for the folds, or is negative under ``log_target``.
            UseCaseError: A declaration does not fit the data.
        """
        from trunkline.tasks.regression_training import train

        return train(self, table, seed=seed, threads=threads, progress=progress, clock=clock)
