"""What a step is given, and what earlier steps of its run have stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from trunkline.checks import arrow_schema
from trunkline.contracts.records import STEPS, StepRecord
from trunkline.errors import UnknownNameError
from trunkline.plan import StepName
from trunkline.run.workspace import Workspace
from trunkline.spec import UseCase
from trunkline.spec.dialect import CsvDialect

__all__ = ["StepContext"]

T = TypeVar("T")


@dataclass
class StepContext:
    """Everything a step needs.

    Attributes:
        workspace: The workspace.
        usecase: The use case.
        run_id: Id that everything the run writes carries.
        progress: Told what is being done and which share of it, in [0, 1].
        sources: Files or folders to ingest; empty simulates, or takes what the lake has.
        dataset: Dataset that the sources belong to; None leaves it to them.
        mapping: Source column to field name.
        csv: What the call says of the dialect of CSV files.
        code_version: Package version and commit.
        reasons: Reasons per scored row; 0 gives none.
        derives: Whether the ingest step refreshes derived tables.
        only: The step that was asked for alone; None for a whole run.
    """

    workspace: Workspace
    usecase: UseCase
    run_id: str
    progress: Callable[[str, float], None]
    sources: tuple[str, ...] = ()
    dataset: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    csv: CsvDialect = field(default_factory=CsvDialect)
    code_version: str = ""
    reasons: int = 0
    derives: bool = True
    only: StepName | None = None
    _documents: dict[str, str] | None = field(default=None, repr=False)
    _read: dict[str, object] = field(default_factory=dict, repr=False)

    def document(self, step: StepName) -> str | None:
        """Read the stored document of a step of this run; None if the step has not finished."""
        if self._documents is None:  # one look at the lake: the run lock keeps others from adding to it
            lake = self.workspace.lake
            rows = (
                lake.arrow(
                    STEPS, schema=arrow_schema(StepRecord), where=lambda table: table["run_id"] == self.run_id
                ).to_pylist()
                if lake.exists(STEPS)
                else []
            )
            self._documents = {str(row["step"]): str(row["document"]) for row in rows}
        return self._documents.get(step)

    def keep(self, step: StepName, document: str) -> None:
        """Remember the document of a step that has just been stored."""
        if self._documents is not None:
            self._documents[step] = document

    def once(self, name: str, read: Callable[[], T]) -> T:
        """Read what several steps look at, when the first of them asks for it.

        Args:
            name: The same for the same rows.
            read: Reads it.
        """
        if name not in self._read:
            self._read[name] = read()
        return cast("T", self._read[name])

    def needed(self, step: StepName) -> str:
        """Read the stored document of a step that must have finished.

        Raises:
            UnknownNameError: It has not.
        """
        found = self.document(step)
        if found is None:
            raise UnknownNameError(
                f"run {self.run_id!r} has no finished step {step!r}",
                where=f"use case {self.usecase.name!r}",
                next_step=f"run it first: trunkline {step} {self.usecase.name} --run-id {self.run_id}",
            )
        return found
