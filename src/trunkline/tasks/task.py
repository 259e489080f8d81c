"""What every kind of learning offers the platform, and what it hands over."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from trunkline.tasks.features import Feature

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.folds import Places
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
        fitted_rows: Places, in the table handed in, of the rows the model was fitted to, rising, shape (rows,).
    """

    model: "Model"
    report: "TrainingReport"
    fitted_rows: "Places"


class Task(Protocol):
    """A kind of learning, declared as data."""

    @property
    def name(self) -> str:
        """The kind of learning."""
        ...

    @property
    def label(self) -> str:
        """The column to predict."""
        ...

    @property
    def group(self) -> str | None:
        """Column whose values never stand on both sides of a split; None where rows are independent."""
        ...

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns to predict it from."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Every table column that training reads."""
        ...

    def present_in(self, table: "pa.Table") -> Self:
        """Leave out the inputs that a table does not have."""
        ...

    def train(
        self, table: "pa.Table", *, seed: int, threads: int = 1, progress: Progress = lambda _phase, _share: None
    ) -> Trained:
        """Learn from typed rows."""
        ...
