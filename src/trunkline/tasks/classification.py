"""Learn a flag from the other columns of a row: tabular classification.

Declared as data, trained by ``classification_training``. The positive class is True.
"""

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trunkline.errors import UseCaseError
from trunkline.stats.metrics import BINARY_METRICS
from trunkline.tasks.learners import Learner, default_classifiers
from trunkline.tasks.sampling import Resampling
from trunkline.tasks.supervised import Supervised
from trunkline.tasks.task import Progress, TrainedRows

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.base_matrix import BaseMatrix
    from trunkline.tasks.estimators import FitSettings

__all__ = ["Classification", "Profit"]


class Profit(BaseModel):
    """What acting on a score brings.

    Attributes:
        value: What an action on a row that is True brings, in currency units.
        cost: What an action costs, on any row, in currency units.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0)
    cost: float = Field(gt=0)


class Classification(Supervised):
    """Predict a flag; see :class:`Supervised` for what it shares with regression.

    Attributes:
        learners: Logistic regression, nearest neighbours, random forest, XGBoost and LightGBM unless named.
        metric: What is maximised: ROC AUC unless named.
        resample: How each fold's training rows are evened out; calibration afterwards sees rows as they are.
        class_weight: ``balanced`` weighs each class to half of the total while fitting.
        calibration: Map from out-of-fold log-odds to probabilities, fitted after everything else.
        profit: From which the decision threshold follows; without it the threshold has the best F1 out of fold.
        classes: Names of class False and class True, for people.
    """

    kind: Literal["classification"] = "classification"
    learners: tuple[Learner, ...] = Field(default_factory=default_classifiers)
    metric: str = "roc_auc"
    resample: Resampling = "none"
    class_weight: Literal["none", "balanced"] = "none"
    calibration: Literal["logistic", "beta", "none"] = "logistic"
    profit: Profit | None = None
    classes: tuple[str, str] = ("false", "true")

    @model_validator(mode="after")
    def _refuse_what_is_no_classification(self) -> Self:
        where = f"classification of {self.label!r}"
        if self.metric not in BINARY_METRICS or self.metric == "ece":
            raise UseCaseError(
                f"{self.metric!r} cannot be maximised", where=where, allowed=[n for n in BINARY_METRICS if n != "ece"]
            )
        wrong = [
            learner.name
            for learner in self.learners
            if learner.kind in ("linear_regression", "ridge", "lasso", "elastic_net")
        ]
        if wrong:
            raise UseCaseError(f"these learners predict numbers: {', '.join(wrong)}", where=where)
        return self

    @property
    def name(self) -> str:
        """The kind of task."""
        return self.kind

    def fit_settings(self, columns: "BaseMatrix") -> "FitSettings":
        """Say what all learners of the task share."""
        from trunkline.tasks.estimators import FitSettings

        return FitSettings(
            columns=columns, classification=True, resampling=self.resample, class_weight=self.class_weight
        )

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
            LabelError: The label has one class, or too few rows of one for the folds.
            UseCaseError: A declaration does not fit the data.
        """
        from trunkline.tasks.classification_training import train

        return train(self, table, seed=seed, threads=threads, progress=progress, clock=clock)
