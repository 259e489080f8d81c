"""From the chosen parts to a model: the last fit, and the record of what it is.

Shared by classification and regression.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

import numpy as np
import pyarrow as pa
from pyarrow import types

from trunkline.stats.calibration import Calibration, calibrate, fit_beta, fit_logistic
from trunkline.stats.intervals import Interval
from trunkline.stats.profiles import CategoryProfile, NumberProfile, category_profile, number_profile
from trunkline.tasks.base_matrix import BaseMatrix, Floats, Matrix, number_column
from trunkline.tasks.choice import Trials
from trunkline.tasks.estimators import FittedLearner, fit_learner, without_convergence_warnings
from trunkline.tasks.folds import Places
from trunkline.tasks.graph import classifier_graph, regressor_graph
from trunkline.tasks.info import LearnerInfo, ModelInfo
from trunkline.tasks.learners import Learner
from trunkline.tasks.members import Boosted, Grown, Linear
from trunkline.tasks.model import Model, Part
from trunkline.tasks.rows import TrainingRows
from trunkline.tasks.supervised import Supervised
from trunkline.tasks.validation import sigmoid

__all__ = [
    "Phases",
    "build_model",
    "cross_fitted",
    "describe",
    "fit_parts",
    "split_text",
]

_PACKAGES = (
    "trunkline",
    "numpy",
    "pyarrow",
    "scikit-learn",
    "imbalanced-learn",
    "xgboost",
    "xgboost-cpu",
    "lightgbm",
    "onnx",
    "onnxruntime",
)


CalibrationKind = Literal["logistic", "beta", "none"]

_CALIBRATIONS: Mapping[CalibrationKind, Callable[[Floats, Floats], Calibration]] = {
    "logistic": fit_logistic,
    "beta": fit_beta,
    "none": lambda _truth, _raw: Calibration(),
}


@dataclass
class Phases:
    """Seconds of each phase, in order."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)
    _since: float | None = None
    _name: str = ""

    def begin(self, name: str) -> None:
        """End the phase before, begin another."""
        self.end()
        self._name, self._since = name, self.clock()

    def end(self) -> None:
        """End the current phase."""
        if self._since is not None:
            now = self.clock()
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
            self._since = None


def fit_parts(
    parts: Sequence[tuple[Learner, float]],
    *,
    trials: Trials,
    matrix: Matrix,
    target: Floats,
) -> list[tuple[FittedLearner, float]]:
    """Fit the champion's learners on the same rows.

    Args:
        parts: Learners and weights.
        trials: What they were chosen on: settings, seed and threads are the same.
        matrix: Encoded rows.
        target: Shape (rows,).

    Returns:
        Fitted learners and weights, in order.
    """

    def fit(learner: Learner) -> FittedLearner:
        return fit_learner(learner, base=matrix, target=target, settings=trials.settings, seed=trials.seed)

    with without_convergence_warnings(), ThreadPoolExecutor(max_workers=max(1, trials.threads)) as pool:
        fitted = list(pool.map(fit, [learner for learner, _ in parts]))
    return [(one, weight) for one, (_, weight) in zip(fitted, parts, strict=True)]


def describe(
    task: Supervised,
    *,
    rows: TrainingRows,
    used: Places,
    parts: Sequence[tuple[Learner, float]],
    metrics: Mapping[str, Interval],
    test_metrics: Mapping[str, Interval],
    scores: Floats,
    seed: int,
) -> ModelInfo:
    """Write down what a model is, as far as it does not depend on the kind of task.

    Args:
        task: The declaration.
        rows: The rows of its training.
        used: Those of the last fit.
        parts: Its learners and weights.
        metrics: Headline metrics out of fold.
        test_metrics: The same on the test set.
        scores: Out-of-fold scores, for drift.
        seed: Seed of everything random.

    Returns:
        The record of a regression; a classification adds its classes, calibration, threshold and positives.
    """
    return ModelInfo(
        task="regression",
        label=task.label,
        classes=(),
        features=task.features,
        row_features={name: expr.to_data() for name, expr in task.row_features.items()},
        columns=rows.base.columns,
        learners=learner_infos(parts),
        calibration=Calibration(),
        metrics=metrics,
        test_metrics=test_metrics,
        seed=seed,
        trained_rows=len(used),
        packages=package_versions(),
        profiles=profiles(rows.table.take(pa.array(used)), rows.base, rows.matrix[used], watched=task.watched),
        score_profile=number_profile(scores),
        recipe=task.model_dump(mode="json"),
    )


def build_model(
    info: ModelInfo, *, rows: TrainingRows, used: Places, fitted: Sequence[tuple[FittedLearner, float]]
) -> Model:
    """Put a model together and write its graph.

    Args:
        info: What it says of itself.
        rows: The rows of its training.
        used: Those of the last fit.
        fitted: Its fitted learners and weights.

    Returns:
        The model.

    Raises:
        UseCaseError: A member has no exact form in ONNX.
    """
    columns = len(rows.base.names)
    if info.task == "classification":
        graph = classifier_graph(fitted, calibration=info.calibration, columns=columns)
    else:
        graph = regressor_graph(fitted, log_target=info.log_target, columns=columns)
    typical = typical_row(rows.matrix[used], rows.base)
    return Model(info=info, base=rows.base, onnx=graph, parts=model_parts(fitted), typical=typical)


def learner_infos(parts: Sequence[tuple[Learner, float]]) -> tuple[LearnerInfo, ...]:
    """Describe the champion's learners."""
    return tuple(
        LearnerInfo(
            name=learner.name,
            kind=learner.kind,
            weight=weight,
            parameters=learner.parameters,
            preprocessing=learner.preprocessing,
            bags=learner.bags,
        )
        for learner, weight in parts
    )


def model_parts(fitted: Sequence[tuple[FittedLearner, float]]) -> tuple[Part, ...]:
    """Keep of the fitted learners what reasons need."""
    return tuple(
        Part(
            one.learner.name,
            weight,
            one.view,
            tuple(member for member in one.members if isinstance(member, Linear | Boosted | Grown)),
        )
        for one, weight in fitted
    )


def package_versions() -> dict[str, str]:
    """Give the versions of the libraries that fit models, where installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def typical_row(matrix: Matrix, base: BaseMatrix) -> Matrix:
    """Give one synthetic row: the median of each number, the most frequent code of each category and flag."""
    row = np.full(matrix.shape[1], np.nan, dtype=np.float32)
    for at, kind in enumerate(base.kinds):
        values = matrix[:, at][~np.isnan(matrix[:, at])]
        if not values.size:
            continue
        if kind == "number":
            row[at] = np.median(values)
        else:
            distinct, counts = np.unique(values, return_counts=True)
            row[at] = distinct[np.argmax(counts)]
    return row


def profiles(
    table: pa.Table, base: BaseMatrix, matrix: Matrix, *, watched: Sequence[str] = ()
) -> dict[str, NumberProfile | CategoryProfile]:
    """Profile each feature of the table over the rows given, and each watched column, for drift.

    Args:
        table: Training rows.
        base: The base matrix.
        matrix: The same rows encoded.
        watched: Further columns.

    Returns:
        A profile by column; row features are left out, they follow from the others.
    """
    found: dict[str, NumberProfile | CategoryProfile] = {}
    for at, feature in enumerate(base.features):
        if feature.kind == "category":
            found[feature.name] = category_profile(table[feature.name].cast(pa.string()).to_pylist())
        else:
            found[feature.name] = number_profile(matrix[:, at].astype(np.float64))
    for name in watched:
        if name in found:
            continue
        if types.is_string(table[name].type) or types.is_large_string(table[name].type):
            found[name] = category_profile(table[name].to_pylist())
        else:  # single precision, as the features have it
            found[name] = number_profile(number_column(table, name).astype(np.float32).astype(np.float64))
    return found


def split_text(group: str | None, order: str | None) -> str:
    """Say how rows were parted."""
    parts = [f"grouped by {group}" if group else "", f"ordered by {order}" if order else ""]
    return ", ".join(part for part in parts if part) or "random"


def cross_fitted(
    margins: Floats, target: Floats, *, parts: Sequence[Places], kind: CalibrationKind
) -> tuple[Floats, Calibration]:
    """Calibrate each part with a map fitted on the others, and fit the map of all.

    Args:
        margins: Out-of-fold log-odds of one repetition, shape (rows,); NaN where never judged.
        target: 0/1, shape (rows,).
        parts: The judged rows of each fold.
        kind: The kind of map; ``none`` gives the identity.

    Returns:
        Cross-fitted probabilities, shape (rows,), NaN where there were none, and the map.
    """
    fit = _CALIBRATIONS[kind]
    judged = np.isfinite(margins)
    raw = np.full(len(margins), np.nan)
    raw[judged] = sigmoid(margins[judged])
    found = np.full(len(margins), np.nan)
    for part in parts:
        others = judged.copy()
        others[part] = False
        learned_on = others if len(np.unique(target[others])) == 2 else judged
        found[part] = calibrate(raw[part], calibration=fit(target[learned_on], raw[learned_on]))
    return found, fit(target[judged], raw[judged])
