"""What is written down of runs: their states and finished steps, and the questions that later commands ask of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.contracts.records import RUNS, STEPS, RunRecord, StepRecord
from trunkline.errors import InputError, TrunklineError, UnknownNameError
from trunkline.run.openlineage import step_events

if TYPE_CHECKING:
    from trunkline.plan import StepName
    from trunkline.run.steps import StepContext
    from trunkline.run.workspace import Workspace

__all__ = [
    "PastRun",
    "Recorder",
    "latest_run_id",
    "newest_states",
    "past_run",
    "refuse_malformed",
]


@dataclass(frozen=True)
class PastRun:
    """A run that has been started before.

    Attributes:
        run_id: Its id.
        usecase: The use case it belongs to.
        state: Its newest state.
        started_at: When it was first started.
        changed_at: When it reached that state.
        arguments: What it was started with, as :class:`Recorder` wrote it.
        code_version: Package version and commit that last did a step of it; empty where they were not read.
    """

    run_id: str
    usecase: str
    state: str
    started_at: datetime
    changed_at: datetime
    arguments: Mapping[str, object] = field(default_factory=dict)
    code_version: str = ""


def refuse_malformed(run_id: str) -> None:
    """Refuse an id that is none.

    Raises:
        InputError: It has other characters, or too many.
    """
    if not run_id.replace("-", "").replace("_", "").isalnum() or len(run_id) > 64 or not run_id.isascii():
        raise InputError(
            "a run id is letters, digits, '-' and '_', 64 at most",
            where="--run-id",
            allowed=("20261122T101500-1a2b3c",),
        )


def past_run(workspace: "Workspace", run_id: str) -> PastRun | None:
    """Read what is known of a run; None where nothing is."""
    if not workspace.lake.exists(RUNS):
        return None
    rows = (
        workspace.lake.arrow(RUNS, schema=arrow_schema(RunRecord), where=lambda table: table["run_id"] == run_id)
        .sort_by("changed_at")
        .to_pylist()
    )
    if not rows:
        return None
    starts = [row for row in rows if row["state"] == "started"]
    return PastRun(
        run_id=run_id,
        usecase=str(rows[0]["usecase"]),
        state=str(rows[-1]["state"]),
        started_at=rows[0]["started_at"],
        changed_at=rows[-1]["changed_at"],
        arguments=json.loads(starts[0]["document"]) if starts else {},
        code_version=str((starts or rows)[-1]["code_version"]),
    )


def newest_states(workspace: "Workspace") -> tuple[PastRun, ...]:
    """Read how every run stands, the first started first; without what they were started with."""
    if not workspace.lake.exists(RUNS):
        return ()
    rows = workspace.lake.arrow(RUNS, schema=arrow_schema(RunRecord)).sort_by("changed_at").to_pylist()
    newest = {str(row["run_id"]): row for row in rows}
    runs = [
        PastRun(name, str(row["usecase"]), str(row["state"]), row["started_at"], row["changed_at"])
        for name, row in newest.items()
    ]
    return tuple(sorted(runs, key=lambda run: (run.started_at, run.run_id)))


def latest_run_id(workspace: "Workspace", usecase: str, *, having: "tuple[StepName, ...]" = ()) -> str:
    """Give the run of a use case whose step finished last.

    Args:
        workspace: The workspace.
        usecase: The use case's name.
        having: The steps, one of which it must be; any but ``report`` and ``publish`` by default.

    Raises:
        UnknownNameError: There is none.
    """
    found: list[str] = []
    if workspace.lake.exists(STEPS):
        rows = workspace.lake.arrow(
            STEPS,
            schema=arrow_schema(StepRecord),
            where=lambda table: (
                (table["usecase"] == usecase)
                & (table["step"].isin(having) if having else ~table["step"].isin(("report", "publish")))
            ),
        ).sort_by("finished_at")
        found = rows.column("run_id").to_pylist()
    if not found:
        raise UnknownNameError(
            f"the use case {usecase!r} has no run with a finished step {' or '.join(map(repr, having))} yet"
            if having
            else f"the use case {usecase!r} has no run yet",
            where=str(workspace.root),
            next_step=f"start one: trunkline {having[0] if len(having) == 1 else 'run'} {usecase}",
        )
    return found[-1]


class Recorder:
    """Writes the records of one run: its arguments when it starts, how it ended, each finished step."""

    def __init__(
        self,
        context: "StepContext",
        *,
        arguments: Mapping[str, object],
        started_at: datetime | None = None,
        silent: bool = False,
    ) -> None:
        """Take what the records have in common.

        Args:
            context: Names the run.
            arguments: What the run was started with.
            started_at: When it was first started; now by default.
            silent: Write no states, for a look at a run that leaves it as it stands.

        Raises:
            MissingExtraError: The settings want OpenLineage events, and the client is not installed.
        """
        self._context = context
        self._started_at = started_at or context.workspace.clock()
        self._arguments = arguments
        self._silent = silent
        self._started = False
        self._events = step_events(context.workspace, context.usecase, run_id=context.run_id)

    def start(self, step: "StepName") -> None:
        """Write once that the run has been started, or gone on with, and tell that a step begins."""
        if not self._started:
            self._state("started", self._arguments)
            self._started = True
        if self._events is not None:
            self._events.started(step)

    def end(self, state: str, document: Mapping[str, object]) -> None:
        """Write how the run ended; nothing where it did not start."""
        if self._started:
            self._state(state, document)

    def fail(self, error: Exception, *, document: str | None = None) -> None:
        """Write why the run stopped, as far as the disk still takes it: the error itself must reach the user.

        Args:
            error: What stopped it.
            document: What the step has done nevertheless, as it would have stored it; None for nothing.
        """
        if self._events is not None:
            self._events.failed(error, document=document)
        said = str(error) if isinstance(error, TrunklineError) else repr(error)[:300]
        try:
            self.end("failed", {"error": type(error).__name__, "text": said, "ours": isinstance(error, TrunklineError)})
        except (OSError, TrunklineError) as second:
            error.add_note(f"the failure could not be written down: {second}")

    def step(self, name: "StepName", document: str, *, seconds: float) -> None:
        """Write the document of a finished step, exactly once per run."""
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
            STEPS,
            table_from_rows(StepRecord, [record.model_dump()]),
            transaction=Transaction(f"step:{context.run_id}:{name}", 1),
        )
        context.keep(name, document)
        if self._events is not None:
            self._events.completed(name, document)

    def _state(self, state: str, document: Mapping[str, object]) -> None:
        if self._silent:
            return
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
        context.workspace.lake.append(RUNS, table_from_rows(RunRecord, [record.model_dump()]))
