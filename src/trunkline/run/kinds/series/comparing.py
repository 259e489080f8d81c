"""Candidate against champion, hour ahead by hour ahead, on hours that neither was fitted to.

The candidate's forecasts are those of its rolling evaluation. The champion's are the same for hours before its training
ended, and its own for those after it. Differences are paired by series and hour, the interval is over days.
"""

from typing import TYPE_CHECKING

import numpy as np

from trunkline.run.steps.context import StepContext
from trunkline.run.steps.sameness import differ_in_run_alone
from trunkline.spec import NotWorseThanChampion
from trunkline.train import PairedEvidence, TrainDocument, main_table

if TYPE_CHECKING:
    import numpy.typing as npt

    from trunkline.tasks.forecasting import ForecastModel, Panel

__all__ = ["paired_series"]

_LEAST_PAIRS = 100


def paired_series(context: StepContext, trained: TrainDocument, champion: str) -> dict[str, PairedEvidence]:
    """Compare for each gate that asks; a positive difference says that the candidate's error is smaller."""
    from trunkline.run.kinds.series.reading import forecasting_of
    from trunkline.tasks.forecasting import ForecastModel
    from trunkline.tasks.forecasting.rolling import truths
    from trunkline.tasks.forecasting.scaling import seasonal_scale
    from trunkline.tasks.forecasting.scoring import day_interval, over_horizons

    workspace, usecase = context.workspace, context.usecase
    asked = [gate.metric for gate in usecase.gates if isinstance(gate, NotWorseThanChampion)]
    if not asked:
        return {}
    new = ForecastModel.load(workspace.root / trained.folder)
    at = workspace.registry.folder(usecase.name, champion)
    old = ForecastModel.load(at)
    rows, _ = main_table(usecase, workspace.lake, batches=trained.batches, without=trained.left_out)
    panel = forecasting_of(usecase).panel(rows)
    judged = _places(panel, new)
    origins = new.origins_in(panel)
    ours = new.out_of_fold.astype(np.float64)
    theirs = _unseen_medians(old, panel, judged, origins, threads=workspace.threads)
    truth = truths(panel, origins, horizons=ours.shape[1])[judged]
    unit = seasonal_scale(panel.targets.values)[judged][:, None, None]
    both = np.isfinite(ours) & np.isfinite(theirs) & np.isfinite(truth)
    better = np.where(both, (np.abs(truth - theirs) - np.abs(truth - ours)) / unit, np.nan)
    same = not differ_in_run_alone(workspace.root / trained.folder, at) and bool((better[both] == 0).all())
    found = {}
    for metric in asked:
        place = int(metric.removeprefix("mase_h")) - 1 if metric.startswith("mase_h") else None
        values = better[:, place] if place is not None else over_horizons(better)
        pairs = int(np.isfinite(values).sum())
        if pairs < _LEAST_PAIRS:
            continue
        interval = day_interval(values, seed=workspace.settings.seed)
        found[metric] = PairedEvidence(
            metric=metric,
            champion=champion,
            difference=interval.value,
            low=interval.low,
            high=interval.high,
            rows=pairs,
            unseen=True,
            same_recipe=same,
            drawn_by="whole days",
        )
    return found


def _places(panel: "Panel", model: "ForecastModel") -> "npt.NDArray[np.int64]":
    """Where the judged series of a model stand in a panel; both come from the same rows."""
    place = {
        (panel.groups[group], server): row
        for row, (group, server) in enumerate(zip(panel.targets.group, panel.servers, strict=True))
    }
    named = [model.info.series[one] for one in model.judged]
    return np.array([place[one.group, one.server] for one in named], dtype=np.int64)


def _unseen_medians(
    old: "ForecastModel",
    panel: "Panel",
    judged: "npt.NDArray[np.int64]",
    origins: "npt.NDArray[np.int64]",
    *,
    threads: int,
) -> "npt.NDArray[np.float64]":
    """What the champion says of hours it was not fitted to, shape (judged, horizons, origins); NaN where nothing."""
    ahead = len(old.blends)
    made = np.full((len(judged), ahead, len(origins)), np.nan)
    ended = panel.place_of(old.info.trained_until)
    later = origins > ended
    if later.any():
        made[:, :, later] = old.medians(panel, origins[later], threads=threads)[judged]
    first = int(old.origins_in(panel)[0]) if old.out_of_fold.shape[2] else 0
    known = {old.info.series[one].server: row for row, one in enumerate(old.judged)}
    for row, place in enumerate(judged):
        before = known.get(panel.servers[place])
        if before is None:
            continue
        column = origins[~later] - first
        fits = (column >= 0) & (column < old.out_of_fold.shape[2])
        target = np.flatnonzero(~later)[fits]
        made[row][:, target] = old.out_of_fold[before][:, column[fits]]
    return made
