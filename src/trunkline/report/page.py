"""Renders the page of one run: a pure function of its records.

Takes a :class:`~trunkline.report.content.ReportContent`, gives one HTML text that needs neither network nor scripts.
The same content gives the same bytes: no clock, no random ids, drawings included. Every text from data is escaped.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from trunkline.contracts.records import Reading, Receipt
from trunkline.report import charts, figures, series, summary
from trunkline.report.content import ReportContent
from trunkline.report.drawing import Chart, draw
from trunkline.tasks.learners import Parameter
from trunkline.tasks.preprocessing import Preprocessing
from trunkline.tasks.report import TrainingReport, Trial, TuningReport

if TYPE_CHECKING:
    import jinja2

__all__ = ["SECTIONS", "TEMPLATES", "environment", "render", "style"]

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
"""Folder of the templates and of the style sheet that the console shares."""

SECTIONS: Final = (
    ("summary", "Summary"),
    ("model-card", "Model card"),
    ("learners", "Learners compared"),
    ("quality", "Quality of the champion"),
    ("slices", "Slices"),
    ("features", "Features and leakage"),
    ("tuning", "Tuning"),
    ("monitoring", "Monitoring"),
    ("data", "Data"),
    ("lineage", "Lineage"),
)
"""Anchor and title of each section; all are on every page, with a sentence where the run has nothing to say."""

_QUALITY_CHARTS: Final = (
    "roc",
    "precision_recall",
    "reliability",
    "profit",
    "gains",
    "predicted_true",
    "residuals",
    "residual_histogram",
)
_LEARNER_METRICS: Final = ("roc_auc", "average_precision", "neg_log_loss", "neg_brier_score", "f1")


@dataclass(frozen=True)
class Layout:
    """What the page of a kind of learning is put together from.

    Attributes:
        sections: Anchor and title of each section, in order.
        charts: Drawings of the training and of what was answered.
        facts: What its sections read beside the content.
    """

    sections: tuple[tuple[str, str], ...]
    charts: Callable[[ReportContent], Iterable[Chart]]
    facts: Callable[[ReportContent], Mapping[str, object]]


def render(content: ReportContent) -> str:
    """Render the page of a run.

    Args:
        content: The records of the run; any step may be missing.

    Returns:
        A complete HTML document.
    """
    layout = _layout(content)
    wanted = [*charts.monitoring_charts(content.readings, metric_name=content.usecase.metric), *layout.charts(content)]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            content=content,
            sections=layout.sections,
            style=style(),
            drawings={chart.name: draw(chart) for chart in wanted},
            verdict=summary.verdict(content),
            justified=summary.justified(content),
            against_champion=summary.against_champion(content.evaluation.paired if content.evaluation else None),
            data_since=summary.data_since(content.evaluation),
            reading_tables=_reading_tables(content.readings),
            lineage_tables=_lineage_tables(content),
            **layout.facts(content),
        )
    )


def _layout(content: ReportContent) -> Layout:
    """The layout of the kind of task; that of rows where nothing was learned."""
    kind = content.training.task if content.training is not None else "classification"
    return _LAYOUTS[kind]


def _row_charts(content: ReportContent) -> Iterable[Chart]:
    return () if content.of_rows is None else charts.training_charts(content.of_rows)


def _row_facts(content: ReportContent) -> Mapping[str, object]:
    training = content.of_rows
    return {
        "tiles": summary.tiles(content),
        "limits": summary.limits(content),
        "quality_charts": _QUALITY_CHARTS,
        "learner_metrics": _learner_metrics(training),
        "main_learner": _main_learner(training),
        "target_unit": content.usecase.field(training.label).unit if training else "",
    }


@cache
def _environment() -> "jinja2.Environment":
    return environment(TEMPLATES)


def environment(*folders: Path) -> "jinja2.Environment":
    """Give a template environment: everything escaped, nothing undefined tolerated.

    Args:
        folders: Where templates are looked for, in this order.
    """
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": figures.number,
        "signed": figures.signed,
        "share": figures.share,
        "count": figures.count,
        "duration": figures.duration,
        "age": figures.age,
        "instant": figures.instant,
        "minute": figures.minute,
        "words": figures.words,
        "short": figures.bytes_short,
        "label": lambda name: figures.metric(name).label,
        "parameter": parameter,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "sentence": figures.sentence,
    }
    made.globals |= {
        "shown": figures.shown,
        "metric": figures.metric,
        "figure": lambda name, value: figures.metric(name).text(value),
        "reasons": reasons,
        "listed": listed,
        "preparation": _preparation,
        "best_trial": _best_trial,
    }
    return made


def style() -> Markup:
    """Read the style sheet, ready to stand in a ``<style>`` element."""
    return Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


def _learner_metrics(training: TrainingReport | None) -> tuple[str, ...]:
    """Metrics of the comparison: the headline first, then the usual ones, or all of a regression."""
    if training is None:
        return ()
    known = dict.fromkeys(name for learner in training.learners for name in learner.scores)
    wanted = list(known) if training.task == "regression" else [name for name in _LEARNER_METRICS if name in known]
    head = [training.metric] if training.metric in known else []
    return tuple(dict.fromkeys([*head, *wanted]))


def _main_learner(training: TrainingReport | None) -> str:
    if training is None or not training.champion.weights:
        return ""
    return max(training.champion.weights, key=lambda name: training.champion.weights[name])


def _reading_tables(readings: Sequence[Reading]) -> tuple[tuple[str, tuple[Reading, ...]], ...]:
    families = (
        ("Drift of features and score", ("drift", "score_drift")),
        ("Performance, measured and estimated", ("performance", "estimate")),
        ("Freshness and volume", ("freshness", "volume")),
    )
    return tuple(
        (
            title,
            tuple(
                sorted(
                    (reading for reading in readings if reading.family in kinds),
                    key=lambda reading: (
                        reading.family != "score_drift",
                        reading.subject,
                        reading.metric != "psi",
                        reading.metric,
                    ),
                )
            ),
        )
        for title, kinds in families
    )


def _lineage_tables(content: ReportContent) -> tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]:
    lineage = content.lineage
    return (
        ("Lake tables", "Table", "Version", _pairs((name, str(v)) for name, v in lineage.table_versions.items())),
        (
            "Contracts",
            "Dataset",
            "Fingerprint",
            _pairs((name, figures.bytes_short(v)) for name, v in lineage.contract_fingerprints.items()),
        ),
        ("Packages", "Package", "Version", _pairs(lineage.packages.items())),
        (
            "Steps",
            "Step",
            "Time",
            tuple((step.step, figures.duration(step.seconds)) for step in content.steps),
        ),
        (
            "Phases of training",
            "Phase",
            "Time",
            tuple((figures.words(name), figures.duration(s)) for name, s in content.training.seconds.items())
            if content.training
            else (),
        ),
    )


def _pairs(items: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(items))


def reasons(receipt: Receipt) -> tuple[tuple[str, int], ...]:
    """Read the reasons of a receipt, the most frequent first."""
    found = json.loads(receipt.reasons or "{}")
    return tuple(sorted(((str(name), int(rows)) for name, rows in found.items()), key=lambda pair: (-pair[1], pair[0])))


def listed(text: str) -> tuple[str, ...]:
    """Read a JSON list of names."""
    return tuple(str(name) for name in json.loads(text or "[]"))


def parameter(value: Parameter) -> str:
    """Write a parameter shortly."""
    return f"{value + 0.0:.4g}" if isinstance(value, float) else str(value)  # + 0.0: no "-0"


def _best_trial(tuning: TuningReport) -> Trial | None:
    return next((trial for trial in tuning.trials if trial.number == tuning.best), None)


def _preparation(prepared: Preprocessing) -> str:
    """Say what is done beyond imputing, encoding, limiting and scaling."""
    said = []
    if prepared.bins:
        said.append(f"{prepared.bins} quantile bins of {', '.join(prepared.bins_of) or 'numbers'}")
    if prepared.interactions:
        said.append("products of pairs")
    if prepared.pca_share is not None:
        said.append(f"principal components with {figures.share(prepared.pca_share, digits=0)} of the variance")
    if prepared.select is not None:
        said.append(
            f"best {prepared.select:.0f} columns" if prepared.select >= 1 else f"columns with p < {prepared.select:g}"
        )
    if prepared.only:
        said.append(f"only {', '.join(prepared.only)}")
    if prepared.without:
        said.append(f"without {', '.join(prepared.without)}")
    return "; ".join(said) or figures.NOTHING


_ROWS: Final = Layout(SECTIONS, _row_charts, _row_facts)
_LAYOUTS: Final[Mapping[str, Layout]] = {
    "classification": _ROWS,
    "regression": _ROWS,
    "forecasting": Layout(series.SECTIONS, series.charts_of, series.facts_of),
}
