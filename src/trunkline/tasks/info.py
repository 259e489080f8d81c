"""What a model says of itself: a frozen record that travels in ``model.json``.

No clock and no path is in it: the same rows, recipe, seed and package versions give the same bytes. What only the
caller knows (commit, contract fingerprints, table versions, run id) goes into ``lineage``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trunkline.stats.calibration import Calibration
from trunkline.stats.intervals import Interval
from trunkline.stats.profiles import CategoryProfile, NumberProfile
from trunkline.tasks.features import Feature
from trunkline.tasks.learners import LearnerKind, Parameter
from trunkline.tasks.preprocessing import Preprocessing

__all__ = ["LearnerInfo", "ModelCard", "ModelInfo", "Profile", "RowTaskKind", "TaskKind"]

RowTaskKind = Literal["classification", "regression"]
"""The kinds that predict a column of a row from its other columns."""

TaskKind = RowTaskKind | Literal["forecasting"]
"""The kinds of learning there are."""

Profile = Annotated[NumberProfile | CategoryProfile, Field(discriminator="kind")]
"""What training keeps of a column, see ``trunkline.stats.profiles``."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class LearnerInfo(_Record):
    """One learner inside the model.

    Attributes:
        name: Its name in the task.
        kind: Its algorithm.
        weight: Its share of the blended margin; weights sum to 1.
        parameters: The parameters it was fitted with.
        preprocessing: The preparation as declared; the fitted one stands in ``model.json`` beside this record.
        bags: Fits averaged.
    """

    name: str
    kind: LearnerKind
    weight: float
    parameters: Mapping[str, Parameter]
    preprocessing: Preprocessing
    bags: int


class ModelCard(_Record):
    """What models of every kind say of themselves.

    Attributes:
        task: The kind of task.
        label: The column it predicts.
        columns: Every table column it reads, sorted.
        metrics: Out-of-fold headline metrics of the champion, with 95 % intervals.
        seed: Seed of everything random.
        trained_rows: Rows the final fit saw.
        packages: Versions of the libraries that fitted it.
        profiles: Training profile by feature, or by series, for drift.
        recipe: The task's declaration as data; ``model_validate`` of its class reads it.
        lineage: What the caller adds.
    """

    task: TaskKind
    label: str
    columns: tuple[str, ...]
    metrics: Mapping[str, Interval]
    seed: int
    trained_rows: int
    packages: Mapping[str, str]
    profiles: Mapping[str, Profile]
    recipe: Mapping[str, object]
    lineage: Mapping[str, object] = {}

    @property
    def seen_until(self) -> datetime | None:
        """Newest event that training has seen; None where rows carry no time."""
        return None

    def told(self) -> tuple[tuple[str, str], ...]:
        """What a person reads first, as (name, text)."""
        return (("trained on", f"{self.trained_rows} rows, seed {self.seed}"),)


class ModelInfo(ModelCard):
    """What a model of rows is and how it came about.

    Attributes:
        task: The kind of task.
        classes: Names of class 0 and class 1; empty for a regression.
        features: Table columns it reads as inputs.
        row_features: Expressions over columns, as data.
        learners: What it is made of.
        calibration: Applied to the blended log-odds; the identity for a regression.
        log_target: Whether a regression was learned on ``log(1 + target)``.
        threshold: Scores at or above it decide True; None for a regression.
        test_metrics: The headline metrics on the test set.
        positives: Rows of class True that the final fit saw; None for a regression.
        score_profile: Profile of the out-of-fold scores.
    """

    task: RowTaskKind
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    row_features: Mapping[str, list[object]]
    learners: tuple[LearnerInfo, ...]
    calibration: Calibration
    log_target: bool = False
    threshold: float | None = None
    test_metrics: Mapping[str, Interval]
    positives: int | None = None
    score_profile: Profile | None = None

    def told(self) -> tuple[tuple[str, str], ...]:
        """What a person reads first, as (name, text)."""
        return (
            ("learners", ", ".join(f"{part.name} ({part.weight:.2f})" for part in self.learners)),
            ("features", f"{len(self.features)} columns, {len(self.row_features)} row features"),
            *super().told(),
        )
