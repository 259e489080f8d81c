"""Who is trained on and who is judged: the test set and the folds of cross-validation, as row numbers.

Takes a target and, where declared, groups or an order in time; gives row numbers. Rows of one group never stand on both
sides of a split; with an order in time nothing is judged by a model that has seen later rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trunkline.errors import LabelError
from trunkline.tasks.base_matrix import Floats

__all__ = ["Fold", "Places", "Structure", "make_folds", "refuse_few", "split_off"]

Places = npt.NDArray[np.int64]
"""Row numbers, ascending."""


@dataclass(frozen=True)
class Structure:
    """What stands between rows and a random split.

    Attributes:
        stratified: Whether the target is a class whose shares every part should have.
        groups: Group number of each row, shape (rows,); None where rows are independent.
        order: Position in time of each row, shape (rows,); None where time does not matter.
    """

    stratified: bool
    groups: Places | None = None
    order: Floats | None = None

    def of(self, rows: Places) -> "Structure":
        """Give the structure of some rows."""
        return Structure(
            self.stratified,
            None if self.groups is None else self.groups[rows],
            None if self.order is None else self.order[rows],
        )


@dataclass(frozen=True)
class Fold:
    """One fit and the rows it is judged on.

    Attributes:
        repeat: Number of the repetition, from 0.
        number: Number of the fold in it, from 0.
        train: Rows to fit on.
        judge: Rows to judge on.
    """

    repeat: int
    number: int
    train: Places
    judge: Places


def split_off(target: Floats, *, share: float, structure: Structure, seed: int) -> tuple[Places, Places]:
    """Set rows aside for the last report.

    Args:
        target: Shape (rows,).
        share: Share of the rows (of the groups) to set aside, in (0, 1).
        structure: Groups and order.
        seed: Seed of the draw; without effect where time decides.

    Returns:
        Training rows and test rows.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, train_test_split

    rows = np.arange(len(target))
    if structure.order is not None:
        ordered = np.argsort(structure.order, kind="stable")
        first = len(rows) - max(1, round(share * len(rows)))
        if structure.groups is not None:
            later = np.isin(structure.groups, structure.groups[ordered[first:]])
            return rows[~later], rows[later]
        return np.sort(ordered[:first]), np.sort(ordered[first:])
    if structure.groups is not None:
        kind = StratifiedGroupKFold if structure.stratified else GroupKFold
        parts = kind(n_splits=max(2, round(1 / share)), shuffle=True, random_state=seed)
        train, test = next(iter(parts.split(rows.reshape(-1, 1), target, structure.groups)))
        return np.sort(train), np.sort(test)
    train, test = train_test_split(
        rows, test_size=share, random_state=seed, stratify=target if structure.stratified else None
    )
    return np.sort(train), np.sort(test)


def make_folds(target: Floats, *, folds: int, repeats: int, structure: Structure, seed: int) -> list[Fold]:
    """Cut rows into folds.

    Args:
        target: Shape (rows,).
        folds: Parts per repetition, at least 2.
        repeats: Repetitions with other cuts; 1 where time decides.
        structure: Groups and order.
        seed: Seed of the first repetition.

    Returns:
        ``folds * repeats`` folds; without groups and order those of scikit-learn's ``RepeatedStratifiedKFold`` (or
        ``RepeatedKFold``) with that ``random_state``. With an order in time the earliest part is trained on only.

    Raises:
        LabelError: There are fewer groups than folds.
    """
    if structure.groups is not None and len(np.unique(structure.groups)) < folds:
        raise LabelError(
            f"{folds} folds need at least {folds} groups, and there are {len(np.unique(structure.groups))}",
            next_step="declare fewer folds",
        )
    return [
        Fold(position // folds, position % folds, np.sort(train), np.sort(judge))
        for position, (train, judge) in enumerate(_cut(target, folds, repeats, structure, seed))
    ]


def _cut(target: Floats, folds: int, repeats: int, structure: Structure, seed: int) -> Iterator[tuple[Places, Places]]:
    from sklearn.model_selection import (
        GroupKFold,
        RepeatedKFold,
        RepeatedStratifiedKFold,
        StratifiedGroupKFold,
        TimeSeriesSplit,
    )

    rows = np.arange(len(target))
    if structure.order is not None:
        ordered = np.argsort(structure.order, kind="stable")
        for train, judge in TimeSeriesSplit(n_splits=folds).split(ordered):
            earlier, later = ordered[train], ordered[judge]
            if structure.groups is not None:
                earlier = earlier[~np.isin(structure.groups[earlier], structure.groups[later])]
            yield earlier, later
        return
    if structure.groups is not None:
        kind = StratifiedGroupKFold if structure.stratified else GroupKFold
        for repeat in range(repeats):
            parts = kind(n_splits=folds, shuffle=True, random_state=seed + repeat)
            yield from parts.split(rows, target, structure.groups)
        return
    plain = RepeatedStratifiedKFold if structure.stratified else RepeatedKFold
    yield from plain(n_splits=folds, n_repeats=repeats, random_state=seed).split(rows, target)


def refuse_few(target: Floats, *, folds: int, test_share: float, label: str) -> None:
    """Refuse a label with too few rows of a class for the folds and the test set.

    Raises:
        LabelError: A class is missing, or too rare.
    """
    counts = {name: int((target == value).sum()) for value, name in ((0.0, "false"), (1.0, "true"))}
    for name, count in counts.items():
        if count == 0:
            raise LabelError(
                f"label {label!r} has one class only: no row is {name}",
                allowed=("true", "false"),
                next_step="give rows of both classes",
            )
    needed = int(np.ceil(2 * folds / (1 - test_share)))
    for name, count in counts.items():
        if count < needed:
            raise LabelError(
                f"label {label!r} is {name} in {count} rows; {folds} folds and a test set need at least {needed}",
                next_step="give more rows, or declare fewer folds",
            )
