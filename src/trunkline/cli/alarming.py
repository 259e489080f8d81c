"""``alarms``: find what is unusual without labels, raise and clear its alarms, list those that stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from trunkline.cli.output import Common, emit, opened, progress, table
from trunkline.errors import InputError

if TYPE_CHECKING:
    from trunkline.run.alarming import Evaluated
    from trunkline.stats.intervals import Interval
    from trunkline.tasks.anomaly.alarms import Alarm
    from trunkline.tasks.anomaly.faults import JudgedAlerts

_SHOWN: Final = 20
_RANK: Final = ("critical", "major", "minor", "warning", "indeterminate")


def alarms(
    usecase: str,
    /,
    *,
    budget: Annotated[
        float | None, Parameter(help="Alerts per object and week; the use case's own budget by default.")
    ] = None,
    scores: Annotated[
        Path | None, Parameter(help="Parquet file, in a folder that is there, for all scores, with what is farthest.")
    ] = None,
    dry_run: Annotated[bool, Parameter(name="--list", help="Evaluate nothing, list what stands.", negative="")] = False,
    if_any: Annotated[
        bool, Parameter(help="Where no row came yet of what is watched: nothing to judge, and no fault.", negative="")
    ] = False,
    run_id: Annotated[
        str, Parameter(name="--run-id", help="The run that asks, for the alert of new alarms.")
    ] = "alarms",
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Find what is unusual in the series that a use case watches, and keep its alarms.

    What is usual is learned from the rows of the lake, without labels. Alarms are rows of the lake's table
    USECASE.alarms, one per change. With --json those that stand are printed in the shape of TMF642 as well.

    Args:
        usecase: The use case.
        budget: Alerts per object and week; the use case's own budget by default.
        scores: Parquet file, in a folder that is there, for the score of every object and period, with the number that
            is farthest from its usual.
        dry_run: Evaluate nothing, list what stands.
        if_any: Where no row came yet of what is watched there is nothing to judge, and no fault.
        run_id: The run that asks, for the alert of new alarms.
        common: Options of every command.
    """
    from trunkline.run.alarming import evaluate_alarms, has_watched_rows, standing_alarms
    from trunkline.tasks.anomaly.alarms import tmf642

    if budget is not None and not 0 < budget <= 1_000:
        raise InputError("the budget is a number above 0, at most 1000", where="--budget", next_step="e.g. --budget 1")
    if scores is not None and dry_run:
        raise InputError(
            "--list evaluates nothing, so there are no scores", where="--scores", next_step="leave one out"
        )
    with opened(common) as workspace:
        found = workspace.usecase(usecase)
        evaluated = None
        judges = not dry_run and (not if_any or has_watched_rows(workspace, found))
        if judges:
            with progress() as told:
                evaluated = evaluate_alarms(
                    workspace, found, per_week=budget, scores=scores, run_id=run_id, progress=told
                )
        standing = [one for one in standing_alarms(workspace, found) if one.state != "cleared"]
    standing.sort(key=lambda alarm: (_RANK.index(alarm.severity), -alarm.score, alarm.object_id, alarm.problem))
    document = {
        "usecase": usecase,
        "evaluated": None if evaluated is None else evaluated.model_dump(mode="json"),
        "alarms": [tmf642(alarm, source="trunkline") for alarm in standing],
    }

    def text() -> None:
        if not (judges or dry_run):
            print("nothing to judge: no row came yet of what is watched")
        _show(evaluated, standing)

    emit(document, common=common, text=text)
    return 0


def _show_judged(judged: "JudgedAlerts") -> None:
    def text(share: "Interval | None") -> str:
        return "" if share is None else f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"

    known = sum(one.known for one in judged.kinds.values())
    title = f"against {known:,} known faults: {judged.hits:,} of {judged.alerts:,} alerts are right"
    rows = [
        [kind, f"{one.known:,}", text(one.recall), f"{one.named:,}", text(one.precision)]
        for kind, one in judged.kinds.items()
    ]
    table(title, ["fault", "known", "recall", "alerts named so", "precision"], rows)


def _show(evaluated: "Evaluated | None", standing: "list[Alarm]") -> None:
    if evaluated is not None:
        print(
            f"{evaluated.objects:,} objects of {evaluated.dataset}: {evaluated.alerts:,} alerts; "
            f"{evaluated.raised:,} alarms raised, {evaluated.updated:,} updated, {evaluated.cleared:,} cleared"
            + (f"; {evaluated.left_out:,} alerts are beyond the week's budget" if evaluated.left_out else "")
        )
        if evaluated.judged is not None:
            _show_judged(evaluated.judged)
    if not standing:
        print("no alarm stands")
        return
    title = f"standing alarms, {min(len(standing), _SHOWN)} of {len(standing):,}"
    rows = [[one.severity, one.object_id, one.problem, f"{one.raised_at:%F %H:%M}", one.details] for one in standing]
    table(title, ["severity", "object", "problem", "raised (UTC)", "why"], rows[:_SHOWN])
