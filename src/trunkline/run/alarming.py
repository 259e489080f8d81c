"""Watch a use case's series: learn what is usual, find what is not, and keep its alarms in the lake.

One evaluation reads the whole watched table as it stands. Its alarms are appended to ``USECASE.alarms``, one row per
change; the newest row of an alarm says how it stands. The same rows evaluated again write nothing. Alarms that are new
are announced together, as one alert, and told to those who want to be.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.records import Alert
from trunkline.errors import InputError, SourceError
from trunkline.files import replacing
from trunkline.lake import held
from trunkline.lake.versions import current_rows, newest
from trunkline.run.alerts import write_alerts
from trunkline.run.notifying import announce
from trunkline.run.outputs import refuse_unwritable
from trunkline.run.records import refuse_malformed
from trunkline.tasks.anomaly import AnomalyModel, Budget, gathered, learn, reason
from trunkline.tasks.anomaly.alarms import Alarm, Found, advance, severity_of, tmf642, within_week
from trunkline.tasks.anomaly.faults import JudgedAlerts, KnownFault, judged_alerts

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from trunkline.engine import Engine
    from trunkline.lake import Lake
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.spec.watched import WatchedSeries

__all__ = ["ALARMS", "Evaluated", "evaluate_alarms", "has_watched_rows", "judged_by_faults", "standing_alarms"]

ALARMS: Final = "alarms"
"""Name of the table within the use case."""

_REASONS: Final = 3
_SCORED_ROWS: Final = 50_000
_LEAST_TOLD: Final = 2.0
_TOLD: Final = 5
_SEVERITIES: Final = ("critical", "major", "minor", "warning", "indeterminate", "cleared")
_ALERTED: Final[Mapping[str, Literal["critical", "major", "minor", "warning"]]] = {
    "critical": "critical",
    "major": "major",
    "minor": "minor",
    "warning": "warning",
    "indeterminate": "warning",
}


class Evaluated(BaseModel):
    """What an evaluation found.

    Attributes:
        usecase: The use case.
        dataset: What was watched.
        objects: Objects that were looked at.
        threshold: Score from which on periods are odd.
        alerts: Episodes within the budget of one evaluation.
        left_out: Alerts that raise nothing, because earlier evaluations used up the week's budget of their object.
        raised: Alarms that are new.
        updated: Alarms that go on.
        cleared: Alarms that are over.
        standing: Alarms that stand now, by severity.
        problems: Alerts by problem.
        judged: The alerts against known faults; None where the lake has none of the time.
    """

    model_config = ConfigDict(frozen=True)

    usecase: str
    dataset: str
    objects: int
    threshold: float
    alerts: int
    left_out: int
    raised: int
    updated: int
    cleared: int
    standing: Mapping[str, int]
    problems: Mapping[str, int]
    judged: JudgedAlerts | None = None


def evaluate_alarms(
    workspace: "Workspace",
    usecase: "UseCase",
    *,
    per_week: float | None = None,
    scores: Path | None = None,
    run_id: str = ALARMS,
    progress: Callable[[str, float], None] = lambda _phase, _share: None,
) -> Evaluated:
    """Evaluate what a use case watches, and write the alarms that follow.

    Args:
        workspace: The workspace.
        usecase: The use case.
        per_week: Alerts per object and week; None takes the use case's own budget.
        scores: Parquet file for the score of every object and period, see :meth:`AnomalyModel.scored_schema`; None
            writes none.
        run_id: The run that asks for it, for the alert of new alarms.
        progress: Told what is being done and which share of it, in [0, 1].

    Raises:
        InputError: The use case watches nothing, or the folder of the scores does not exist.
        SourceError: The lake has no rows of what is watched.
        BusyError: Another evaluation is going on, and has been for ``run_wait`` of the settings.
    """
    watched = _watched(usecase)
    refuse_malformed(run_id)
    if scores is not None:
        refuse_unwritable(scores)
    lock = workspace.folder("locks") / f"alarms-{usecase.name}.lock"
    with held(lock, what=f"alarms of {usecase.name}", timeout_s=workspace.settings.run_wait.total_seconds()):
        return _evaluated(workspace, usecase, watched, per_week, scores, run_id, progress)


def has_watched_rows(workspace: "Workspace", usecase: "UseCase") -> bool:
    """Tell whether any row came of what a use case watches.

    Raises:
        InputError: The use case watches nothing.
    """
    name = usecase.table_name(_watched(usecase).dataset)
    if not workspace.lake.exists(name):
        return False
    return bool(workspace.engine.arrow(workspace.lake.read(name).limit(1)).num_rows)


def standing_alarms(workspace: "Workspace", usecase: "UseCase") -> "list[Alarm]":
    """Read the newest row of each alarm, the cleared ones among them, by id."""
    name = usecase.table_name(ALARMS)
    if not workspace.lake.exists(name):
        return []
    rows = workspace.lake.read(name, schema=arrow_schema(Alarm))
    found = newest(rows, key=("alarm_id",), newest_by=("changed_at",), table=name)
    listed = workspace.lake.engine.arrow(found.order_by("alarm_id")).to_pylist()
    return [Alarm.model_construct(**row) for row in listed]


def judged_by_faults(
    lake: "Lake", usecase: "UseCase", found: Sequence[Found], *, until: Mapping[str, datetime]
) -> JudgedAlerts | None:
    """Hold alerts against the faults that the lake knows.

    Args:
        lake: The lake.
        usecase: One that watches series.
        found: The alerts.
        until: By object, the begin of its newest row; what is known of later, or of other objects, does not count.

    Returns:
        Precision, and recall by kind of fault; None where no faults are known of the time.
    """
    watched = usecase.watched
    log = None if watched is None else watched.faults
    if watched is None or log is None or not lake.exists(name := usecase.table_name(log.dataset)):
        return None
    rows = current_rows(lake.read(name), usecase.contract_of(log.dataset), table=name)
    told = rows.select(object_id=log.entity, kind=log.kind, begin_at=log.begin, end_at=log.end)
    faults = [
        KnownFault(row["object_id"], row["kind"], _utc(row["begin_at"]), _utc(row["end_at"]))
        for row in lake.engine.arrow(told.order_by("object_id", "begin_at")).to_pylist()
    ]
    seen = [one for one in faults if one.object_id in until and one.begin_at <= until[one.object_id]]
    return judged_alerts(found, seen, problems=log.problems, late=watched.clear_after) if seen else None


def _watched(usecase: "UseCase") -> "WatchedSeries":
    if usecase.watched is None:
        raise InputError(
            f"the use case {usecase.name!r} watches no series", next_step="see `trunkline usecases` for others"
        )
    return usecase.watched


def _evaluated(
    workspace: "Workspace",
    usecase: "UseCase",
    watched: "WatchedSeries",
    per_week: float | None,
    scores: Path | None,
    run_id: str,
    progress: Callable[[str, float], None],
) -> Evaluated:
    lake, engine = workspace.lake, workspace.engine
    name = usecase.table_name(watched.dataset)
    if not lake.exists(name):
        raise SourceError(
            f"the lake has no rows of {name}",
            where=str(workspace.root),
            next_step=f"trunkline ingest {usecase.name} FILE --dataset {watched.dataset}",
        )
    rows = current_rows(lake.read(name), usecase.contract_of(watched.dataset), table=name)
    things = gathered(watched.rows(rows), watched.declared)
    progress("learn what is usual", 0.0)
    budget = watched.budget if per_week is None else watched.budget.model_copy(update={"per_week": per_week})
    model = _learned(workspace, watched, things, budget)
    progress("find what is not", 0.3)
    schema = things.schema().to_pyarrow()
    if scores is not None:
        _write_scores(engine, engine.mapped(things, model.scored, model.scored_schema(schema)), scores)
    alerts = engine.arrow(engine.mapped(things, model.alerted, model.alerted_schema(schema)))
    entity, at = watched.declared.entity, watched.declared.at
    ends = engine.arrow(things.select(entity, end=things[at].maxs()))
    until = {str(key): _utc(end) for key, end in zip(*(one.to_pylist() for one in ends.columns), strict=True)}
    found = [_found(row, watched) for row in alerts.to_pylist()]
    before = standing_alarms(workspace, usecase)
    now = workspace.clock()
    kept = within_week(before, found, most=math.ceil(budget.per_week), clear_after=watched.clear_after)
    changed = advance(
        before,
        kept,
        evaluated_until=until,
        now=now,
        clear_after=watched.clear_after,
        object_type=watched.object_type,
    )
    progress("write alarms", 0.9)
    if changed:
        _write(workspace, usecase, changed)
        _announce(workspace, usecase, [alarm for alarm in changed if alarm.state == "raised"], now, run_id)
    last = {alarm.alarm_id: alarm for alarm in (*before, *changed)}
    stands = [alarm.severity for alarm in last.values() if alarm.state != "cleared"]
    return Evaluated(
        usecase=usecase.name,
        dataset=watched.dataset,
        objects=len(until),
        threshold=model.threshold,
        alerts=len(found),
        left_out=len(found) - len(kept),
        raised=sum(alarm.state == "raised" for alarm in changed),
        updated=sum(alarm.state == "updated" for alarm in changed),
        cleared=sum(alarm.state == "cleared" for alarm in changed),
        standing={severity: stands.count(severity) for severity in sorted(set(stands))},
        problems={one: sum(f.problem == one for f in found) for one in sorted({f.problem for f in found})},
        judged=judged_by_faults(lake, usecase, kept, until=until),
    )


def _learned(workspace: "Workspace", watched: "WatchedSeries", things: "ir.Table", budget: Budget) -> AnomalyModel:
    """Learn from a sample drawn by the names of the objects, so that it is the same every time."""
    engine, declared = workspace.engine, watched.declared
    names = engine.arrow(things.select(declared.entity).order_by(declared.entity)).column(0)
    sample = things
    if len(names) > declared.sampled:
        import numpy as np

        rng = np.random.default_rng(workspace.settings.seed)
        chosen = np.sort(rng.choice(len(names), declared.sampled, replace=False))
        sample = things.filter(things[declared.entity].isin(names.take(chosen).to_pylist()))
    return learn(engine.arrow(sample), declared, budget=budget, seed=workspace.settings.seed)


def _found(row: Mapping[str, Any], watched: "WatchedSeries") -> Found:
    declared, deviations = watched.declared, [float(one) for one in row["deviations"]]
    meaning = watched.meaning(deviations, int(row["rows"]))
    farthest = sorted(range(len(deviations)), key=lambda at: -abs(deviations[at]))[:_REASONS]
    told = [
        reason(
            declared.title(declared.values[at]), deviation=deviations[at], thing=watched.object_type, hour=row["hour"]
        )
        for at in farthest
        if abs(deviations[at]) >= _LEAST_TOLD
    ]
    score = float(row["score"])
    return Found(
        object_id=str(row[declared.entity]),
        problem=meaning.problem,
        alarm_type=meaning.alarm_type,
        probable_cause=meaning.probable_cause,
        severity=severity_of(int(row["rows"]), score=score, stops_service=meaning.stops_service),
        details="; ".join(told) or "several numbers together are unusual for the hour",
        score=score,
        first_at=_utc(row["first_at"]),
        last_at=_utc(row["last_at"]),
        is_open=bool(row["is_open"]),
    )


def _write(workspace: "Workspace", usecase: "UseCase", changed: "list[Alarm]") -> None:
    import pyarrow as pa

    told = [json.dumps(tmf642(alarm, source="trunkline"), ensure_ascii=False) for alarm in changed]
    rows = pa.Table.from_pylist(
        [alarm.model_dump() | {"tmf642": text} for alarm, text in zip(changed, told, strict=True)],
        schema=arrow_schema(Alarm),
    )
    workspace.lake.append(usecase.table_name(ALARMS), rows)


def _write_scores(engine: "Engine", scored: "ir.Table", path: Path) -> None:
    import pyarrow.parquet as pq

    with (
        replacing(path) as part,
        engine.batches(scored, rows=_SCORED_ROWS) as reader,
        pq.ParquetWriter(part, reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def _announce(workspace: "Workspace", usecase: "UseCase", raised: "list[Alarm]", now: datetime, run_id: str) -> None:
    """Write one alert of all alarms that are new, as grave as the gravest, and tell it."""
    grave = sorted(raised, key=lambda alarm: (_SEVERITIES.index(alarm.severity), -alarm.score))
    if not grave:
        return
    first, more = grave[0], len(grave) - 1
    # an alarm is raised once, so a title that names it (with when it began) is no repetition of an earlier one
    named = f"{first.severity} {first.problem} of {first.object_type} {first.object_id}"
    said = [
        f"{one.severity}: {one.problem} of {one.object_type} {one.object_id}, {one.details}" for one in grave[:_TOLD]
    ]
    rest = f"\nand {len(grave) - _TOLD} more: trunkline alarms {usecase.name} --list" if len(grave) > _TOLD else ""
    alert = Alert(
        alert_id=hashlib.sha256("\n".join(sorted(one.alarm_id for one in grave)).encode()).hexdigest()[:24],
        run_id=run_id,
        usecase=usecase.name,
        severity=_ALERTED[first.severity],
        title=f"{usecase.name}: {named} since {first.raised_at:%F %H:%M} UTC"
        + (f", and {more} more new alarm{'s' if more > 1 else ''}" if more else ""),
        text="\n".join(said) + rest,
        raised_at=now,
    )
    write_alerts(workspace.lake, [alert], under=f"alert:{alert.alert_id}")
    announce(workspace)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
