"""Learned anomalies of many alike things: learn from some of them, score all, in batches of whole things.

A batch has one row per thing with lists of its rows' numbers (:func:`gathered` makes it in the engine), so a worker of
a cluster always has a thing whole. :meth:`AnomalyModel.scored` and :meth:`AnomalyModel.alerted` take and give Arrow
batches, for ``Engine.mapped``: on Spark they run as ``mapInArrow``. Nothing that was labelled is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from trunkline.errors import InputError, SchemaError
from trunkline.tasks.anomaly.budget import Budget, episodes_of, kept, smoothed, threshold_for
from trunkline.tasks.anomaly.declaration import Anomalies
from trunkline.tasks.anomaly.detectors import Oddness
from trunkline.tasks.anomaly.grouped import Floats, Ints
from trunkline.tasks.anomaly.usual import HOURS, Compared, Usual

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["AnomalyModel", "compared_with", "gathered", "learn"]

_NO_HOUR: Final = HOURS - 1
_MONDAY_DAYS: Final = 4
"""Days from 1970-01-01, a Thursday, to the first Monday."""
_WEEK_US: Final = 7 * 86_400_000_000


def gathered(rows: "ir.Table", declared: Anomalies) -> "ir.Table":
    """Bring the rows of each thing together: one row per thing, a list per column, lazily.

    Args:
        rows: One row per thing and period.
        declared: Which columns; others are left out. Null numbers become NaN.
    """
    import ibis

    nan = ibis.literal(float("nan"))
    hour = rows[declared.hour].cast("int64").fill_null(_NO_HOUR)
    filled = rows.mutate(
        **{declared.hour: hour}, **{name: rows[name].cast("float64").fill_null(nan) for name in declared.values}
    )
    filled = filled.filter(filled[declared.at].notnull())
    lists = {name: filled[name].collect() for name in (declared.at, declared.hour, *declared.values)}
    return filled.group_by(declared.entity).aggregate(**lists)


def learn(things: "pa.Table", declared: Anomalies, *, budget: Budget, seed: int) -> "AnomalyModel":
    """Learn what is usual, how odd rows look, and from which score on an alert is worth a look.

    Args:
        things: As :func:`gathered` gives them: the whole fleet, or a sample of it.
        declared: What is watched.
        budget: Alerts that people can look at.
        seed: Seed of the sample and of the forest; the same things and seed give the same model.

    Raises:
        InputError: There are no rows.
        SchemaError: A column is missing.
    """
    things = things.sort_by(declared.entity)
    if things.num_rows > declared.sampled:
        chosen = np.random.default_rng(seed).choice(things.num_rows, declared.sampled, replace=False)
        things = things.take(np.sort(chosen))
    block = _Block.of(things, declared)
    if not len(block.hours):
        raise InputError("there are no rows to learn what is usual from", next_step="take some in")
    amounts = [name in declared.amounts for name in declared.values]
    usual = Usual.learn(block.values, amounts=amounts, lengths=block.lengths, hours=block.hours, enough=declared.enough)
    compared = usual.compare(block.values, lengths=block.lengths, hours=block.hours)
    oddness = Oddness.learn(compared.deviations, trees=declared.trees, seed=seed)
    scores = smoothed(oddness.scores(compared.deviations), thing=block.thing, rows=budget.persistence)
    threshold = threshold_for(scores, thing=block.thing, budget=budget)
    return AnomalyModel(declared, budget, usual, oddness, threshold)


def compared_with(
    things: "pa.Table", declared: Anomalies, name: str, *, deviations: float
) -> "tuple[list[datetime], Floats, Floats, tuple[Floats, Floats]]":
    """Hold the rows of one thing beside what is usual for it, for a picture.

    Args:
        things: Of :func:`gathered`: the thing, and others of which the course of the day is learned.
        declared: What is watched; ``at`` is an instant.
        name: The thing.
        deviations: Half the width of the usual band, robust deviations.

    Returns:
        Instants of its rows in order; its numbers, their deviations, and the lower and the upper end of the band, each
        of shape (rows, values).
    """
    import pyarrow.compute as pc

    block = _Block.of(things, declared)
    amounts = [one in declared.amounts for one in declared.values]
    usual = Usual.learn(block.values, amounts=amounts, lengths=block.lengths, hours=block.hours, enough=declared.enough)
    own = _Block.of(things.filter(pc.equal(things[declared.entity], name)), declared)
    found = usual.compare(own.values, lengths=own.lengths, hours=own.hours)
    low, high = (usual.unscaled(found.base + sign * deviations * found.spread) for sign in (-1, 1))
    low = np.where(np.isnan(usual.offset), low, np.maximum(low, 0.0))
    return own.at.to_pylist(), own.values, found.deviations, (low, high)


@dataclass(frozen=True)
class AnomalyModel:
    """What was learned; see the module.

    Attributes:
        declared: What is watched.
        budget: Alerts that people can look at.
        usual: What is usual.
        oddness: The detectors.
        threshold: Smoothed scores at or above it are odd.
    """

    declared: Anomalies
    budget: Budget
    usual: Usual
    oddness: Oddness
    threshold: float

    def scored_schema(self, things: "pa.Schema") -> "pa.Schema":
        """Columns of :meth:`scored`: thing, ``at``, hour, ``score``, and the number that is farthest from its usual.

        Args:
            things: Schema of :func:`gathered`.
        """
        import pyarrow as pa

        d = self.declared
        return pa.schema(
            [
                (d.entity, things.field(d.entity).type),
                (d.at, things.field(d.at).type.value_type),
                (d.hour, pa.int64()),
                ("score", pa.float64()),
                ("is_odd", pa.bool_()),
                ("farthest", pa.string()),
                ("deviation", pa.float64()),
                ("value", pa.float64()),
                ("usual", pa.float64()),
            ]
        )

    def scored(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Score rows.

        Args:
            batches: Of :func:`gathered`.

        Yields:
            One row per row, in the order of ``at``; ``hour`` is null where it was.
        """
        import pyarrow as pa

        names = pa.array(self.declared.values, pa.string())
        for batch in batches:
            block, compared, scores = self._judged(batch)
            far = np.abs(np.nan_to_num(compared.deviations)).argmax(axis=1)
            rows = np.arange(len(far))
            yield pa.record_batch(
                [
                    batch.column(self.declared.entity).take(pa.array(block.thing)),
                    block.at,
                    pa.array(block.hours, mask=block.hours == _NO_HOUR),
                    pa.array(scores),
                    pa.array(scores >= self.threshold),
                    names.take(pa.array(far)),
                    _numbers(compared.deviations[rows, far]),
                    _numbers(block.values[rows, far]),
                    _numbers(compared.usual[rows, far]),
                ],
                schema=self.scored_schema(batch.schema),
            )

    def alerted_schema(self, things: "pa.Schema") -> "pa.Schema":
        """Columns of :meth:`alerted`.

        Args:
            things: Schema of :func:`gathered`.
        """
        import pyarrow as pa

        d = self.declared
        at = things.field(d.at).type.value_type
        return pa.schema(
            [
                (d.entity, things.field(d.entity).type),
                ("first_at", at),
                ("last_at", at),
                ("hour", pa.int64()),
                ("rows", pa.int64()),
                ("score", pa.float64()),
                ("is_open", pa.bool_()),
                ("deviations", pa.list_(pa.float64())),
            ]
        )

    def alerted(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Find the episodes that the budget keeps.

        Args:
            batches: Of :func:`gathered`.

        Yields:
            One row per episode: when, its rows, its highest score, the hour of that, whether it lasts to the thing's
            last row, and the median deviation of each watched number over it.
        """
        import pyarrow as pa

        for batch in batches:
            block, compared, scores = self._judged(batch)
            found = episodes_of(scores, thing=block.thing, threshold=self.threshold, budget=self.budget)
            places = kept(found, thing=block.thing, week=block.weeks, budget=self.budget)
            first, last = found.first[places], found.last[places]
            ends = np.cumsum(block.lengths)[block.thing[last]] - 1 if len(last) else last
            spans = [slice(one, other + 1) for one, other in zip(first, last, strict=True)]
            peaks = [span.start + int(scores[span].argmax()) for span in spans]
            hours = block.hours[np.array(peaks, np.int64)]
            middles = [np.median(np.nan_to_num(compared.deviations[span]), axis=0) for span in spans]
            yield pa.record_batch(
                [
                    batch.column(self.declared.entity).take(pa.array(block.thing[first])),
                    block.at.take(pa.array(first)),
                    block.at.take(pa.array(last)),
                    pa.array(hours, pa.int64(), mask=hours == _NO_HOUR),
                    pa.array(last - first + 1, pa.int64()),
                    pa.array(scores[np.array(peaks, np.int64)], pa.float64()),
                    pa.array(ends - last <= self.budget.gap, pa.bool_()),
                    pa.array(middles, pa.list_(pa.float64())),
                ],
                schema=self.alerted_schema(batch.schema),
            )

    def explained(self, things: "pa.Table") -> "tuple[_Block, Compared]":
        """Compare the rows of things with what is usual, for pictures and reasons.

        Args:
            things: Of :func:`gathered`.
        """
        block = _Block.of(things, self.declared)
        return block, self.usual.compare(block.values, lengths=block.lengths, hours=block.hours)

    def _judged(self, batch: "pa.RecordBatch") -> "tuple[_Block, Compared, Floats]":
        block, compared = self.explained(batch)
        scores = self.oddness.scores(compared.deviations)
        return block, compared, smoothed(scores, thing=block.thing, rows=self.budget.persistence)


@dataclass(frozen=True)
class _Block:
    """Rows of things, thing after thing, each in the order of ``at``."""

    at: "pa.Array"
    hours: Ints
    weeks: Ints
    values: Floats
    thing: Ints
    lengths: Ints

    @classmethod
    def of(cls, things: "pa.Table | pa.RecordBatch", declared: Anomalies) -> "_Block":
        import pyarrow as pa

        names: Sequence[str] = (declared.at, declared.hour, *declared.values)
        if missing := [name for name in (declared.entity, *names) if name not in things.schema.names]:
            raise SchemaError(f"the rows lack {', '.join(missing)}", allowed=things.schema.names)
        lists = {name: _list(things.column(name)) for name in names}
        lengths = np.asarray(lists[declared.at].value_lengths().to_numpy(zero_copy_only=False), np.int64)
        thing = np.repeat(np.arange(len(lengths)), lengths)
        flat = {name: one.flatten() for name, one in lists.items()}
        at = flat[declared.at]
        kind = at.type
        ticks = at.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()) if pa.types.is_timestamp(kind) else at
        moments = ticks.to_numpy(zero_copy_only=False)
        order = np.lexsort((moments, thing))
        weeks = np.zeros(len(order), np.int64)
        if pa.types.is_timestamp(kind):
            weeks = (moments[order] - _MONDAY_DAYS * 86_400_000_000) // _WEEK_US
        hours = np.asarray(flat[declared.hour].to_numpy(zero_copy_only=False), np.int64)[order]
        columns = [flat[name].to_numpy(zero_copy_only=False)[order] for name in declared.values]
        values = np.column_stack(columns).astype(np.float64) if columns else np.zeros((len(order), 0))
        hours = np.where((hours >= 0) & (hours < _NO_HOUR), hours, _NO_HOUR)
        return cls(at.take(pa.array(order)), hours, weeks, values, thing, lengths)


def _list(column: "pa.Array | pa.ChunkedArray") -> "pa.ListArray":
    import pyarrow as pa

    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _numbers(values: Floats) -> "pa.Array":
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))
