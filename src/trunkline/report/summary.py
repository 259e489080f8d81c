"""What a run came to, in the words of somebody who has to act on it.

Takes the gathered records, gives short texts: a verdict, the headline figures, what changed against the champion, and
the limits within which all of it holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from trunkline.report.content import ReportContent
from trunkline.report.figures import count, metric, number, share, shown, signed, words
from trunkline.train import EvaluateDocument, PairedEvidence

__all__ = ["Tile", "Verdict", "against_champion", "data_since", "justified", "limits", "run_tiles", "tiles", "verdict"]


_NAMED_COLUMNS: Final = 6
"""Columns that have moved and are named in a sentence, the farthest first."""


@dataclass(frozen=True)
class Verdict:
    """The outcome at a glance.

    Attributes:
        tone: How it is to be taken.
        title: A few words.
        text: One or two sentences.
    """

    tone: Literal["good", "bad", "plain"]
    title: str
    text: str


@dataclass(frozen=True)
class Tile:
    """One headline figure.

    Attributes:
        label: What it is.
        value: The figure.
        note: Its interval, or what it rests on.
        meaning: How to read it.
    """

    label: str
    value: str
    note: str = ""
    meaning: str = ""


def verdict(content: ReportContent) -> Verdict:
    """Say how the run ended, and what that means for who answers now."""
    judged = content.evaluation
    if content.state == "failed":
        return Verdict("bad", "The run failed", content.problem or "The log of the run says why.")
    if judged is not None and not judged.passed:
        failed = [words(gate.name) for gate in judged.gates if not gate.passed]
        stays = (
            f"Version {judged.paired.champion} stays the champion." if judged.paired else "No champion was replaced."
        )
        return Verdict("bad", "The candidate was refused", f"It failed {_listed(failed)}. {stays}")
    if content.model is not None and content.model.alias is not None:
        replaced = f", in place of version {content.model.previous}" if content.model.previous else ""
        return Verdict(
            "good",
            f"Version {content.model.version} is the {content.model.alias}",
            f"It passed {_gates(content)}{replaced and ' and answers'}{replaced or ' and answers from now on'}.",
        )
    if content.model is not None:
        return Verdict(
            "plain", f"Registered as version {content.model.version}", "It has no alias yet, so it answers nobody."
        )
    if judged is not None:
        return Verdict("plain", "The candidate passed", f"It passed {_gates(content)} and is not registered yet.")
    if content.training is not None:
        return Verdict("plain", "A candidate was trained", "No gate has judged it yet, so it answers nobody.")
    if content.receipts:
        return Verdict("plain", "Rows were taken in", "Nothing was trained in this run.")
    return Verdict("plain", "Nothing has finished yet", "No step of this run has left a record.")


def _gates(content: ReportContent) -> str:
    gates = content.evaluation.gates if content.evaluation else ()
    if not gates:
        return "without any gate declared"
    return "its only gate" if len(gates) == 1 else f"all {len(gates)} gates"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def against_champion(paired: PairedEvidence | None) -> str:
    """Say what changed against the champion; without one, that this is the first candidate."""
    if paired is None:
        return "There was no champion to compare with: this is the first candidate."
    if paired.same_recipe:
        return (
            f"The recipe is that of version {paired.champion}, and too few rows are new to both models: refitted side "
            "by side they are equal by nature, which says nothing of the two."
        )
    known = metric(paired.metric)
    turn = "worse" if paired.difference < 0 else "better"
    size = f"{signed(paired.difference)} (95 %: {signed(paired.low)} to {signed(paired.high)})"
    where = (
        f"on {count(paired.rows)} rows that neither had seen"
        if paired.unseen
        else f"on {count(paired.rows)} rows, both refitted in the same folds"
    )
    if paired.drawn_by:
        where += f" (interval by {paired.drawn_by})"
    if paired.low > 0 or paired.high < 0:
        return f"{turn.capitalize()} than version {paired.champion} in {known.label}: {size}, {where}."
    return (
        f"As good as version {paired.champion} in {known.label}, as far as chance allows to say: {size}, {where}. "
        "The interval holds zero."
    )


def data_since(judged: EvaluateDocument | None) -> str:
    """Say which columns have moved since the champion was made; nothing where they were not compared."""
    if judged is None or not judged.drift:
        return ""
    compared = len({reading.subject for reading in judged.drift})
    since = f"since the training of version {judged.champion}"
    if not judged.moved:
        return f"No column of {count(compared)} has moved beyond its limit {since}."
    named = [
        f"{words(reading.subject)} ({metric(reading.metric).label} {signed(reading.value or 0.0)})"
        for reading in judged.moved[:_NAMED_COLUMNS]
    ]
    more = len(judged.moved) - len(named)
    rest = [f"{more} more"] if more else []
    return f"Of {count(compared)} columns these have moved beyond their limits {since}: {_listed([*named, *rest])}."


def tiles(content: ReportContent) -> tuple[Tile, ...]:
    """Give the headline figures that the run has."""
    return tuple(_tiles(content))


def _tiles(content: ReportContent) -> Iterator[Tile]:
    yield from _training_tiles(content)
    yield from run_tiles(content)


def _training_tiles(content: ReportContent) -> Iterator[Tile]:
    training = content.of_rows
    if training is not None:
        errors = ("neg_root_mean_squared_error", "neg_mean_absolute_error") if training.task == "regression" else ()
        for name in dict.fromkeys((content.usecase.metric, training.metric, *errors)):
            found = training.metrics.get(name)
            if found is None:
                continue
            known = metric(name)
            value, _, interval = shown(name, found).partition(" [")
            note = (
                f"95 %: {interval.removesuffix(']').replace(', ', ' to ')}, out of fold" if interval else "out of fold"
            )
            yield Tile(known.label, value, note, known.meaning)
        if "ece" in training.metrics and training.curves is not None:
            yield Tile(
                metric("ece").label,
                number(training.metrics["ece"].value, digits=4),
                f"by chance alone up to {number(training.curves.ece_noise.quantile_95, digits=4)}",
                "How far stated probabilities lie from what came true, on average.",
            )
        if training.curves is not None and training.champion.threshold is not None:
            yield from _decision_tile(content)


def run_tiles(content: ReportContent) -> Iterator[Tile]:
    """Give the figures that runs of every kind have: rows read, rows answered."""
    if content.receipts:
        read = sum(receipt.read for receipt in content.receipts)
        refused = sum(receipt.quarantined for receipt in content.receipts)
        yield Tile(
            "Rows read",
            count(read),
            f"{count(refused)} in quarantine",
            "Rows that break their contract are kept apart with all their reasons.",
        )
    if content.predictions is not None:
        decided = content.predictions.decided
        yield Tile(
            "Rows scored",
            count(content.predictions.rows),
            f"{count(decided)} picked" if decided is not None else f"mean {number(content.predictions.mean_score)}",
            f"By version {content.predictions.model_version}.",
        )


def _decision_tile(content: ReportContent) -> Iterator[Tile]:
    training = content.of_rows
    assert training is not None
    assert training.curves is not None
    confusion = training.curves.confusion
    picked = confusion.true_positives + confusion.false_positives
    rows = picked + confusion.true_negatives + confusion.false_negatives
    positives = confusion.true_positives + confusion.false_negatives
    if rows and positives and picked:
        yield Tile(
            "Picked",
            share(picked / rows),
            f"at the threshold; finds {share(confusion.true_positives / positives, digits=0)} of the positives",
            f"Of those picked, {share(confusion.true_positives / picked, digits=0)} are right.",
        )
    profit, threshold = training.curves.profit, training.champion.threshold
    if profit is not None and profit.points and threshold is not None:
        chosen = min(profit.points, key=lambda point: (abs(point.threshold - threshold), point.share))
        yield Tile(
            "Profit per 1,000 rows",
            number(1000 * chosen.profit_per_row, digits=0),
            "at the threshold, out of fold",
            f"Contacting everybody would earn {number(1000 * profit.points[-1].profit_per_row, digits=0)}.",
        )


def justified(content: ReportContent) -> dict[str, str]:
    """Give the columns that may post-date the prediction, with the reason, as far as the model reads them."""
    read = None if content.info is None else set(content.info.columns)
    return {name: why for name, why in content.usecase.justified.items() if read is None or name in read}


def limits(content: ReportContent) -> tuple[str, ...]:
    """Give the limits of validity that follow from what was done."""
    return tuple(_limits(content))


def _limits(content: ReportContent) -> Iterator[str]:
    training = content.of_rows
    if training is None:
        return
    yield (
        f"All figures hold for rows like the {count(training.rows.train + training.rows.test)} it was judged on; "
        "drift readings say when rows stop being like them."
    )
    if content.simulated:
        best = f" The best score possible on them is {number(content.best_score)}." if content.best_score else ""
        yield (
            "The rows come from the simulator: the figures say that the method works, not how it does on real "
            f"rows.{best}"
        )
    if training.split.startswith("random"):
        yield (
            "Rows were parted at random, not by time: if behaviour changes over time, figures in operation will be "
            "lower."
        )
    small = [
        f"{words(column)} = {part.name or 'no value'}"
        for column, found in training.slices.items()
        for part in found.slices
        if part.too_small
    ]
    if small:
        yield f"Too few rows to judge these slices: {_listed(small[:8])}{' and others' if len(small) > 8 else ''}."
    if any(tuning.ceiling_hit for tuning in training.tuning):
        yield "A search was ended by its time ceiling: the same rows may give another model on another machine."
    if justified(content):
        yield (
            "Some columns may be written after the moment of prediction; each has a stated reason below. Where that "
            "reason does not hold, leave the column out."
        )
    yield "Importances and reasons say what the model uses. They are no proof of what causes the outcome."
