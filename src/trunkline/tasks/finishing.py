"""From the chosen parts to a model: the last fit, the record of what it is, and the evidence about it.

Shared by classification and regression.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from time import thread_time

import numpy as np
import pyarrow as pa

from trunkline.stats.calibration import Calibration
from trunkline.stats.delong import delong_interval
from trunkline.stats.profiles import CategoryProfile, NumberProfile, category_profile, number_profile
from trunkline.tasks.base_matrix import BaseMatrix, Floats, Matrix
from trunkline.tasks.equality import time_rows
from trunkline.tasks.estimators import FitSettings, FittedLearner, fit_learner
from trunkline.tasks.explanation import contributions
from trunkline.tasks.features import FeatureKind
from trunkline.tasks.folds import Places
from trunkline.tasks.info import LearnerInfo
from trunkline.tasks.learners import Learner
from trunkline.tasks.members import Boosted, Grown, Linear
from trunkline.tasks.model import Model, Part
from trunkline.tasks.preprocessing import Preprocessing
from trunkline.tasks.report import Importance, Latency, Leakage
from trunkline.tasks.rows import TrainingRows
from trunkline.tasks.view_fitting import fit_view

__all__ = [
    "Phases",
    "combined_margin",
    "cross_fitted",
    "feature_importances",
    "fit_parts",
    "leakage",
    "learner_infos",
    "model_parts",
    "package_versions",
    "profiles",
    "split_text",
    "time_model",
    "typical_row",
]

_EXPLAINED_ROWS = 1_000
_EXPLAINED_ROWS_DEEP = 300
_PERMUTED_ROWS = 50
_TIMED_ROWS = 200
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
    matrix: Matrix,
    target: Floats,
    settings: FitSettings,
    seed: int,
    threads: int,
) -> list[tuple[FittedLearner, float]]:
    """Fit the champion's learners on the same rows.

    Args:
        parts: Learners and weights.
        matrix: Encoded rows.
        target: Shape (rows,).
        settings: What all learners share.
        seed: Seed of everything random.
        threads: Fits at a time.

    Returns:
        Fitted learners and weights, in order.
    """

    def fit(learner: Learner) -> FittedLearner:
        return fit_learner(learner, base=matrix, target=target, settings=settings, seed=seed)

    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        fitted = list(pool.map(fit, [learner for learner, _ in parts]))
    return [(one, weight) for one, (_, weight) in zip(fitted, parts, strict=True)]


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


def profiles(table: pa.Table, base: BaseMatrix, matrix: Matrix) -> dict[str, NumberProfile | CategoryProfile]:
    """Profile each feature of the table over the rows given, for drift.

    Args:
        table: Training rows.
        base: The base matrix.
        matrix: The same rows encoded.

    Returns:
        A profile by feature; row features are left out, they follow from the others.
    """
    found: dict[str, NumberProfile | CategoryProfile] = {}
    for at, feature in enumerate(base.features):
        if feature.kind == "category":
            found[feature.name] = category_profile(table[feature.name].cast(pa.string()).to_pylist())
        else:
            found[feature.name] = number_profile(matrix[:, at].astype(np.float64))
    return found


def feature_importances(model: Model, *, matrix: Matrix, seed: int) -> tuple[tuple[Importance, ...], str]:
    """Average the absolute contributions over a sample of rows.

    Args:
        model: The model.
        matrix: Encoded rows to sample from.
        seed: Seed of the sample.

    Returns:
        Features by falling importance, and a warning where they could not be computed (empty otherwise).
    """
    from trunkline.errors import MissingExtraError

    most = _EXPLAINED_ROWS
    if any(isinstance(member, Grown) for part in model.parts for member in part.members):
        most = _EXPLAINED_ROWS_DEEP
    if not all(part.members for part in model.parts):
        most = _PERMUTED_ROWS
    rows = np.arange(len(matrix))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    try:
        moved, _ = contributions(model, matrix[rows])
    except MissingExtraError as error:
        return (), f"importances were left out: {error.what}; {error.next_step}"
    mean = np.abs(moved).mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    return tuple(Importance(feature=model.base.names[at], mean_absolute=float(mean[at])) for at in order), ""


def split_text(group: str | None, order: str | None) -> str:
    """Say how rows were parted."""
    parts = [f"grouped by {group}" if group else "", f"ordered by {order}" if order else ""]
    return ", ".join(part for part in parts if part) or "random"


def time_model(model: Model, rows: TrainingRows) -> Latency:
    """Time single rows of the test set (of the training rows where there is none)."""
    places = rows.test if len(rows.test) else rows.train
    timed = rows.table.select(list(rows.base.columns)).take(pa.array(places[:_TIMED_ROWS])).to_pylist()
    # the thread's own time: a gate must not refuse a model because the machine had other things to do
    return time_rows(model.predict_row, timed, clock=thread_time)


def leakage(rows: TrainingRows, *, columns: Places, limit: float, classification: bool, seed: int) -> Leakage:
    """Judge each input alone, on training rows.

    Args:
        rows: The training rows.
        columns: Rows to use.
        limit: Scores above it are suspicious.
        classification: ROC AUC (folded to at least 0.5), or else squared correlation.
        seed: Seed of the cross-fitting of category means.

    Returns:
        The findings.
    """
    matrix, target = rows.matrix[columns], rows.target[columns]
    scores = {}
    for at, name in enumerate(rows.base.names):
        column = _alone(matrix[:, [at]], target, rows.base, at, seed)
        if np.ptp(column) == 0:
            scores[name] = 0.5 if classification else 0.0
        elif classification:
            area = delong_interval(target, column).value
            scores[name] = max(area, 1 - area)
        else:
            scores[name] = float(np.corrcoef(column, target)[0, 1] ** 2)
    strongest = max(scores, key=lambda name: scores[name], default="")
    return Leakage(
        scores=scores,
        strongest=strongest,
        score=scores.get(strongest, 0.0),
        limit=limit,
        suspicious=tuple(sorted(name for name, score in scores.items() if score > limit)),
    )


@dataclass(frozen=True)
class _OneColumn:
    names: tuple[str, ...]
    kinds: tuple[FeatureKind, ...]
    sizes: tuple[int, ...]


def _alone(column: Matrix, target: Floats, base: BaseMatrix, at: int, seed: int) -> Floats:
    """A category as its cross-fitted mean target, a number with nulls at its median."""
    kind = base.kinds[at]
    if kind == "category":
        alone = _OneColumn((base.names[at],), (kind,), (base.sizes[at],))
        _, encoded = fit_view(
            column,
            target=target,
            columns=alone,
            preprocessing=Preprocessing(encode="target", scale="none"),
            seed=seed,
        )
        return encoded[:, 0].astype(np.float64)
    values = column[:, 0].astype(np.float64)
    null = np.isnan(values)
    if null.all():
        return null.astype(np.float64)
    values[null] = np.median(values[~null])
    return values


def combined_margin(fitted: Sequence[tuple[FittedLearner, float]], matrix: Matrix) -> Floats:
    """Blend the margins of fitted learners."""
    total = np.zeros(len(matrix))
    for one, weight in fitted:
        total += weight * one.margin(matrix)
    return total


def cross_fitted(
    margins: Floats, target: Floats, *, parts: Sequence[Places], fit: Callable[[Floats, Floats], Calibration]
) -> tuple[Floats, Calibration]:
    """Calibrate each part with a map fitted on the others, and fit the map of all.

    Args:
        margins: Out-of-fold log-odds of one repetition, shape (rows,); NaN where never judged.
        target: 0/1, shape (rows,).
        parts: The judged rows of each fold.
        fit: From (target, probability) to a map.

    Returns:
        Cross-fitted probabilities, shape (rows,), NaN where there were none, and the map.
    """
    from trunkline.stats.calibration import calibrate
    from trunkline.tasks.validation import sigmoid

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
