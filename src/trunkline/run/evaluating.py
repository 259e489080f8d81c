"""Scoring the champion on labelled rows of a file that it has never seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from trunkline.errors import LabelError, UseCaseError
from trunkline.run.looking import fitting_rows
from trunkline.run.predicting import live_model
from trunkline.stats.calibration import NoiseFloor
from trunkline.stats.intervals import Interval

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["Evaluated", "evaluate_files", "evaluate_rows"]


class Evaluated(BaseModel):
    """The champion on rows it has never seen.

    Attributes:
        usecase: The use case.
        model_version: The champion's version.
        rows: Rows scored.
        seen: Rows left out because the champion was fitted to their entities.
        unlabelled: Rows left out because they have no label.
        refused: Rows that broke the contract.
        metrics: By scorer name, with 95 % intervals.
        ece_noise: What the calibration error of a perfect model would be by chance on so many rows; None for a
            regression.
        drawn_by: By what the intervals were drawn, in words: rows, whole groups or days; and why by rows where the
            task has groups.
    """

    model_config = ConfigDict(frozen=True)

    usecase: str
    model_version: str
    rows: int
    seen: int
    unlabelled: int
    refused: int
    metrics: Mapping[str, Interval]
    ece_noise: NoiseFloor | None
    drawn_by: str


def evaluate_files(
    workspace: "Workspace", usecase: "UseCase", *, files: tuple[Path, ...], mapping: Mapping[str, str]
) -> Evaluated:
    """Score the champion on labelled rows of files; nothing is written.

    Args:
        workspace: The workspace.
        usecase: The use case.
        files: Files of known forms.
        mapping: Source column to field name.

    Returns:
        Metrics with intervals on the rows that the champion has not seen.

    Raises:
        UseCaseError: The use case has no task.
        RowsRefusedError: No row fits the contract.
        LabelError: No row that is new to the champion has a label, or all have the same.
    """
    from trunkline.run.kinds import conduct_of

    return conduct_of(usecase).evaluate(workspace, usecase, files, mapping)


def evaluate_rows(
    workspace: "Workspace", usecase: "UseCase", files: tuple[Path, ...], mapping: Mapping[str, str]
) -> Evaluated:
    """Score a champion of rows, see :func:`evaluate_files`."""
    import pyarrow.compute as pc

    from trunkline.stats.calibration import ece_noise_floor
    from trunkline.tasks.comparison import drawn_by, score
    from trunkline.train import unseen_rows

    if usecase.task is None:
        raise UseCaseError(f"the use case {usecase.name!r} has no task, so there is nothing to score")
    version, model = live_model(workspace, usecase)
    given = fitting_rows(workspace, usecase, files=files, mapping=mapping)
    rows = given.rows
    unseen = unseen_rows(usecase, rows, [workspace.registry.folder(usecase.name)])
    labelled = unseen.filter(pc.is_valid(unseen.column(usecase.task.label)))
    if rows.column(usecase.task.label).null_count == rows.num_rows:
        raise LabelError(
            f"no row has a label: {usecase.task.label!r} is absent or null throughout",
            where=", ".join(map(str, files)),
            next_step="name the column with --map FILE.toml, or hand in rows whose outcome is known",
        )
    if labelled.num_rows == 0:
        raise LabelError(
            "no row is both labelled and new to the champion",
            where=f"{rows.num_rows} rows, {rows.num_rows - unseen.num_rows} of them seen in training",
            next_step="hand in labelled rows of entities that were not trained on",
        )
    seed = workspace.settings.seed
    metrics = score(model, labelled, seed=seed)
    noise = None
    if model.info.threshold is not None:
        noise = ece_noise_floor(model.predict(labelled).column("score").to_numpy(), seed=seed)
    return Evaluated(
        usecase=usecase.name,
        model_version=version,
        rows=labelled.num_rows,
        seen=rows.num_rows - unseen.num_rows,
        unlabelled=unseen.num_rows - labelled.num_rows,
        refused=given.refused,
        metrics=metrics,
        ece_noise=noise,
        drawn_by=drawn_by(labelled, model.info),
    )
