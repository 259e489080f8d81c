"""The champion on hours of files that it has never seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trunkline.errors import LabelError
from trunkline.run.evaluating import Evaluated
from trunkline.run.looking import fitting_rows

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["evaluate_series"]


def evaluate_series(
    workspace: "Workspace", usecase: "UseCase", files: tuple[Path, ...], mapping: Mapping[str, str]
) -> Evaluated:
    """Forecast every hour of files after the champion's training, and compare with what came; nothing is written.

    Args:
        workspace: The workspace.
        usecase: The use case.
        files: Files of the main dataset.
        mapping: Source column to field name.

    Returns:
        Scaled errors by hour ahead, with intervals; the scale is that of training.

    Raises:
        RowsRefusedError: No row fits the contract.
        LabelError: No hour is new to the champion.
    """
    import ibis

    from trunkline.run.kinds.series.reading import forecasting_of, live_series
    from trunkline.tasks.forecasting.rolling import truths
    from trunkline.tasks.forecasting.scoring import day_interval

    task = forecasting_of(usecase)
    version, model = live_series(workspace, usecase)
    given = fitting_rows(workspace, usecase, files=files, mapping=mapping)
    rows = given.rows
    if usecase.table_features is not None:
        rows = workspace.lake.engine.arrow(usecase.table_features({usecase.main: ibis.memtable(rows)}))
    panel = task.panel(rows)
    ended = panel.place_of(model.info.trained_until)
    origins = np.arange(max(ended, 47), panel.hours - 1)
    values = panel.targets.values
    if len(origins) < 1:
        raise LabelError(
            "no hour of the files is new to the champion",
            where=f"version {version} has seen all up to {model.info.trained_until:%Y-%m-%d %H:%M} UTC",
            next_step="hand in later hours, with at least two days before them",
        )
    made = model.medians(panel, origins, threads=workspace.threads)
    truth = truths(panel, origins, horizons=task.horizons)
    scaled = np.abs(truth - made) / model.design(panel).scales.scale[:, None, None]
    seed = workspace.settings.seed
    metrics = {
        f"mase_h{place + 1}": day_interval(scaled[:, place], seed=seed + place) for place in range(task.horizons)
    }
    metrics["mase"] = day_interval(np.nanmean(scaled, axis=1), seed=seed)
    return Evaluated(
        usecase=usecase.name,
        model_version=version,
        rows=int(np.isfinite(values[:, origins[0] + 1 :]).sum()),
        seen=int(np.isfinite(values[:, : origins[0] + 1]).sum()),
        unlabelled=int((~np.isfinite(values[:, origins[0] + 1 :])).sum()),
        refused=given.refused,
        metrics=metrics,
        ece_noise=None,
    )
