"""From the table a task is given to what training works on: labelled rows, encoded, split.

Takes a declaration and a typed table; refuses tables that nothing can be learned from.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import types

from trunkline.errors import InputError, LabelError, SchemaError
from trunkline.tasks.base_matrix import BaseMatrix, Floats, Matrix, number_column
from trunkline.tasks.folds import Places, Structure, refuse_few, split_off
from trunkline.tasks.supervised import Supervised

__all__ = ["TrainingRows", "groups_of", "labelled", "prepare_rows"]


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, encoded and split.

    Attributes:
        table: The labelled rows.
        base: The base matrix, learned from ``train``.
        matrix: All labelled rows encoded, shape (rows, base columns).
        target: 0/1 or target units, shape (rows,).
        train: Rows of cross-validation and of the final fit.
        test: Rows set aside; may be empty.
        structure: Groups and order of all labelled rows.
        given: Rows handed in.
        places: Where each labelled row stands among those handed in, shape (rows,).
    """

    table: pa.Table
    base: BaseMatrix
    matrix: Matrix
    target: Floats
    train: Places
    test: Places
    structure: Structure
    given: int
    places: Places


def labelled(table: pa.Table, *, label: str, classification: bool) -> tuple[pa.Table, Floats]:
    """Keep the rows that have a label.

    Args:
        table: Any rows with the label column.
        label: Its name.
        classification: Whether it must be a flag (or 0/1), or else a number.

    Returns:
        The rows with a label, and the label, shape (rows,).

    Raises:
        InputError: There are no rows.
        SchemaError: There is no such column.
        LabelError: The label is null in every row, or of the wrong kind.
    """
    if label not in table.column_names:
        raise SchemaError(f"the table lacks the label {label!r}", allowed=table.column_names)
    if table.num_rows == 0:
        raise InputError("there are no rows to learn from", where=f"label {label!r}", next_step="ingest rows first")
    kind = table[label].type
    if not (types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind)):
        raise LabelError(
            f"label {label!r} has type {kind}", allowed=("flag",) if classification else ("number", "integer")
        )
    target = number_column(table, label)
    known = np.isfinite(target)
    if not known.any():
        raise LabelError(
            f"no row has a label: {label!r} is absent or null throughout",
            next_step="name the column with --map FILE.toml, or hand in rows whose outcome is known",
        )
    if classification and not np.isin(target[known], (0.0, 1.0)).all():
        raise LabelError(f"label {label!r} has values other than true and false", allowed=("true", "false"))
    return (table if known.all() else table.filter(pa.array(known))), target[known]


def prepare_rows(task: Supervised, table: pa.Table, *, classification: bool, seed: int) -> TrainingRows:
    """Label, encode and split.

    Args:
        task: The declaration.
        table: Typed rows.
        classification: Whether the label is a class.
        seed: Seed of the split.

    Returns:
        What training works on.

    Raises:
        InputError: There are no rows.
        SchemaError: A column is missing or of the wrong type.
        LabelError: The label cannot be learned from.
    """
    missing = [name for name in task.columns if name not in table.column_names]
    if missing:
        raise SchemaError(f"the table lacks columns of the task: {', '.join(missing)}", allowed=table.column_names)
    rows, target = labelled(table, label=task.label, classification=classification)
    if classification:
        refuse_few(target, folds=max(task.folds, task.tuning_folds), test_share=task.test_share, label=task.label)
    else:
        _refuse_flat(task, target)
    structure = Structure(classification, groups_of(rows, task.group), _order(rows, task.order))
    everything = np.arange(len(target))
    train, test = everything, everything[:0]
    if task.test_share > 0:
        train, test = split_off(target, share=task.test_share, structure=structure, seed=seed)
    if classification and min(len(np.unique(target[part])) for part in (train, test) if len(part)) < 2:
        raise LabelError(
            f"label {task.label!r} has one class only on one side of the test split",
            where=f"split by {task.order or task.group}",
            next_step="give rows of both classes over the whole time and all groups",
        )
    base = BaseMatrix.learn(rows.take(pa.array(train)), features=task.features, row_features=task.row_features)
    places = np.flatnonzero(np.isfinite(number_column(table, task.label)))
    return TrainingRows(rows, base, base.from_table(rows), target, train, test, structure, table.num_rows, places)


def groups_of(table: pa.Table, name: str | None) -> Places | None:
    """Number the groups of rows.

    Args:
        table: The rows.
        name: The column that groups them; None where they are independent.

    Returns:
        Group number of each row, shape (rows,).

    Raises:
        InputError: A row has no group.
    """
    if name is None:
        return None
    if table[name].null_count:
        raise InputError(f"group column {name!r} has nulls", next_step="fill or drop those rows")
    codes = table[name].combine_chunks().dictionary_encode().indices
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _refuse_flat(task: Supervised, target: Floats) -> None:
    needed = int(np.ceil(2 * task.folds / (1 - task.test_share)))
    if len(target) < needed:
        raise LabelError(
            f"{len(target)} rows have a label; {task.folds} folds and a test set need at least {needed}",
            next_step="give more rows, or declare fewer folds",
        )
    if np.ptp(target) == 0:
        raise LabelError(f"label {task.label!r} has one value only", next_step="give rows that differ")


def _order(table: pa.Table, name: str | None) -> Floats | None:
    if name is None:
        return None
    column = table[name].combine_chunks()
    if column.null_count:
        raise InputError(f"order column {name!r} has nulls", next_step="fill or drop those rows")
    if types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us")) if types.is_date(column.type) else column
        column = column.cast(pa.int64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
