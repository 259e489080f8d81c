"""The kinds of learning, where something at rest must be told apart: models by their folder, reports by their kind.

A new kind adds its record to ``AnyReport`` and ``AnyCard`` and its class to the table of :func:`load_model`; steps,
gates and pages meet it through the protocols of ``trunkline.tasks.task``.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from trunkline.errors import TamperedError
from trunkline.tasks.files import MODEL_FILE
from trunkline.tasks.forecasting.card import ForecastCard
from trunkline.tasks.forecasting.report import ForecastReport
from trunkline.tasks.info import ModelInfo, TaskKind
from trunkline.tasks.report import TrainingReport
from trunkline.tasks.task import Learned

__all__ = ["AnyCard", "AnyReport", "load_model"]

AnyReport = Annotated[TrainingReport | ForecastReport, Field(discriminator="task")]
"""What a training of any kind reports."""

AnyCard = Annotated[ModelInfo | ForecastCard, Field(discriminator="task")]
"""What a model of any kind says of itself."""


def load_model(folder: Path, *, fingerprint: str | None = None) -> Learned:
    """Read a model's folder, whatever its kind.

    Args:
        folder: What ``save`` wrote.
        fingerprint: What ``save`` returned, where the caller kept it; anything else is refused.

    Raises:
        TamperedError: A file is missing, or is not what was written.
    """
    try:
        kind = json.loads((folder / MODEL_FILE).read_bytes())["info"]["task"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TamperedError(
            f"the model cannot be read: {type(error).__name__}",
            where=str(folder),
            next_step="restore the folder, or promote another version",
        ) from error
    if kind not in _LOADERS:
        raise TamperedError(f"unknown kind of model {kind!r}", where=str(folder), allowed=_LOADERS)
    return _LOADERS[kind](folder, fingerprint)


def _rows(folder: Path, fingerprint: str | None) -> Learned:
    from trunkline.tasks.model import Model

    return Model.load(folder, fingerprint=fingerprint)


def _series(folder: Path, fingerprint: str | None) -> Learned:
    from trunkline.tasks.forecasting.model import ForecastModel

    return ForecastModel.load(folder, fingerprint=fingerprint)


_LOADERS: Final[Mapping[TaskKind, Callable[[Path, str | None], Learned]]] = {
    "classification": _rows,
    "regression": _rows,
    "forecasting": _series,
}
