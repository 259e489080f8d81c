"""Executes a plan here: one run, its lock, its records, its steps in order.

A run is resumable: a step whose record is in the lake is not done again. One run per use case at a time.
"""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from trunkline.errors import GateRefusedError, InputError, UnknownNameError
from trunkline.plan import Plan, StepName, plan_of
from trunkline.run import predicting, publishing, steps, watching, writing
from trunkline.run.code import code_version
from trunkline.run.notifying import announce
from trunkline.run.records import PastRun, Recorder, latest_run_id, past_run, refuse_malformed
from trunkline.run.resolving import recorded, resolve
from trunkline.run.run_log import run_log
from trunkline.run.steps import IngestDocument, SourcesRefusedError, StepContext
from trunkline.run.steps.handed import refuse_other_files
from trunkline.run.workspace import Workspace
from trunkline.settings.drills import point
from trunkline.spec.dialect import CsvDialect
from trunkline.tasks import Progress
from trunkline.train import EvaluateDocument

__all__ = ["CRASH_POINTS", "RunResult", "execute", "new_run_id"]

CRASH_POINTS: Final = (
    *(f"run.before_{name}" for name in ("ingest", "train", "evaluate", "register", "rollout", "predict", "monitor")),
    *(f"run.after_{name}" for name in ("ingest", "train", "evaluate", "register", "predict", "report", "publish")),
    "run.after_promote",
)
"""Points at which a drill may kill a run."""

_logger = logging.getLogger(__name__)

_STEP_FUNCTIONS: Final[Mapping[StepName, Callable[[StepContext], BaseModel]]] = {
    "ingest": steps.ingest,
    "train": steps.train,
    "evaluate": steps.evaluate,
    "register": steps.register,
    "rollout": steps.rollout,
    "predict": predicting.predict,
    "monitor": watching.monitor,
    "report": writing.report,
    "publish": publishing.publish,
}


_FOLLOWS: Final[Mapping[str, tuple[StepName, ...]]] = {
    "evaluate": ("train",),
    "register": ("evaluate",),
    "rollout": ("register",),
    "report": ("ingest", "train"),
    "publish": ("ingest", "train", "predict"),
}
"""Steps that are nothing without others: alone and without a run id they take the newest run that has one of those."""

_LOOKING: Final = ("report", "publish")
"""Steps that leave a run as it stands when they are repeated alone."""

_OF_THE_CANDIDATE: Final = ("register", "rollout")
_OF_THE_CHAMPION: Final = ("predict", "monitor")
_REFUSABLE: Final = (None, "evaluate", "register", "rollout")


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        run_id: Its id.
        usecase: The use case's name.
        documents: Step to its stored document, in order.
        seconds: Wall time of this call.
        refused: What the gates or sources were refused for; None where neither was. With refused sources the run has
            stopped at its ingest step, whose document is that of the sources that were taken in.
    """

    run_id: str
    usecase: str
    documents: Mapping[str, str]
    seconds: float
    refused: GateRefusedError | SourcesRefusedError | None = None


def new_run_id(workspace: Workspace) -> str:
    """Make an id that sorts by time: ``20261122T101500-1a2b3c``."""
    return f"{workspace.clock():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def execute(  # noqa: PLR0913 - the options of one command
    workspace: Workspace,
    usecase_name: str,
    *,
    sources: tuple[str, ...] = (),
    dataset: str | None = None,
    mapping: Mapping[str, str] | None = None,
    csv: CsvDialect | None = None,
    until: str | None = None,
    only: StepName | None = None,
    again: bool = False,
    derives: bool = True,
    run_id: str | None = None,
    reasons: int = 0,
    progress: Progress,
) -> RunResult:
    """Execute a use case's plan, or one step of it.

    Args:
        workspace: The workspace.
        usecase_name: The use case.
        sources: Files or folders for the ingest step.
        dataset: Dataset of the sources; None is the main one.
        mapping: Source column to field name.
        csv: What is said of the dialect of CSV files, over what declarations and settings say.
        until: Last step to execute.
        only: Execute this step alone, under ``run_id``.
        again: Execute the step of ``only`` even if it has finished: for steps that only render.
        derives: Whether the ingest step refreshes derived tables; False where somebody does so one by one.
        run_id: Id of a run to go on with, with the sources it was started with; None starts a new one, but a step that
            needs another (``evaluate`` needs ``train``) takes the newest run that has it.
        reasons: Reasons per scored row, which are logged with its score; 0 gives none.
        progress: Told what is being done and which share of it.

    Returns:
        The documents of all steps that have finished under the run id.

    Raises:
        BusyError: Another run of the use case is going on.
        InputError: The run id is malformed or another use case's, or the run has taken in other sources.
        UnknownNameError: There is no such use case, step or run.
        TrunklineError: Whatever stopped a step; the run's record says so. What is refused does not raise, it is in the
            result. With refused sources the run has failed, and is gone on with as any that has. With refused gates it
            goes on to its report, with answers and readings of the standing champion.
    """
    usecase = workspace.usecase(usecase_name)
    plan = plan_of(usecase).until(until)
    if only is not None and only not in [step.name for step in plan.steps]:
        raise UnknownNameError(
            f"there is no step {only!r} in the plan of {usecase.name!r}", allowed=[step.name for step in plan.steps]
        )
    # a call whose sources are all missing must not leave a started run behind
    resolve(workspace, usecase, sources, dataset=dataset, mapping=mapping or {}, csv=csv)
    if run_id is not None:
        refuse_malformed(run_id)
    elif only is not None and only in _FOLLOWS:
        run_id = latest_run_id(workspace, usecase.name, having=_FOLLOWS[only])
    began = time.monotonic()
    past = past_run(workspace, run_id) if run_id is not None and workspace.root.exists() else None
    if past is not None and past.usecase != usecase.name:
        raise InputError(
            f"run {run_id!r} belongs to the use case {past.usecase!r}",
            where=f"--run-id, use case {usecase.name!r}",
            next_step="name a run of this use case, or leave --run-id out",
        )
    if past is None and only is not None and only in _FOLLOWS:
        raise UnknownNameError(
            f"there is no run {run_id!r}", where=str(workspace.root), next_step="leave --run-id out for the newest run"
        )
    context = StepContext(
        workspace=workspace,
        usecase=usecase,
        run_id=run_id or new_run_id(workspace),
        progress=progress,
        sources=sources,
        dataset=dataset,
        mapping=mapping or {},
        csv=csv or CsvDialect(),
        reasons=reasons,
        derives=derives,
        only=only,
        code_version=code_version(),
    )
    try:
        with workspace.run_lock(usecase.name), run_log(workspace, usecase.name, context.run_id):
            documents, refused = _under_lock(context, plan, until=until, only=only, again=again)
    except KeyboardInterrupt as stopped:
        stopped.add_note(f"to go on: trunkline {only or 'run'} {usecase.name} --run-id {context.run_id}")
        raise
    except Exception:
        announce(workspace)
        raise
    announce(workspace)
    return RunResult(context.run_id, usecase.name, documents, time.monotonic() - began, refused)


def _under_lock(
    context: StepContext, plan: Plan, *, until: str | None, only: StepName | None, again: bool
) -> tuple[dict[str, str], GateRefusedError | SourcesRefusedError | None]:
    """Do the steps; what the run has left so far is read here, since nobody else can add to it now."""
    past = past_run(context.workspace, context.run_id)
    if past is not None:
        _go_on(context, past, only=only)
    arguments = {
        "sources": [recorded(source) for source in context.sources],
        "dataset": context.dataset,
        "mapping": dict(context.mapping),
        "csv": context.csv.said,
        "until": until,
        "only": only,
    }
    is_part = only is not None and context.workspace.settings.run_stepwise
    recorder = Recorder(
        context,
        arguments=arguments,
        started_at=past.started_at if past else None,
        silent=only in _LOOKING and not is_part,
    )
    named = {"usecase": context.usecase.name, "run_id": context.run_id}
    _logger.info("run begins", extra={**named, "state": "started"})
    try:
        documents, refused = _steps(context, plan, recorder, only=only, again=again, resumed=past is not None)
    except SourcesRefusedError as error:
        _logger.error("run failed: %s", type(error.told).__name__, extra={**named, "state": "failed"})  # noqa: TRY400
        taken = error.document.model_dump_json()
        recorder.fail(error.told, document=taken)
        return {"ingest": taken}, error
    except Exception as error:
        # its class alone: the command says the rest, and the text of a foreign error may hold anything
        _logger.error("run failed: %s", type(error).__name__, extra={**named, "state": "failed"})  # noqa: TRY400
        recorder.fail(error)
        raise
    _logger.info("run ends", extra={**named, "state": "finished" if refused is None else "refused"})
    verdict = refused or (_refusal(context, documents["evaluate"]) if "evaluate" in documents else None)
    if verdict is not None:  # the run stands so, though a step of it was executed alone and ended well
        recorder.end("refused", {"failed": verdict.failed})
    else:
        recorder.end("finished", {"left": _left(plan, documents, last_done=only)} if is_part else {})
    return documents, refused


def _left(plan: Plan, documents: Mapping[str, str], *, last_done: StepName | None) -> list[str]:
    """Name the steps that a run still waits for, whose steps are started one by one; its last step ends it."""
    names = [step.name for step in plan.steps]
    return [name for name in names if name not in documents or (name == names[-1] and name != last_done)]


def _go_on(context: StepContext, past: PastRun, *, only: StepName | None) -> None:
    """Take the sources that the run was started with where none are given, and refuse others than it has taken in.

    Raises:
        InputError: The run has taken in other files, or has looked at others.
    """
    if only == "monitor" and context.sources and context.document("monitor") is not None:
        raise InputError(
            f"run {past.run_id!r} has its readings already", where="--run-id", next_step="leave --run-id out"
        )
    if only not in (None, "ingest"):
        return
    if not context.sources:
        recorded = past.arguments
        context.sources = tuple(str(source) for source in _listed(recorded.get("sources")))
        context.dataset = context.dataset or (str(recorded["dataset"]) if recorded.get("dataset") else None)
        mapping = recorded.get("mapping")
        context.mapping = context.mapping or (dict(mapping) if isinstance(mapping, dict) else {})
        context.csv = context.csv if context.csv.said else CsvDialect.model_validate(recorded.get("csv") or {})
        return
    stored = context.document("ingest")
    if stored is None:
        return
    handed = resolve(
        context.workspace, context.usecase, context.sources, dataset=context.dataset, mapping=context.mapping
    )
    refuse_other_files(IngestDocument.model_validate_json(stored), handed, run_id=past.run_id)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _steps(
    context: StepContext, plan: Plan, recorder: Recorder, *, only: StepName | None, again: bool, resumed: bool
) -> tuple[dict[str, str], GateRefusedError | None]:
    documents: dict[str, str] = {}
    refused: GateRefusedError | None = None
    for step in plan.steps:
        stored = context.document(step.name) if resumed else None
        wanted = only is None or step.name == only
        if again and step.name == only:
            stored = None
        if stored is None and wanted and not (refused and _is_stopped(context, step.name)):
            point(f"run.before_{step.name}")
            recorder.start(step.name)
            began = time.monotonic()
            document = _STEP_FUNCTIONS[step.name](context)
            stored = document.model_dump_json()
            seconds = time.monotonic() - began
            recorder.step(step.name, stored, seconds=seconds)
            named = {"usecase": context.usecase.name, "run_id": context.run_id}
            _logger.info("step %s done", step.name, extra={**named, "step": step.name, "seconds": round(seconds, 3)})
            point(f"run.after_{step.name}")
        if stored is not None:
            documents[step.name] = stored
        if step.name == "ingest" and only is None:
            context.sources = ()  # they are in the lake: later steps read them there
        if step.name == "evaluate" and stored is not None and _is_refusable(context, only):
            refused = _refusal(context, stored)
    context.progress("done", 1.0)
    return documents, refused


def _is_refusable(context: StepContext, only: StepName | None) -> bool:
    """Whether a refusal is told: to a whole run, and to a step that it stops, also one that is executed alone."""
    return only in _REFUSABLE or (only in _OF_THE_CHAMPION and _is_stopped(context, only))


def _is_stopped(context: StepContext, step: StepName) -> bool:
    """Whether a refusal stops a step: the standing champion, where there is one, answers for the new rows as ever."""
    if step in _OF_THE_CHAMPION:
        return context.workspace.registry.live(context.usecase.name).champion is None
    return step in _OF_THE_CANDIDATE


def _refusal(context: StepContext, stored: str) -> GateRefusedError | None:
    document = EvaluateDocument.model_validate_json(stored)
    try:
        steps.refuse_failed(document, usecase=context.usecase.name, run_id=context.run_id)
    except GateRefusedError as refusal:
        return refusal
    return None
