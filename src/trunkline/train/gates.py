"""The gates: evidence against declared conditions, one result each.

Pure: takes the gates as data and the gathered evidence as values, gives results. A gate that does not apply (no
champion to compare with, no slices declared) passes and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import assert_never

from pydantic import BaseModel, ConfigDict

from trunkline.contracts.records import Reading
from trunkline.errors import UseCaseError
from trunkline.spec import (
    BeatsBaselines,
    Calibrated,
    CoverageWithin,
    FairDecisions,
    FairSlices,
    Gate,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
)
from trunkline.tasks import AnyReport, ForecastReport, TrainingReport

__all__ = ["EvaluateDocument", "Evidence", "GateResult", "PairedEvidence", "judge"]


class GateResult(BaseModel):
    """The verdict of one gate.

    Attributes:
        name: The gate's name.
        passed: Whether the candidate passed.
        value: The number that was judged; None where the gate did not apply.
        limit: What it was held against.
        detail: One sentence for people.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    value: float | None
    limit: float | None
    detail: str


class PairedEvidence(BaseModel):
    """Candidate against champion on the same rows.

    Attributes:
        metric: Scorer name.
        champion: Version of the champion.
        difference: Candidate minus champion; positive where the candidate is better.
        low: Lower end of the interval of the difference.
        high: Upper end of it.
        rows: Rows compared on.
        unseen: True: rows that neither had seen. False: both were refitted in the same folds.
        same_recipe: Both were refitted by one recipe, so that the difference is zero whatever the models are worth.
        drawn_by: By what the interval was drawn, in words, e.g. ``whole cell_name``; empty in records of versions that
            did not note it.
    """

    model_config = ConfigDict(frozen=True)

    metric: str
    champion: str
    difference: float
    low: float
    high: float
    rows: int
    unseen: bool
    same_recipe: bool = False
    drawn_by: str = ""


class EvaluateDocument(BaseModel):
    """What the evaluation step found.

    Attributes:
        gates: One result per declared gate.
        passed: Whether all passed.
        paired: The comparison with the champion; None for the first candidate.
        champion: Version that was live when the candidate was judged; None when there was none.
        drift: The rows that the candidate was made of, column by column against those that the champion was made of;
            empty without a champion. They decide nothing, and no alert is raised of them.
    """

    model_config = ConfigDict(frozen=True)

    gates: tuple[GateResult, ...]
    passed: bool
    paired: PairedEvidence | None
    champion: str | None = None
    drift: tuple[Reading, ...] = ()

    @property
    def moved(self) -> tuple[Reading, ...]:
        """What of the drift is beyond its limit, the farthest beyond it first."""

        def times_its_limit(reading: Reading) -> float:
            return abs(reading.value or 0.0) / reading.limit if reading.limit else inf

        crossed = [reading for reading in self.drift if reading.crossed]
        return tuple(sorted(crossed, key=lambda reading: (-times_its_limit(reading), reading.subject)))


@dataclass(frozen=True)
class Evidence:
    """Everything the gates look at.

    Attributes:
        report: The candidate's training report.
        paired: The comparison with the champion, by metric; empty for the first candidate.
        ceiling: Best score possible on these rows, where a simulator knows it.
    """

    report: AnyReport
    paired: Mapping[str, PairedEvidence] = field(default_factory=dict)
    ceiling: float | None = None

    @property
    def rows(self) -> TrainingReport:
        """The report of a task over rows.

        Raises:
            UseCaseError: The task learns something else, so a gate that speaks of rows cannot judge it.
        """
        if not isinstance(self.report, TrainingReport):
            raise _wrong_gate(self.report.task, "rows")
        return self.report

    @property
    def series(self) -> ForecastReport:
        """The report of a task over series.

        Raises:
            UseCaseError: As ``rows``.
        """
        if not isinstance(self.report, ForecastReport):
            raise _wrong_gate(self.report.task, "series")
        return self.report


def _wrong_gate(task: str, speaks_of: str) -> UseCaseError:
    return UseCaseError(
        f"a gate that speaks of {speaks_of} cannot judge a task of {task}",
        next_step="declare gates of the task's kind (trunkline.spec)",
    )


def judge(gates: Sequence[Gate], evidence: Evidence) -> tuple[GateResult, ...]:
    """Hold the evidence against each gate, in order."""
    return tuple(_judge(gate, evidence) for gate in gates)


def _judge(gate: Gate, evidence: Evidence) -> GateResult:  # noqa: PLR0911 - one case a gate
    match gate:
        case MinimumMetric():
            return _minimum_metric(gate, evidence)
        case NotWorseThanChampion():
            return _not_worse(gate, evidence)
        case Calibrated():
            return _calibrated(gate, evidence)
        case FairSlices():
            return _fair_slices(gate, evidence)
        case FairDecisions():
            return _fair_decisions(gate, evidence)
        case NoLeakage():
            return _no_leakage(gate, evidence)
        case OnnxEqual():
            equality = evidence.rows.equality
            compared = sum(equality.rows.values())
            return _at_most(
                gate.name, equality.largest_difference, gate.limit, f"largest difference over {compared} rows"
            )
        case BeatsBaselines():
            return _beats_baselines(gate, evidence)
        case CoverageWithin():
            return _coverage(gate, evidence)
        case Latency():
            said = "99th percentile of one row, microseconds"
            return _at_most(gate.name, evidence.rows.latency.p99_us, gate.p99_us, said)
        case _:
            assert_never(gate)


def _at_most(name: str, value: float, limit: float, detail: str) -> GateResult:
    return GateResult(name=name, passed=value <= limit, value=value, limit=limit, detail=detail)


def _not_applicable(name: str, why: str, limit: float | None = None) -> GateResult:
    return GateResult(name=name, passed=True, value=None, limit=limit, detail=why)


def _minimum_metric(gate: MinimumMetric, evidence: Evidence) -> GateResult:
    found = evidence.report.metrics.get(gate.metric)
    if found is None:
        return GateResult(
            name=gate.name, passed=False, value=None, limit=gate.limit, detail=f"{gate.metric} was not measured"
        )
    return GateResult(
        name=gate.name,
        passed=found.value >= gate.limit,
        value=found.value,
        limit=gate.limit,
        detail=f"out-of-fold {gate.metric} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}]",
    )


def _not_worse(gate: NotWorseThanChampion, evidence: Evidence) -> GateResult:
    paired = evidence.paired.get(gate.metric)
    if paired is None:
        return _not_applicable(gate.name, f"{gate.metric}: there is no champion yet", 0.0 - gate.tolerance)
    if paired.same_recipe:
        return GateResult(
            name=gate.name,
            passed=gate.on_thin_evidence == "pass",
            value=None,
            limit=0.0 - gate.tolerance,
            detail=f"{gate.metric}, inconclusive: same recipe refitted on {paired.rows} rows, which says nothing of "
            "the two models; "
            f"fewer labelled rows than needed are new to candidate and version {paired.champion}",
        )
    where = "rows neither has seen" if paired.unseen else "rows of the same folds, both refitted"
    drawn = f", interval by {paired.drawn_by}" if paired.drawn_by else ""
    worse = paired.high < 0.0 - gate.tolerance
    loss = gate.tolerance + gate.margin
    thin = not worse and paired.low < -loss
    said = f"; inconclusive: a loss of more than {loss:g} cannot be excluded" if thin else ""
    return GateResult(
        name=gate.name,
        passed=not worse and not (thin and gate.on_thin_evidence == "refuse"),
        value=paired.difference,
        limit=0.0 - gate.tolerance,
        detail=f"{gate.metric} {paired.difference:+.4f} [{paired.low:+.4f}, {paired.high:+.4f}] against version "
        f"{paired.champion} on {paired.rows} {where}{drawn}{said}",
    )


def _beats_baselines(gate: BeatsBaselines, evidence: Evidence) -> GateResult:
    report = evidence.series
    name = f"{gate.name}_h{gate.horizon}"
    wanted = [one for one in report.baselines if one.name in gate.baselines and len(one.mase) >= gate.horizon]
    if not wanted:
        return _not_applicable(name, "no baseline could be computed", 1.0 - gate.margin)
    worst = max(wanted, key=lambda one: one.ours[gate.horizon - 1] / one.mase[gate.horizon - 1])
    ours, theirs = worst.ours[gate.horizon - 1], worst.mase[gate.horizon - 1]
    said = f"MASE {ours:.3f} against {theirs:.3f} of {worst.name}, {gate.horizon} h ahead, {worst.origins} origins"
    return _at_most(name, ours / theirs, 1.0 - gate.margin, said)


def _coverage(gate: CoverageWithin, evidence: Evidence) -> GateResult:
    found = evidence.series.metrics.get(gate.metric)
    if found is None:
        return _not_applicable(gate.name, f"{gate.metric} was not measured", gate.low)
    return GateResult(
        name=gate.name,
        passed=gate.low <= found.value <= gate.high,
        value=found.value,
        limit=gate.low if found.value < gate.low else gate.high,
        detail=f"{gate.metric} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] within {gate.low} to {gate.high}",
    )


def _calibrated(gate: Calibrated, evidence: Evidence) -> GateResult:
    found = evidence.report.metrics.get("ece")
    if found is None:
        return _not_applicable(gate.name, "this task gives no probabilities", gate.limit)
    noise = evidence.rows.curves.ece_noise if evidence.rows.curves else None
    limit = max(gate.limit, noise.quantile_95 if noise else 0.0)
    floor = f"; noise floor {noise.mean:.4f}, 95 % below {noise.quantile_95:.4f}" if noise else ""
    return _at_most(gate.name, found.value, limit, f"expected calibration error, 10 equal-mass bins{floor}")


def _fair_slices(gate: FairSlices, evidence: Evidence) -> GateResult:
    whole = evidence.report.metrics.get(gate.metric)
    judged = [
        (column, part, found)
        for column, report in evidence.rows.slices.items()
        for part in report.slices
        if (found := getattr(part, gate.metric)) is not None and not part.too_small
    ]
    if not judged or whole is None:
        return _not_applicable(gate.name, "no slice is declared and large enough", gate.max_gap)
    column, worst, found = min(judged, key=lambda one: one[2].high)
    return _at_most(
        gate.name,
        whole.value - found.high,
        gate.max_gap,
        f"shortfall of the upper bound of {gate.metric} where {column} = {worst.name}, worst of {len(judged)} slices",
    )


def _fair_decisions(gate: FairDecisions, evidence: Evidence) -> GateResult:
    gaps = [
        (gap.low / limit if limit else (inf if gap.low > 0 else 0.0), said, column, gap, limit)
        for column, report in evidence.rows.fairness.items()
        if not gate.explained.get(column)
        for said, gap, limit in (
            ("equalised odds", report.equalised_odds_gap, gate.max_odds_gap),
            ("selection rates", report.demographic_parity_gap, gate.max_selection_gap),
        )
        if gap is not None
    ]
    explained = [
        f"{name} is explained: {why}" for name, why in gate.explained.items() if name in evidence.rows.fairness
    ]
    if not gaps:
        return _not_applicable(gate.name, "; ".join(["no two slices are large enough", *explained]), gate.max_odds_gap)
    _, said, column, gap, limit = max(gaps, key=lambda one: one[0])
    detail = f"gap of {said} by {column} {gap.value:.3f} [{gap.low:.3f}, {gap.high:.3f}]; the lower end is judged"
    return _at_most(gate.name, gap.low, limit, "; ".join([detail, *explained]))


def _no_leakage(gate: NoLeakage, evidence: Evidence) -> GateResult:
    single = evidence.rows.leakage
    ceiling = gate.ceiling if gate.ceiling is not None else evidence.ceiling
    found = evidence.report.metrics.get(gate.metric)
    if ceiling is not None and found is not None and found.low > ceiling:
        return GateResult(
            name=gate.name,
            passed=False,
            value=found.value,
            limit=ceiling,
            detail=f"{gate.metric} is above the best score possible",
        )
    if gate.too_good is not None and found is not None and found.value > gate.too_good and not gate.explained:
        knows = sorted(single.scores.items(), key=lambda one: (-one[1], one[0]))[:3]
        named = ", ".join(f"{name} ({score:.2f} alone)" for name, score in knows)
        return GateResult(
            name=gate.name,
            passed=False,
            value=found.value,
            limit=gate.too_good,
            detail=f"{gate.metric} is too good to be true until somebody explains it; look first at {named}",
        )
    if not single.strongest:
        return _not_applicable(gate.name, "no feature could be judged alone", gate.max_single_feature)
    detail = f"strongest single feature is {single.strongest}"
    if gate.explained and gate.too_good is not None and found is not None and found.value > gate.too_good:
        detail += f"; {gate.metric} {found.value:.3f} is above {gate.too_good:g}, explained: {gate.explained}"
    return _at_most(gate.name, single.score, gate.max_single_feature, detail)
