"""What every kind of learning offers the platform, and what it hands over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trunkline.tasks.features import Feature

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.model import Model
    from trunkline.tasks.report import TrainingReport

__all__ = ["Progress", "Task", "Trained"]

Progress = Callable[[str, float], None]
"""Told the name of the phase and the share of it that is done, in [0, 1]."""


@dataclass(frozen=True)
class Trained:
    """What training gives.

    Attributes:
        model: The model.
        report: Everything that was measured on the way.
    """

    model: "Model"
    report: "TrainingReport"


class Task(Protocol):
    """A kind of learning, declared as data."""

    @property
    def label(self) -> str:
        """The column to predict."""
        ...

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns to predict it from."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Every table column that training reads."""
        ...

    def train(
        self, table: "pa.Table", *, seed: int, threads: int = 1, progress: Progress = lambda _phase, _share: None
    ) -> Trained:
        """Learn from typed rows."""
        ...
