"""How well scores find labelled ranges of a series: VUS-PR and the NAB score. Never point-adjusted F1.

Point adjustment counts a whole range as found when one point of it is, so random scores do well on long ranges (Kim et
al. 2022, doi:10.1609/aaai.v36i7.20680); it is not offered here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from trunkline.tasks.anomaly.grouped import Floats, Ints

__all__ = ["NabProfile", "NabScore", "Ranged", "nab_score", "probation", "ranges_of", "vus_pr"]

_THRESHOLDS: Final = 250
_PROBATION_SHARE: Final = 0.15
_MOST_PROBATION_ROWS: Final = 5_000
_STEEPNESS: Final = 5.0
_FAR: Final = 3.0
_CANDIDATES: Final = 200


def ranges_of(labels: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Give first and last place of each run of labelled rows.

    >>> ranges_of(np.array([False, True, True, False, True]))
    [(1, 2), (4, 4)]
    """
    padded = np.concatenate(([0], np.asarray(labels, np.int8), [0]))
    steps = np.diff(padded)
    return list(zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) - 1).tolist(), strict=True))


def vus_pr(labels: npt.NDArray[np.bool_], scores: Floats, *, buffer: int = 100) -> float:
    """Volume under the surface of precision and recall, over thresholds and widths of the buffer around each range.

    Labels fade beside a range over half a buffer, so that an early or late score is worth something; recall is weighted
    with the share of ranges of which anything was found. Source: Paparrizos et al. (2022),
    doi:10.14778/3551793.3551830, with their 250 thresholds.

    Args:
        labels: True inside a labelled range, shape (rows,), at least one.
        scores: Larger is odder, shape (rows,).
        buffer: Largest buffer (rows); every width from 0 on is averaged.

    Raises:
        ValueError: No row is labelled, or shapes differ.

    >>> labels = np.array([False] * 50 + [True] * 5 + [False] * 45)
    >>> round(vus_pr(labels, labels * 1.0, buffer=0), 3), round(vus_pr(labels, 1.0 - labels, buffer=0), 3)
    (1.0, 0.025)
    """
    if labels.shape != scores.shape or not labels.any():
        raise ValueError("labels and scores have one shape, and some row is labelled")
    count = len(scores)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    cuts = ranked[np.linspace(0, count - 1, _THRESHOLDS).astype(np.int64)]
    predicted = np.searchsorted(-ranked, -cuts, side="right")  # rows at or above the cut
    areas = [
        _area(_faded(labels, width), float(labels.sum()), scores, order, cuts, predicted) for width in range(buffer + 1)
    ]
    return float(np.mean(areas))


def _faded(labels: npt.NDArray[np.bool_], width: int) -> Floats:
    weights = labels.astype(np.float64)
    if width == 0:
        return weights
    for first, last in ranges_of(labels):
        after = np.arange(last, min(last + width // 2, len(labels)))
        weights[after] += np.sqrt(1 - (after - last) / width)
        before = np.arange(max(first - width // 2, 0), first)
        weights[before] += np.sqrt(1 - (first - before) / width)
    return np.minimum(weights, 1.0)


def _area(weights: Floats, labelled: float, scores: Floats, order: Ints, cuts: Floats, predicted: Ints) -> float:
    """Area under precision by recall for one width, by trapezes as the reference has them."""
    hits = np.cumsum(weights[order])[predicted - 1]
    recall = np.minimum(hits / ((labelled + weights.sum()) / 2), 1.0)
    highest = np.sort([scores[first : last + 1].max() for first, last in ranges_of(weights > 0)])
    found = len(highest) - np.searchsorted(highest, cuts, side="left")
    rates = np.concatenate(([0.0], recall * found / len(highest)))
    precision = np.concatenate(([1.0], hits / predicted))
    return float(np.sum(np.diff(rates) * (precision[1:] + precision[:-1]) / 2))


@dataclass(frozen=True)
class NabProfile:
    """What detections are worth; the default is NAB's standard profile.

    Attributes:
        hit: Of a window that is found at its very beginning.
        false: Of a detection outside of windows, taken away.
        miss: Of a window that is not found, taken away.
    """

    hit: float = 1.0
    false: float = 0.11
    miss: float = 1.0


@dataclass(frozen=True)
class Ranged:
    """A series with its scores and labelled windows.

    Attributes:
        scores: Larger is odder, shape (rows,).
        windows: First and last place of each window, in order.
    """

    scores: Floats
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class NabScore:
    """The NAB score of a detector over some series.

    Attributes:
        score: 100 for finding every window at its beginning and nothing else, 0 for finding nothing; may be negative.
        threshold: One for all series, the best of them, as NAB chooses it.
        found: Windows found.
        windows: Windows there are.
        false: Detections outside of windows.
    """

    score: float
    threshold: float
    found: int
    windows: int
    false: int


def probation(rows: int) -> int:
    """Rows at the begin of a series that are not judged: 15 % of it, of 5,000 rows at most.

    >>> probation(4_000), probation(22_000)
    (600, 750)
    """
    return int(_PROBATION_SHARE * min(rows, _MOST_PROBATION_ROWS))


def nab_score(series: Sequence[Ranged], *, profile: NabProfile = NabProfile()) -> NabScore:
    """Score detections by how early in a window they are.

    Of a window the earliest detection counts, by a sigmoid of its place; a detection outside costs the more, the
    farther it is behind the last window. Source: Lavin and Ahmad (2015), doi:10.1109/ICMLA.2015.141. The one threshold
    is the best over all series, as NAB has it: it says what the scores allow, not what a choice beforehand gives.

    Args:
        series: The series; their first rows (:func:`probation`) are not judged.
        profile: What detections are worth.

    Raises:
        ValueError: There is no window.
    """
    windows = sum(len(one.windows) for one in series)
    if not windows:
        raise ValueError("some series has a window")
    pieces = [_pieces(one, profile) for one in series]
    judged = np.concatenate([one.scores[probation(len(one.scores)) :] for one in series])
    candidates = np.unique(np.quantile(judged, 1 - np.geomspace(1e-5, 0.5, _CANDIDATES)))
    best = NabScore(-np.inf, np.inf, 0, windows, 0)
    least, span = -profile.miss * windows, (profile.hit + profile.miss) * windows
    for threshold in (*candidates.tolist(), np.inf):
        raw, found, false = 0.0, 0, 0
        for outside, costs, inside in pieces:
            odd = outside >= threshold
            raw -= float(costs[odd].sum())
            false += int(odd.sum())
            for scores, worth in inside:
                at = np.flatnonzero(scores >= threshold)
                raw += float(worth[at[0]]) if len(at) else -profile.miss
                found += bool(len(at))
        score = 100 * (raw - least) / span
        if score > best.score:
            best = NabScore(score, float(threshold), found, windows, false)
    return best


def _pieces(one: Ranged, profile: NabProfile) -> tuple[Floats, Floats, list[tuple[Floats, Floats]]]:
    """Scores outside of windows with what each would cost, and scores of each window with what each is worth."""
    count, begin = len(one.scores), probation(len(one.scores))
    is_outside = np.arange(count) >= begin
    costs = np.full(count, profile.false)
    inside = []
    for first, last in one.windows:
        width = last - first + 1
        places = np.arange(first, last + 1)
        worth = _sigmoid(-(last - places + 1) / width) / _sigmoid(np.array([-1.0]))[0] * profile.hit
        is_outside[first : last + 1] = False
        kept = places >= begin
        inside.append((one.scores[first : last + 1][kept], worth[kept]))
        behind = np.arange(last + 1, count)
        costs[behind] = -_sigmoid((behind - last) / max(width - 1, 1)) * profile.false
    return one.scores[is_outside], costs[is_outside], inside


def _sigmoid(place: Floats) -> Floats:
    """From 1 before a window's end to -1 behind it, 0 at its end."""
    return np.where(place > _FAR, -1.0, 2 / (1 + np.exp(_STEEPNESS * np.minimum(place, _FAR))) - 1)
