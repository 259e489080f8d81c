"""Executes a plan here: one run, its lock, its records, its steps in order.

A run is resumable: a step whose record is in the lake is not done again. One run per use case at a time.
"""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from trunkline import __version__
from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import RunRecord, StepRecord
from trunkline.errors import GateRefusedError, InputError, TrunklineError, UnknownNameError
from trunkline.plan import Plan, StepName, plan_of
from trunkline.run import predicting, steps, watching, writing
from trunkline.run.steps import StepContext
from trunkline.run.workspace import Workspace
from trunkline.settings.drills import point
from trunkline.train import EvaluateDocument

__all__ = ["CRASH_POINTS", "Progress", "RunResult", "code_version", "execute", "latest_run_id", "new_run_id"]

RUNS_TABLE: Final = "platform.runs"

CRASH_POINTS: Final = (
    *(f"run.before_{name}" for name in ("ingest", "train", "evaluate", "register", "rollout", "predict", "monitor")),
    *(f"run.after_{name}" for name in ("ingest", "train", "evaluate", "register", "predict", "report")),
    "run.after_promote",
)

Progress = Callable[[str, float], None]

_STEP_FUNCTIONS: Final[Mapping[StepName, Callable[[StepContext], BaseModel]]] = {
    "ingest": steps.ingest,
    "train": steps.train,
    "evaluate": steps.evaluate,
    "register": steps.register,
    "rollout": steps.rollout,
    "predict": predicting.predict,
    "monitor": watching.monitor,
    "report": writing.report,
}


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        run_id: Its id.
        usecase: The use case's name.
        documents: Step to its stored document, in order.
        seconds: Wall time of this call.
        refused: The refusal of the gates; None when they passed or were not asked.
    """

    run_id: str
    usecase: str
    documents: Mapping[str, str]
    seconds: float
    refused: GateRefusedError | None = None


def new_run_id(workspace: Workspace) -> str:
    """Make an id that sorts by time: ``20261122T101500-1a2b3c``."""
    return f"{workspace.clock():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@cache
def code_version() -> str:
    """Version of the package and, in a checkout, the commit."""
    folder = Path(__file__).resolve().parent
    try:
        found = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-C", str(folder), "describe", "--always", "--dirty"],  # noqa: S607 - whatever git the user has
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    commit = found.stdout.strip()
    return f"{__version__}+{commit}" if found.returncode == 0 and commit else __version__


def execute(
    workspace: Workspace,
    usecase_name: str,
    *,
    sources: tuple[str, ...] = (),
    dataset: str | None = None,
    mapping: Mapping[str, str] | None = None,
    until: str | None = None,
    only: StepName | None = None,
    again: bool = False,
    run_id: str | None = None,
    progress: Progress,
) -> RunResult:
    """Execute a use case's plan, or one step of it.

    Args:
        workspace: The workspace.
        usecase_name: The use case.
        sources: Files or folders for the ingest step.
        dataset: Dataset of the sources; None is the main one.
        mapping: Source column to field name.
        until: Last step to execute.
        only: Execute this step alone, under ``run_id``.
        again: Execute the step of ``only`` even if it has finished: for steps that only render.
        run_id: Id of a run to go on with; None starts a new one.
        progress: Told what is being done and which share of it.

    Returns:
        The documents of all steps that have finished under the run id.

    Raises:
        BusyError: Another run of the use case is going on.
        TrunklineError: Whatever stopped a step; the run's record says so. A refused gate does not raise: the run goes
            on to its report, and the refusal is in the result.
    """
    usecase = workspace.usecase(usecase_name)
    plan = plan_of(usecase).until(until)
    if only is not None and only not in [step.name for step in plan.steps]:
        raise UnknownNameError(
            f"there is no step {only!r} in the plan of {usecase.name!r}", allowed=[step.name for step in plan.steps]
        )
    steps.source_files(sources)  # a missing source must not leave a started run behind
    resumed = run_id is not None
    run_id = run_id or new_run_id(workspace)
    _refuse_malformed(run_id)
    began = time.monotonic()
    context = StepContext(
        workspace=workspace,
        usecase=usecase,
        run_id=run_id,
        progress=progress,
        sources=sources,
        dataset=dataset,
        mapping=mapping or {},
        code_version=code_version(),
    )
    with workspace.run_lock(usecase.name, run_id=run_id):
        recorder = _Recorder(context, arguments={"sources": sources, "until": until, "only": only})
        try:
            documents, refused = _steps(context, plan, recorder, only=only, again=again, resumed=resumed)
        except TrunklineError as error:
            recorder.run("failed", {"error": type(error).__name__, "text": str(error)})
            raise
        if refused is not None:
            recorder.run("refused", {"failed": refused.failed})
        else:
            recorder.run("finished", {})
    return RunResult(run_id, usecase.name, documents, time.monotonic() - began, refused)


def latest_run_id(workspace: Workspace, usecase: str) -> str:
    """Give the run of a use case that started last.

    Raises:
        UnknownNameError: There is none.
    """
    found: list[str] = []
    if workspace.lake.exists(RUNS_TABLE):
        rows = workspace.lake.arrow(
            RUNS_TABLE, schema=arrow_schema(RunRecord), where=lambda table: table["usecase"] == usecase
        ).sort_by("started_at")
        found = rows.column("run_id").to_pylist()
    if not found:
        raise UnknownNameError(
            f"the use case {usecase!r} has no run yet", next_step=f"start one: trunkline run {usecase} --source FILE"
        )
    return found[-1]


def _refuse_malformed(run_id: str) -> None:
    if not run_id.replace("-", "").replace("_", "").isalnum() or len(run_id) > 64 or not run_id.isascii():
        raise InputError(
            "a run id is letters, digits, '-' and '_', 64 at most", where="--run-id", allowed=("20261122T101500-1a2b3c",)
        )


def _steps(
    context: StepContext, plan: Plan, recorder: "_Recorder", *, only: StepName | None, again: bool, resumed: bool
) -> tuple[dict[str, str], GateRefusedError | None]:
    documents: dict[str, str] = {}
    refused: GateRefusedError | None = None
    for step in plan.steps:
        stored = context.document(step.name) if resumed else None
        wanted = only is None or step.name == only
        if again and step.name == only:
            stored = None
        if stored is None and wanted and not (refused and step.name in ("register", "rollout", "predict", "monitor")):
            point(f"run.before_{step.name}")
            if not documents:
                recorder.run("started", recorder.arguments)
            began = time.monotonic()
            document = _STEP_FUNCTIONS[step.name](context)
            stored = document.model_dump_json()
            recorder.step(step.name, stored, seconds=time.monotonic() - began)
            point(f"run.after_{step.name}")
        if stored is not None:
            documents[step.name] = stored
        if step.name == "evaluate" and stored is not None:
            refused = _refusal(context, stored)
    context.progress("done", 1.0)
    return documents, refused


def _refusal(context: StepContext, stored: str) -> GateRefusedError | None:
    document = EvaluateDocument.model_validate_json(stored)
    try:
        steps.refuse_failed(document, usecase=context.usecase.name, run_id=context.run_id)
    except GateRefusedError as refusal:
        return refusal
    return None


class _Recorder:
    """Writes the records of one run."""

    def __init__(self, context: StepContext, *, arguments: Mapping[str, object]) -> None:
        self._context = context
        self._started_at = context.workspace.clock()
        self.arguments = arguments

    def run(self, state: str, document: Mapping[str, object]) -> None:
        context = self._context
        record = RunRecord.model_validate(
            {
                "run_id": context.run_id,
                "usecase": context.usecase.name,
                "state": state,
                "started_at": self._started_at,
                "changed_at": context.workspace.clock(),
                "code_version": context.code_version,
                "document": json.dumps(document),
            }
        )
        context.workspace.lake.append(RUNS_TABLE, table_from_rows(RunRecord, [record.model_dump()]))

    def step(self, name: StepName, document: str, *, seconds: float) -> None:
        from trunkline.lake import Transaction

        context = self._context
        record = StepRecord(
            run_id=context.run_id,
            usecase=context.usecase.name,
            step=name,
            document=document,
            seconds=seconds,
            finished_at=context.workspace.clock(),
        )
        context.workspace.lake.append(
            steps.STEPS_TABLE,
            table_from_rows(StepRecord, [record.model_dump()]),
            transaction=Transaction(f"step:{context.run_id}:{name}", 1),
        )
