"""What a training run reports: frozen records that hold everything a page or a gate needs, and nothing of a row.

All figures named ``metrics`` carry scikit-learn's scorer names; "out of fold" means judged by models that had not seen
the row. Nothing is fitted or tuned on the test set. JSON goes there and back without loss.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trunkline.stats.calibration import Calibration, NoiseFloor, ReliabilityBin
from trunkline.stats.classification import ClassReport, ConfusionMatrix, PrecisionRecallCurve, RocCurve
from trunkline.stats.fairness import FairnessReport
from trunkline.stats.intervals import Interval
from trunkline.stats.profit import GainsRow, ProfitCurve
from trunkline.stats.slices import SliceReport
from trunkline.stats.writing import DecimalGrid
from trunkline.tasks.info import RowTaskKind, TaskKind
from trunkline.tasks.learners import LearnerKind, Parameter

__all__ = [
    "ChampionReport",
    "Chosen",
    "ClassificationCurves",
    "Equality",
    "FarMedian",
    "HardestSlice",
    "Importance",
    "Latency",
    "Leakage",
    "LearnerReport",
    "LearningReport",
    "Residuals",
    "Rows",
    "TrainingReport",
    "Trial",
    "TuningReport",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Rows(_Record):
    """How many rows took part.

    Attributes:
        given: Rows handed in.
        unlabelled: Rows without a label, left out.
        train: Rows of cross-validation and of the final fit.
        test: Rows set aside.
        train_positives: Rows of class True in ``train``; 0 for a regression.
        test_positives: Rows of class True in ``test``; 0 for a regression.
    """

    given: int
    unlabelled: int
    train: int
    test: int
    train_positives: int = 0
    test_positives: int = 0


class LearnerReport(_Record):
    """One learner in cross-validation.

    Attributes:
        name: Its name.
        kind: Its algorithm.
        eligible: Whether it could be part of the champion.
        tuned: Whether its parameters were found by a search or a grid.
        parameters: The parameters it was judged with.
        fold_scores: By metric, one score per fold of each repeat.
        scores: By metric, their mean with the corrected interval of Nadeau and Bengio.
        seconds: Time of its fits and predictions, all folds together.
    """

    name: str
    kind: LearnerKind
    eligible: bool
    tuned: bool
    parameters: Mapping[str, Parameter]
    fold_scores: Mapping[str, tuple[float, ...]]
    scores: Mapping[str, Interval]
    seconds: float


class Trial(_Record):
    """One try of a search.

    Attributes:
        number: From 0; the first is the declared parameters.
        parameters: What was changed.
        score: Mean over the tuning folds; of the folds done, where the try was given up early.
        pruned: Whether it was given up early.
    """

    number: int
    parameters: Mapping[str, Parameter]
    score: float
    pruned: bool = False


class TuningReport(_Record):
    """The history of one search; its folds are cut with another seed than those of the evaluation.

    Attributes:
        learner: Whose parameters.
        method: Seeded tree-structured Parzen estimator (Optuna), or every combination.
        metric: What was maximised.
        trials: All tries in order.
        best: Number of the best try.
        ceiling_hit: Whether the time ceiling ended the search; the same inputs may then give another model.
    """

    learner: str
    method: Literal["search", "grid"]
    metric: str
    trials: tuple[Trial, ...]
    best: int
    ceiling_hit: bool = False


class Chosen(_Record):
    """What was chosen and why, of every kind of learning.

    Attributes:
        name: A few words for it.
        why: One sentence for people.
    """

    name: str
    why: str


class ChampionReport(Chosen):
    """What was chosen and why.

    Attributes:
        name: ``blend`` or the name of a learner.
        weights: Weight of each learner in it; they sum to 1.
        scores: Out-of-fold score of each candidate; the blend's own with weights found on the other folds.
        metric: What the scores are.
        calibration: The map fitted on all out-of-fold scores.
        threshold: Scores at or above it decide True; None for a regression.
    """

    weights: Mapping[str, float]
    scores: Mapping[str, float]
    metric: str
    calibration: Calibration
    threshold: float | None = None


class ClassificationCurves(_Record):
    """Everything that is drawn of one set of scored rows.

    Attributes:
        roc: ROC curve.
        precision_recall: Precision-recall curve.
        reliability: Bins of equal mass.
        gains: Cumulative gains by tenths.
        profit: Profit by threshold; None where no profit is declared.
        confusion: At the model's threshold.
        classes: Report of each class at the threshold.
        ece_noise: What the expected calibration error would be by chance.
    """

    roc: RocCurve
    precision_recall: PrecisionRecallCurve
    reliability: tuple[ReliabilityBin, ...]
    gains: tuple[GainsRow, ...]
    profit: ProfitCurve | None
    confusion: ConfusionMatrix
    classes: tuple[ClassReport, ClassReport]
    ece_noise: NoiseFloor


class Residuals(_Record):
    """A thinned sample of predictions for residual pictures, drawn evenly over the sorted predictions.

    Attributes:
        predicted: Rising, target units.
        actual: The true value of each.
        quantiles: Residual (actual - predicted) at the 1st, 5th, 25th, 50th, 75th, 95th and 99th percentile.
        histogram_edges: Edges of the residuals' histogram, one more than ``histogram_counts``.
        histogram_counts: Rows in each.
    """

    predicted: tuple[float, ...]
    actual: tuple[float, ...]
    quantiles: tuple[float, ...]
    histogram_edges: tuple[float, ...]
    histogram_counts: tuple[int, ...]


class Importance(_Record):
    """How much a feature moves the scores.

    Attributes:
        feature: Its name.
        mean_absolute: Mean of |contribution| over a sample of the test rows, log-odds or target units.
    """

    feature: str
    mean_absolute: float


class Leakage(_Record):
    """How well single features know the answer.

    Attributes:
        scores: By feature, its ROC AUC alone (folded to >= 0.5; categories by their cross-fitted mean), or R2.
        strongest: The feature with the highest score; empty where there is none.
        score: Its score.
        limit: Scores above it are suspicious.
        suspicious: Features above the limit.
    """

    scores: Mapping[str, float]
    strongest: str
    score: float
    limit: float
    suspicious: tuple[str, ...]


class Equality(_Record):
    """ONNX Runtime against the libraries that fitted the model.

    Attributes:
        rows: Rows compared, by the case they were made for.
        largest_difference: Largest |difference| of a probability, or relative to the prediction for a regression.
        limit: What it must stay below.
        equal: Whether it does.
    """

    rows: Mapping[str, int]
    largest_difference: float
    limit: float
    equal: bool


class Latency(_Record):
    """One row through encoding and model, in processor time of the answering thread.

    Attributes:
        p50_us: Median, microseconds.
        p99_us: 99th percentile, microseconds.
        rows: Rows timed.
    """

    p50_us: float
    p99_us: float
    rows: int


class LearningReport(_Record):
    """What training runs of every kind report.

    Attributes:
        task: Its kind.
        label: The column predicted.
        seed: Seed of everything random.
        metric: Scorer name of the headline metric.
        champion: What was chosen.
        metrics: Headline metrics of the champion, out of fold, with 95 % intervals.
        test_metrics: The same on rows set aside; empty where none were.
        seconds: Time of each phase.
        warnings: Sentences for people.
    """

    task: TaskKind
    label: str
    seed: int
    metric: str
    champion: Chosen
    metrics: Mapping[str, Interval]
    test_metrics: Mapping[str, Interval]
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()


class FarMedian(_Record):
    """A column whose median in the slice is far from its medians in the others.

    Attributes:
        column: The column.
        median: Its median in the slice.
        usual: The median of its medians in all slices.
        deviations: Robust deviations of the first above the second; below, where negative.
        is_extreme: Whether no other slice lies farther on that side.
    """

    column: str
    median: float
    usual: float
    deviations: float
    is_extreme: bool


class HardestSlice(_Record):
    """The judged slice with the lowest F1, and what sets it apart.

    Attributes:
        name: The slice.
        f1: Its F1.
        whole_f1: F1 of all rows.
        missed: Share of its positives that were not found, in [0, 1].
        mistaken: Share of what was picked in it that is negative, in [0, 1]; null where nothing was picked.
        far: Its columns with a median at least three robust deviations away, the farthest first, three at most.
        grid: The column whose decimals tell the classes apart best; empty where none does.
        off_share: Share of the slice's rows of the class that leaves that grid which do leave it; null without a grid.
        whole_off_share: The same of all rows.
    """

    name: str
    f1: float
    whole_f1: float
    missed: float
    mistaken: float | None
    far: tuple[FarMedian, ...]
    grid: str = ""
    off_share: float | None = None
    whole_off_share: float | None = None


class TrainingReport(LearningReport):
    """One training run over rows.

    Attributes:
        task: Its kind.
        folds: Folds per repetition.
        repeats: Repetitions.
        split: How rows were parted: ``random``, ``grouped by ...``, ``ordered by ...``.
        rows: How many rows took part.
        learners: Each learner in cross-validation.
        tuning: Each search.
        champion: What was chosen.
        curves: Of the out-of-fold scores; None for a regression.
        test_curves: Of the test set; None for a regression.
        residuals: Of the test set; None for a classification.
        slices: By declared column, the champion out of fold on each of its values; empty for a regression.
        fairness: By declared column, its decisions about each value, and how far apart they are; likewise.
        hardest: By declared column, its slice with the lowest F1, what sets it apart; where four or more can be judged.
        grids: Features whose number of decimals tells the classes apart, the most telling first.
        importances: Features by falling importance.
        leakage: What single features know.
        equality: ONNX against the trainers.
        latency: Of one row.
    """

    task: RowTaskKind
    folds: int
    repeats: int
    split: str
    rows: Rows
    learners: tuple[LearnerReport, ...]
    tuning: tuple[TuningReport, ...]
    champion: ChampionReport
    curves: ClassificationCurves | None = None
    test_curves: ClassificationCurves | None = None
    residuals: Residuals | None = None
    slices: Mapping[str, SliceReport] = {}
    fairness: Mapping[str, FairnessReport] = {}
    hardest: Mapping[str, HardestSlice] = {}
    grids: Mapping[str, DecimalGrid] = {}
    importances: tuple[Importance, ...]
    leakage: Leakage
    equality: Equality
    latency: Latency
