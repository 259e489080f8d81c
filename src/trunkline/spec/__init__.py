"""The UseCase object and its protocols: what a plug-in author writes."""

from trunkline.spec.audience import Audience, Offer, Segment
from trunkline.spec.derived import Derived, Full, Incremental
from trunkline.spec.gates import (
    BeatsBaselines,
    Calibrated,
    CoverageWithin,
    FairDecisions,
    FairSlices,
    Gate,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
)
from trunkline.spec.live import LiveChart
from trunkline.spec.publish import Publication
from trunkline.spec.retraining import Retrain
from trunkline.spec.sources import Schedule
from trunkline.spec.usecase import Recording, Simulation, Simulator, Unwrap, UseCase, Watch
from trunkline.spec.watched import FaultLog, Meaning, Places, WatchedSeries
from trunkline.spec.windows import Ewma, HalfSpace, Lookup, Windowed, WindowRule, Windows

__all__ = [
    "Audience",
    "BeatsBaselines",
    "Calibrated",
    "CoverageWithin",
    "Derived",
    "Ewma",
    "FairDecisions",
    "FairSlices",
    "FaultLog",
    "Full",
    "Gate",
    "HalfSpace",
    "Incremental",
    "Latency",
    "LiveChart",
    "Lookup",
    "Meaning",
    "MinimumMetric",
    "NoLeakage",
    "NotWorseThanChampion",
    "Offer",
    "OnnxEqual",
    "Places",
    "Publication",
    "Recording",
    "Retrain",
    "Schedule",
    "Segment",
    "Simulation",
    "Simulator",
    "Unwrap",
    "UseCase",
    "Watch",
    "WatchedSeries",
    "WindowRule",
    "Windowed",
    "Windows",
]
