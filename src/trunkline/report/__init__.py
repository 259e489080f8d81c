"""The page of one run: model card, curves, calibration, profit, slices, drift, as one self-contained HTML text."""

from trunkline.report.content import (
    FieldFacts,
    Lineage,
    ModelFacts,
    PredictionsSummary,
    ReportContent,
    RunState,
    StepTime,
    UseCaseFacts,
)
from trunkline.report.page import SECTIONS, render

__all__ = [
    "SECTIONS",
    "FieldFacts",
    "Lineage",
    "ModelFacts",
    "PredictionsSummary",
    "ReportContent",
    "RunState",
    "StepTime",
    "UseCaseFacts",
    "render",
]
