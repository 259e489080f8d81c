"""The conditions a candidate must pass, as data; ``trunkline.train`` gathers the evidence and judges.

Each gate is a frozen model with a ``name`` that appears in the output of the command line and in the ledger.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "BeatsBaselines",
    "Calibrated",
    "CoverageWithin",
    "FairDecisions",
    "FairSlices",
    "Gate",
    "Latency",
    "MinimumMetric",
    "NoLeakage",
    "NotWorseThanChampion",
    "OnnxEqual",
]

_THRESHOLDED: Final = ("accuracy", "f1", "precision", "recall")


class _Gate(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MinimumMetric(_Gate):
    """The out-of-fold value of a metric reaches a floor.

    Attributes:
        metric: Scorer name, e.g. ``roc_auc``; greater is better.
        limit: The floor, in the metric's unit.
    """

    name: Literal["minimum_metric"] = "minimum_metric"
    metric: str
    limit: float


def _reads_scores(metric: str) -> str:
    if metric in _THRESHOLDED:
        raise ValueError(f"{metric} depends on the threshold, and the two models have one each; take roc_auc")
    return metric


class NotWorseThanChampion(_Gate):
    """A paired test on rows that neither model has seen does not show the candidate to be worse.

    "Not shown to be worse" is weak where rows are few: the interval of the difference is then so wide that a loss that
    matters cannot be excluded. Such evidence is called inconclusive, and ``on_thin_evidence`` says what follows. The
    default lets the candidate pass, with the word in its evidence: the other gates have passed it as well, and refusing
    would keep an ageing model for as long as labels are few, by the size of the table alone. Who would rather wait for
    labels declares ``refuse``.

    Attributes:
        metric: Scorer name; greater is better. It reads scores alone: each model has a threshold of its own, so f1,
            precision, recall and accuracy are refused.
        tolerance: How much worse the candidate may be, in the metric's unit.
        confidence: Confidence of the one-sided bound of the difference, in (0, 1).
        margin: A loss beyond ``tolerance`` that matters, in the metric's unit. Evidence is inconclusive when the
            interval reaches below ``-(tolerance + margin)`` without showing the candidate to be worse.
        on_thin_evidence: What inconclusive evidence does.
    """

    name: Literal["not_worse_than_champion"] = "not_worse_than_champion"
    metric: Annotated[str, AfterValidator(_reads_scores)]
    tolerance: float = 0.0
    confidence: float = Field(default=0.95, gt=0, lt=1)
    margin: float = Field(default=0.02, ge=0)
    on_thin_evidence: Literal["pass", "refuse"] = "pass"


class Calibrated(_Gate):
    """Expected calibration error (10 equal-mass bins, out-of-fold) stays below a limit or the noise floor.

    Attributes:
        limit: Largest accepted error, in [0, 1]; the 95 % quantile of the noise floor applies where it is larger.
    """

    name: Literal["calibration"] = "calibration"
    limit: float = 0.02


class FairSlices(_Gate):
    """The metric inside each declared slice is not far below the whole.

    Attributes:
        metric: ``roc_auc``, ``f1`` or ``precision``.
        max_gap: Largest accepted shortfall of a slice's upper 95 % bound against the whole.
    """

    name: Literal["slice_fairness"] = "slice_fairness"
    metric: Literal["roc_auc", "f1", "precision"] = "roc_auc"
    max_gap: float = 0.10


class FairDecisions(_Gate):
    """Decisions do not differ much between the parts of a column, nor do the errors among them.

    Judged are parts that are large enough, at the model's threshold. The gap is the largest difference between two
    parts; it is held against the limit by the lower end of its 95 % interval, so that chance in small parts refuses
    nobody. A gap says that parts are treated differently, not why: parts differ in what they want as well.

    Attributes:
        max_odds_gap: Largest accepted equalised-odds gap: of the true or the false positive rates, the larger, in
            [0, 1].
        max_selection_gap: Largest accepted demographic-parity gap: of the selection rates, in [0, 1].
        explained: Columns whose gap is accepted, each with the written reason; it is reported nevertheless.
    """

    name: Literal["fair_decisions"] = "fair_decisions"
    max_odds_gap: float = Field(default=0.20, ge=0, le=1)
    max_selection_gap: float = Field(default=0.20, ge=0, le=1)
    explained: Mapping[str, str] = {}


class NoLeakage(_Gate):
    """Nothing knows the answer: neither one feature alone nor the model as a whole is too good.

    Attributes:
        max_single_feature: Largest accepted ROC AUC (or R2) of any feature alone.
        ceiling: Best score possible, where it is known (simulators know it); None where it is not.
        metric: Scorer name that the ceiling is about.
        too_good: Score above which the candidate is refused until somebody has found out why; None where no score is
            suspicious by itself.
        explained: Why a score above ``too_good`` is honest nevertheless; empty where nobody has said so.
    """

    name: Literal["leakage"] = "leakage"
    max_single_feature: float = 0.95
    ceiling: float | None = None
    metric: str = "roc_auc"
    too_good: float | None = None
    explained: str = ""


class OnnxEqual(_Gate):
    """ONNX Runtime and the trainer agree on all held-out rows and on extremes.

    Attributes:
        limit: Largest accepted absolute difference (relative for regressions).
    """

    name: Literal["onnx_equality"] = "onnx_equality"
    limit: float = 1e-5


class Latency(_Gate):
    """One row is answered in time.

    Attributes:
        p99_us: Largest accepted 99th percentile of one row through encoding and model, microseconds of the thread's own
            processor time, so that a busy machine does not refuse a model.
    """

    name: Literal["latency"] = "latency"
    p99_us: float = 2_000.0


class BeatsBaselines(_Gate):
    """So many hours ahead, the rolling evaluation is better than simpler ways on the same hours.

    Attributes:
        horizon: Hours ahead.
        baselines: Names of the ways, the strongest of which counts; those that could not be computed are left out.
        margin: By which share of their error it must be better, in [0, 1).
    """

    name: Literal["beats_baselines"] = "beats_baselines"
    horizon: int = Field(ge=1)
    baselines: tuple[str, ...] = ("last_value", "naive_day", "naive_week")
    margin: float = Field(default=0.0, ge=0, lt=1)


class CoverageWithin(_Gate):
    """The interval of forecasts holds about the share of truths that it promises.

    Attributes:
        metric: Which coverage.
        low: Smallest accepted share.
        high: Largest accepted share.
    """

    name: Literal["coverage"] = "coverage"
    metric: str = "coverage_80"
    low: float = 0.75
    high: float = 0.85


Gate = Annotated[
    BeatsBaselines
    | CoverageWithin
    | MinimumMetric
    | NotWorseThanChampion
    | Calibrated
    | FairSlices
    | FairDecisions
    | NoLeakage
    | OnnxEqual
    | Latency,
    Field(discriminator="name"),
]
"""Any gate."""
