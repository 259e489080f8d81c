"""The champion on hours of files that it has never seen."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trunkline.errors import LabelError, SourceError
from trunkline.run.evaluating import Evaluated
from trunkline.run.looking import fitting_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["evaluate_series"]

_LEAST_HISTORY = 48


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
    import pyarrow.compute as pc

    from trunkline.run.kinds.series.reading import forecasting_of, live_series
    from trunkline.tasks.forecasting.rolling import truths
    from trunkline.tasks.forecasting.scoring import day_interval

    task = forecasting_of(usecase)
    version, model = live_series(workspace, usecase)
    given = fitting_rows(workspace, usecase, files=files, mapping=mapping, featured=False)
    rows = _long(workspace, usecase, given.rows)
    began = pc.min(rows.column(task.at)).as_py()
    panel = task.panel(_after_the_lake(workspace, usecase, rows, began=began))
    ended = max(panel.place_of(model.info.trained_until), panel.place_of(began) - 1)
    origins = np.arange(max(ended, _LEAST_HISTORY - 1), panel.hours - 1)
    values = panel.targets.values
    if len(origins) < 1 or not np.isfinite(values[:, origins[0] + 1 :]).any():
        raise LabelError(
            "no hour of the files is new to the champion",
            where=f"version {version} has seen all up to {model.info.trained_until:%Y-%m-%d %H:%M} UTC",
            next_step="hand in later hours, with at least two days before them in the lake or in the files",
        )
    made = model.medians(panel, origins, threads=workspace.threads)
    truth = truths(panel, origins, horizons=task.horizons)
    scaled = np.abs(truth - made) / model.design(panel).scales.scale[:, None, None]
    seed = workspace.settings.seed
    parts = {f"mase_h{place + 1}": scaled[:, place] for place in range(task.horizons)}
    parts["mase"] = np.concatenate(list(parts.values()))
    metrics = {
        name: day_interval(part, seed=seed + number)
        for number, (name, part) in enumerate(parts.items())
        if np.isfinite(part).any()
    }
    return Evaluated(
        usecase=usecase.name,
        model_version=version,
        rows=int(np.isfinite(values[:, origins[0] + 1 :]).sum()),
        seen=int(np.isfinite(values[:, panel.place_of(began) : origins[0] + 1]).sum()),
        unlabelled=int((~np.isfinite(values[:, origins[0] + 1 :])).sum()),
        refused=given.refused,
        metrics=metrics,
        ece_noise=None,
        drawn_by="whole days",
    )


def _long(workspace: "Workspace", usecase: "UseCase", rows: "pa.Table") -> "pa.Table":
    """Rows of the main dataset as the task reads them."""
    if usecase.table_features is None:
        return rows
    return workspace.engine.arrow(usecase.table_features({usecase.main: workspace.engine.table(rows)}))


def _after_the_lake(workspace: "Workspace", usecase: "UseCase", rows: "pa.Table", *, began: datetime) -> "pa.Table":
    """The rows of files, after the hours of the lake that lie before them: forecasts rest on those."""
    import pyarrow as pa

    from trunkline.run.kinds.series.reading import forecasting_of
    from trunkline.train.trainer import feature_table

    task = forecasting_of(usecase)
    try:
        known, _ = feature_table(usecase, workspace.lake)
    except SourceError:
        return rows
    before = workspace.engine.arrow(known.filter(known[task.at] < began).select(*rows.column_names))
    return pa.concat_tables([before.cast(rows.schema), rows])
