"""Numbers and metrics as people read them.

Takes plain values, gives short texts; the same for every locale. Metrics that scikit-learn negates are turned round
here, once, so that a page shows "log loss 0.41" and says that lower is better.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from trunkline.stats.intervals import Interval

__all__ = [
    "NOTHING",
    "Metric",
    "age",
    "bytes_short",
    "count",
    "duration",
    "instant",
    "metric",
    "minute",
    "number",
    "sentence",
    "share",
    "shown",
    "signed",
    "words",
]

_MINUS: Final = "\N{MINUS SIGN}"
NOTHING: Final = "\N{EN DASH}"
"""Shown where there is no value."""


@dataclass(frozen=True)
class Metric:
    """A metric for people.

    Attributes:
        name: Scorer name.
        label: What it is called.
        meaning: One sentence on how to read it.
        negated: Whether the scorer's values are the negative of what is shown.
        lower_is_better: Whether a smaller shown value is better.
        unit: ``share`` for a value in [0, 1] that is shown in percent, ``target`` for target units, else empty.
    """

    name: str
    label: str
    meaning: str = ""
    negated: bool = False
    lower_is_better: bool = False
    unit: str = ""

    def value(self, value: float) -> float:
        """Turn a scorer's value into the shown one."""
        return -value if self.negated else value

    def interval(self, found: Interval) -> Interval:
        """Turn a scorer's interval into the shown one."""
        return Interval(-found.value, -found.high, -found.low) if self.negated else found

    def text(self, value: float) -> str:
        """Write a scorer's value."""
        turned = self.value(value)
        return share(turned, digits=1) if self.unit == "share" else number(turned)


_METRICS: Final[Mapping[str, Metric]] = {
    found.name: found
    for found in (
        Metric(
            "roc_auc",
            "ROC AUC",
            "Of one row of each class drawn at random, how often the model scores the right one higher: "
            "0.5 is guessing, 1 is perfect.",
        ),
        Metric(
            "average_precision",
            "PR AUC",
            "Mean precision while the list is worked through from the highest score down; guessing gives the share of "
            "positive rows.",
        ),
        Metric("f1", "F1", "Harmonic mean of precision and recall at the decision threshold."),
        Metric("precision", "Precision", "Share of the rows that the model picks that are right.", unit="share"),
        Metric("recall", "Recall", "Share of the positive rows that the model picks.", unit="share"),
        Metric("accuracy", "Accuracy", "Share of rows that are decided rightly.", unit="share"),
        Metric(
            "neg_log_loss",
            "Log loss",
            "Mean surprise of the probabilities.",
            negated=True,
            lower_is_better=True,
        ),
        Metric(
            "neg_brier_score",
            "Brier score",
            "Mean squared error of the probabilities.",
            negated=True,
            lower_is_better=True,
        ),
        Metric(
            "ece",
            "Calibration error",
            "How far stated probabilities lie from observed shares, on average (ECE over 10 bins of equal mass).",
            lower_is_better=True,
        ),
        Metric("r2", "R²", "Share of the target's variance that is explained."),
        Metric(
            "neg_root_mean_squared_error",
            "RMSE",
            "Typical size of an error, large errors weighing more.",
            negated=True,
            lower_is_better=True,
            unit="target",
        ),
        Metric(
            "neg_mean_absolute_error",
            "MAE",
            "Mean size of an error.",
            negated=True,
            lower_is_better=True,
            unit="target",
        ),
        *(
            Metric(
                f"mase_h{hours}",
                f"MASE {hours} h ahead",
                "Mean absolute error by the mean absolute difference of a day; yesterday's value had 1 in training.",
                lower_is_better=True,
            )
            for hours in range(1, 25)
        ),
        Metric(
            "mase",
            "MASE",
            "Mean absolute error by the mean absolute difference of a day, mean over the hours ahead.",
            lower_is_better=True,
        ),
        Metric(
            "coverage_80", "Coverage", "Share of truths between the 10 and 90 % quantiles; 80 % is meant.", unit="share"
        ),
        Metric("psi", "PSI", "Population stability index: how far a distribution has moved since training."),
        Metric("ks", "KS distance", "Largest gap between two cumulative distributions, in [0, 1]."),
        Metric("mean_shift", "Shift of the mean", "In standard deviations of the training rows."),
        Metric("unseen_share", "Unseen values", "Share of rows with a value that training did not know.", unit="share"),
    )
}

_LEARNERS: Final[Mapping[str, str]] = {
    "logistic_regression": "Logistic regression",
    "linear_regression": "Linear regression",
    "ridge": "Ridge",
    "lasso": "Lasso",
    "elastic_net": "Elastic net",
    "nearest_neighbours": "Nearest neighbours",
    "random_forest": "Random forest",
    "extra_trees": "Extra trees",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "blend": "Blend",
}

_GATES: Final[Mapping[str, str]] = {
    "minimum_metric": "Minimum metric",
    "not_worse_than_champion": "Not worse than the champion",
    "calibration": "Calibration",
    "slice_fairness": "Slice fairness",
    "leakage": "Leakage",
    "onnx_equality": "ONNX equality",
    "latency": "Latency of one row",
}


def metric(name: str) -> Metric:
    """Find a metric by its scorer name; an unknown one is shown as it is."""
    return _METRICS.get(name) or Metric(name, words(name))


def words(name: str) -> str:
    """Turn an identifier into words.

    >>> words("monthly_charges"), words("lightgbm"), words("slice_fairness")
    ('monthly charges', 'LightGBM', 'Slice fairness')
    """
    return _LEARNERS.get(name) or _GATES.get(name) or name.replace("_", " ")


def sentence(text: str) -> str:
    """Begin with a capital letter and end with a full stop.

    >>> sentence("the blend was chosen")
    'The blend was chosen.'
    """
    whole = text[:1].upper() + text[1:]
    return whole if not whole or whole[-1] in ".!?" else f"{whole}."


def number(value: float | None, *, digits: int = 3) -> str:
    """Write a number with ``digits`` decimals below 10, fewer above, and thousands parted; 0 digits round it.

    None and NaN give a dash, negative numbers a true minus sign.

    >>> number(0.84512), number(1234567.0), number(12.345), number(0.0000123), number(31.0, digits=0)
    ('0.845', '1,234,567', '12.35', '1.2e-05', '31')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN is not equal to itself
        return NOTHING
    size = abs(value)
    if size >= 1000 or digits == 0:
        text = f"{size:,.0f}"
    elif size >= 100:
        text = f"{size:.1f}"
    elif size >= 10:
        text = f"{size:.2f}"
    elif size >= 0.001 or size == 0:
        text = f"{size:.{digits}f}"
    else:
        text = f"{size:.1e}"
    negative = value < 0 and any(digit in "123456789" for digit in text)
    return f"{_MINUS}{text}" if negative else text


def signed(value: float | None, *, digits: int = 4) -> str:
    r"""Write a difference with its sign.

    >>> signed(0.0123), signed(-0.5) == "\N{MINUS SIGN}0.5000"
    ('+0.0123', True)
    """
    text = number(value, digits=digits)
    return text if value is None or value < 0 or text == NOTHING else f"+{text}"


def share(value: float | None, *, digits: int = 1) -> str:
    """Write a share in [0, 1] as percent, with a space that does not break.

    >>> share(0.2653).split(), share(1.0, digits=0).split()
    (['26.5', '%'], ['100', '%'])
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN is not equal to itself
        return NOTHING
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%".replace("-", _MINUS)


def count(value: int | None) -> str:
    """Write a whole number with thousands parted.

    >>> count(7043)
    '7,043'
    """
    return NOTHING if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """Write a time span.

    >>> duration(0.0123), duration(12.34), duration(125), duration(3725)
    ('12 ms', '12.3 s', '2 min 5 s', '1 h 2 min')
    """
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def age(seconds: float | None) -> str:
    """Write how long something is away, roughly; the sign is left out.

    >>> age(42), age(600), age(3 * 3600), age(-40 * 3600), age(9.7 * 86400)
    ('42 s', '10 min', '3 h', '40 h', '10 days')
    """
    if seconds is None:
        return NOTHING
    away = abs(seconds)
    for size, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if away >= 2 * size:
            return f"{away / size:.0f} {name}"
    return f"{away:.0f} s"


def instant(at: datetime | None) -> str:
    """Write an instant in UTC to the second; what has no zone is taken as UTC."""
    if at is None:
        return NOTHING
    known = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{known:%Y-%m-%d %H:%M:%S} UTC"


def minute(at: datetime | None) -> str:
    """Write an instant in UTC to the minute, for lists that name the zone once."""
    return NOTHING if at is None else instant(at)[:16]


def bytes_short(digest: str) -> str:
    """Shorten a hash to what tells it from others at a glance."""
    return digest[:12]


def shown(name: str, found: Interval | None) -> str:
    """Write a metric's value with its interval; the value has a digit more, by which close models are told apart.

    >>> shown("neg_log_loss", Interval(-0.41, -0.43, -0.39))
    '0.4100 [0.390, 0.430]'
    """
    if found is None:
        return NOTHING
    known = metric(name)
    turned = known.interval(found)
    if known.unit == "share":
        return f"{share(turned.value)} [{share(turned.low)}, {share(turned.high)}]"
    return f"{number(turned.value, digits=4)} [{number(turned.low)}, {number(turned.high)}]"
