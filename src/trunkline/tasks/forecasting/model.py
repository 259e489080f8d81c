"""A forecasting model at rest and at work.

On disk it is a folder: ``model.json`` (all that is declared and learned as data, with the sha256 of the other files),
one file per hour ahead and view in the booster's own text, and the state of the intervals as plain arrays. There is no
pickle; a folder that is not what was written is refused.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trunkline.errors import TamperedError
from trunkline.tasks.files import read_folder, write_folder
from trunkline.tasks.forecasting.blending import Blend, View
from trunkline.tasks.forecasting.boosting import Booster
from trunkline.tasks.forecasting.card import ForecastCard
from trunkline.tasks.forecasting.declaration import Forecasting
from trunkline.tasks.forecasting.design import LOOKBACK, Design, Slot, Slots
from trunkline.tasks.forecasting.intervals import advance
from trunkline.tasks.forecasting.panel import HOUR, Floats, Panel, Places
from trunkline.tasks.forecasting.rolling import calendar_of, medians, truths
from trunkline.tasks.forecasting.scaling import Scales, learn_scales
from trunkline.tasks.forecasting.tracking import Tracker, exceedance, quantiles_at

__all__ = ["ForecastModel", "Forecasts"]

_FORMAT: Final = 2
_FORMATS: Final = (1, _FORMAT)
"""What is read: the first has one booster per hour ahead, which counts from the newest value."""

_STATE: Final = ("size", "quantiles", "bias")
_LONGEST_REPLAY: Final = timedelta(days=28)
_MOST_REPLAYED: Final = 3_000_000


@dataclass(frozen=True)
class Forecasts:
    """Forecasts made at one hour.

    Attributes:
        panel: The series.
        origin: The newest known hour, a place of the panel.
        median: What the boosters say, as the rolling evaluation judges it, kept between the 10 and 90 % quantiles,
            shape (series, horizons), unit of the metric; NaN where a series had no value for a week.
        mean: Expected value.
        quantiles: Shape (series, horizons, levels).
        limit: What warnings are given for, by series; NaN where there is none.
        exceeds: Probability of a value above the limit, shape (series, horizons).
        degraded: Whether a series lacked its newest value, shape (series,).
    """

    panel: Panel
    origin: int
    median: Floats
    mean: Floats
    quantiles: Floats
    limit: Floats
    exceeds: Floats
    degraded: npt.NDArray[np.bool_]

    def quantile(self, level: float) -> Floats:
        """One quantile, shape (series, horizons)."""
        return quantiles_at(self.quantiles, level)


@dataclass(frozen=True)
class ForecastModel:
    """What a forecasting task learned.

    Attributes:
        info: What it says of itself.
        blends: One per hour ahead.
        slots: Where covariates stand among the inputs.
        tracker: State of the intervals when the newest hour of training was known, by series of ``info``.
        out_of_fold: Medians of the rolling evaluation, unit of the metric, shape (judged, horizons, origins).
        judged: Place of each judged series in ``info.series``.
        first_origin: Hours from ``info.trained_from`` to the first origin of ``out_of_fold``.
    """

    info: ForecastCard
    blends: tuple[Blend, ...]
    slots: Slots
    tracker: Tracker
    out_of_fold: npt.NDArray[np.float32]
    judged: Places
    first_origin: int

    @property
    def task(self) -> Forecasting:
        """The declaration that it was learned by."""
        return Forecasting.model_validate(dict(self.info.recipe))

    def design(self, panel: Panel, *, since: int = 0) -> Design:
        """Inputs of a panel, with the scales that training has learned; a series that is new has its own.

        Args:
            panel: The series.
            since: First hour that is looked at but for the scales of new series; hour 0 of the design.
        """
        places = self._places(panel)
        own = learn_scales(panel.targets.values) if (places < 0).any() else None
        known = np.maximum(places, 0)
        scale = np.array([one.scale for one in self.info.series])[known]
        whisker = np.array([np.inf if one.outlier_limit is None else one.outlier_limit for one in self.info.series])[
            known
        ]
        if own is not None:
            scale, whisker = np.where(places < 0, own.scale, scale), np.where(places < 0, own.whisker, whisker)
        codes = np.where(places < 0, np.nan, places) if "series" in self.info.inputs else None
        seen = panel.since(since)
        return Design(seen, Scales(scale, whisker), calendar_of(self.task, seen), self.slots, codes=codes)

    def medians(self, panel: Panel, origins: Places, *, threads: int = 1) -> Floats:
        """Forecast medians at some hours, shape (series, horizons, origins), unit of the metric."""
        return medians(self.design(panel), self.blends, origins, threads=threads)

    def origins_in(self, panel: Panel) -> Places:
        """Hours of ``out_of_fold``, as places of a panel; training may have begun later than the panel."""
        return np.arange(self.out_of_fold.shape[2]) + self.first_origin + panel.place_of(self.info.trained_from)

    def forecast(self, panel: Panel, origin: int, *, past: Floats | None = None, threads: int = 1) -> Forecasts:
        """Forecast the hours after one hour.

        Args:
            panel: The series; hours after ``origin`` are not looked at but for covariates that are known ahead.
            origin: The newest known hour.
            past: Medians that this model gave at the hours before, shape (series, horizons, origin); NaN where it gave
                none: those are made now, as far as they are needed and few. None: none was given.
            threads: Threads of the learner.
        """
        learned = max(panel.place_of(self.info.trained_until), origin - int(_LONGEST_REPLAY / HOUR), -1)
        replayed = range(max(learned + 1 - len(self.blends), 0), origin) if learned < origin else range(0)
        made = self._made(panel, replayed, past=past)
        lacking = self._lacking(made)
        asked = np.append(lacking + replayed.start, origin)
        since = max(int(asked[0]) - LOOKBACK, 0)
        design = self.design(panel, since=since)
        found = medians(design, self.blends, asked - since, threads=threads)
        made[:, :, lacking], now = found[:, :, :-1], found[:, :, -1]
        scale = design.scales.scale
        tracker = self._tracked(panel.until(origin), replayed, made / scale[:, None, None], scale, learned=learned)
        quantiles = now[..., None] + tracker.current() * scale[:, None, None]
        mean = now + tracker.mean_error() * scale[:, None]
        limit = self._limits(panel, design)
        series = np.arange(len(now))
        return Forecasts(
            panel=panel,
            origin=origin,
            median=np.clip(now, quantiles_at(quantiles, 0.1), quantiles_at(quantiles, 0.9)),
            mean=mean,
            quantiles=quantiles,
            limit=limit,
            exceeds=exceedance(quantiles, np.broadcast_to(limit[:, None], now.shape)),
            degraded=design.stale(series, np.full(len(now), origin - since)),
        )

    def _made(self, panel: Panel, replayed: range, *, past: Floats | None) -> Floats:
        """Medians given at some hours, shape (series, horizons, hours), unit of the metric; NaN where none was."""
        if past is not None:
            return past[:, :, replayed.start : replayed.stop].copy()
        return np.full((len(panel.targets.names), len(self.blends), len(replayed)), np.nan)

    @staticmethod
    def _lacking(made: Floats) -> Places:
        """The newest of the hours at which no forecast was given, as many as are made in a moment."""
        lacking = np.flatnonzero(~np.isfinite(made).any(axis=(0, 1)))
        series, horizons, _ = made.shape
        most = _MOST_REPLAYED // max(series * horizons, 1)
        return lacking[len(lacking) - min(most, len(lacking)) :]

    def _tracked(self, panel: Panel, replayed: range, made: Floats, scale: Floats, *, learned: int) -> Tracker:
        """The intervals as they are once the newest hour of a panel is known.

        Args:
            panel: The series, up to that hour.
            replayed: Hours whose forecasts are learned from.
            made: Medians given at them, in scale.
            scale: Of each series.
            learned: Newest hour that training has learned from already.
        """
        tracker = self._tracker_of(panel)
        if not replayed:
            return tracker
        ahead = made.shape[1]
        errors = truths(panel, np.arange(replayed.start, replayed.stop), horizons=ahead) / scale[:, None, None] - made
        for place in range(ahead):
            errors[:, place, : max(learned - place - replayed.start, 0)] = np.nan
        closing = np.full((*errors.shape[:2], 1), np.nan)
        advance(tracker, np.concatenate([errors, closing], axis=2))
        return tracker

    def _tracker_of(self, panel: Panel) -> Tracker:
        places = self._places(panel)
        known = np.maximum(places, 0)
        tracker = self.tracker.copy()
        state = {name: getattr(tracker, name)[known] for name in _STATE}
        if (places < 0).any():
            for name, values in state.items():
                values[places < 0] = np.median(getattr(tracker, name), axis=0)
        return Tracker(state["size"], state["quantiles"], state["bias"], tracker.step, tracker.memory)

    def _limits(self, panel: Panel, design: Design) -> Floats:
        known = {one.server: one.limit for one in self.info.series}
        said = [known.get(server) for server in panel.servers]
        own = np.where(np.isfinite(design.scales.whisker), design.scales.whisker, np.nan)
        return np.array([own[place] if limit is None else limit for place, limit in enumerate(said)], dtype=np.float64)

    def _places(self, panel: Panel) -> Places:
        """Place of each series of a panel in training; -1 for one that is new."""
        known = {(one.group, one.server): place for place, one in enumerate(self.info.series)}
        named = zip(panel.targets.group, panel.servers, strict=True)
        return np.array([known.get((panel.groups[group], server), -1) for group, server in named], dtype=np.int64)

    def with_lineage(self, **facts: object) -> "ForecastModel":
        """Give the same model with more facts in ``info.lineage``; they must be JSON."""
        return replace(self, info=self.info.model_copy(update={"lineage": {**self.info.lineage, **facts}}))

    @property
    def fingerprint(self) -> str:
        """Sha256 of ``model.json``, which holds those of all other files; hex."""
        return hashlib.sha256(self._files()[MODEL_FILE]).hexdigest()

    def save(self, folder: Path) -> str:
        """Write the model's folder, whole or not at all.

        Args:
            folder: Must not exist, or be a model folder, which is replaced.

        Returns:
            The fingerprint.
        """
        files = self._files()
        write_folder(folder, files)
        return hashlib.sha256(files[MODEL_FILE]).hexdigest()

    def _files(self) -> dict[str, bytes]:
        files = {
            _booster_file(place, view, one): one.text.encode()
            for place, blend in enumerate(self.blends)
            for view, one in blend.boosters.items()
        }
        files |= {f"{name}.npy": _bytes(getattr(self.tracker, name).astype(np.float32)) for name in _STATE}
        files["out_of_fold.npy"] = _bytes(self.out_of_fold)
        document = {
            "format": _FORMAT,
            "info": self.info.model_dump(mode="json"),
            "blends": [
                {
                    "usual": blend.usual,
                    "boosters": {
                        view: {"library": one.library, "file": _booster_file(place, view, one)}
                        for view, one in blend.boosters.items()
                    },
                }
                for place, blend in enumerate(self.blends)
            ],
            "tracker": {"step": self.tracker.step, "memory": self.tracker.memory},
            "slots": [
                {"group": group, "server": server, "metric": metric, **asdict(slot)}
                for (group, server, metric), slot in sorted(self.slots.items())
            ],
            "judged": self.judged.tolist(),
            "first_origin": self.first_origin,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return {**files, MODEL_FILE: text.encode()}

    @classmethod
    def load(cls, folder: Path, *, fingerprint: str | None = None) -> "ForecastModel":
        """Read a model's folder.

        Args:
            folder: What ``save`` wrote.
            fingerprint: What ``save`` returned, where the caller kept it; anything else is refused.

        Raises:
            TamperedError: A file is missing, or is not what was written.
        """
        document, files = read_folder(folder, fingerprint=fingerprint, formats=_FORMATS)
        try:
            state = {name: _array(files[f"{name}.npy"]).astype(np.float64) for name in _STATE}
            return cls(
                info=ForecastCard.model_validate(document["info"]),
                blends=tuple(
                    Blend(
                        {
                            view: Booster(one["library"], files[one["file"]].decode())
                            for view, one in blend["boosters"].items()
                        },
                        float(blend["usual"]),
                    )
                    for blend in _blends(document)
                ),
                slots={
                    (one["group"], one["server"], one["metric"]): Slot(one["slot"], one["scale"], one["ahead"])
                    for one in document["slots"]
                },
                tracker=Tracker(
                    state["size"],
                    state["quantiles"],
                    state["bias"],
                    float(document["tracker"]["step"]),
                    float(document["tracker"]["memory"]),
                ),
                out_of_fold=_array(files["out_of_fold.npy"]),
                judged=np.array(document["judged"], dtype=np.int64),
                first_origin=int(document["first_origin"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise TamperedError(
                f"the model cannot be read: {type(error).__name__}",
                where=str(folder),
                next_step="restore the folder, or promote another version",
            ) from error


MODEL_FILE: Final = "model.json"


def _blends(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if document["format"] == 1:
        return [{"usual": 0.0, "boosters": {"newest": one}} for one in document["boosters"]]
    found: list[Mapping[str, Any]] = document["blends"]
    return found


def _booster_file(place: int, view: View, booster: Booster) -> str:
    return f"h{place + 1}_{view}.{'txt' if booster.library == 'lightgbm' else 'json'}"


def _bytes(values: npt.NDArray[np.float32]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.ascontiguousarray(values), allow_pickle=False)
    return sink.getvalue()


def _array(content: bytes) -> npt.NDArray[np.float32]:
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), dtype=np.float32)
