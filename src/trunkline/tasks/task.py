"""What every kind of learning offers the platform, and what it hands over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from trunkline.tasks.features import Feature

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.tasks.folds import Places
    from trunkline.tasks.kinds import AnyCard, AnyReport
    from trunkline.tasks.model import Model
    from trunkline.tasks.report import TrainingReport

__all__ = ["Learned", "Progress", "Task", "Trained", "TrainedRows"]

Progress = Callable[[str, float], None]
"""Told the name of the phase and the share of it that is done, in [0, 1]."""


class Learned(Protocol):
    """A model of any kind, as far as the platform keeps and moves it."""

    @property
    def info(self) -> "AnyCard":
        """What it says of itself."""
        ...

    @property
    def fingerprint(self) -> str:
        """Sha256 of ``model.json``, which holds those of all other files; hex."""
        ...

    def with_lineage(self, **facts: object) -> "Learned":
        """Give the same model with more facts in ``info.lineage``; they must be JSON."""
        ...

    def save(self, folder: Path) -> str:
        """Write the model's folder, whole or not at all, and give the fingerprint."""
        ...


@dataclass(frozen=True)
class Trained:
    """What training gives.

    Attributes:
        model: The model.
        report: Everything that was measured on the way.
        fitted_rows: Places, in the table handed in, of the rows the model was fitted to, rising, shape (rows,); None
            where the model itself says up to when it has seen everything.
    """

    model: Learned
    report: "AnyReport"
    fitted_rows: "Places | None"


@dataclass(frozen=True)
class TrainedRows(Trained):
    """What training gives whose model answers rows.

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

    @property
    def reads_history(self) -> bool:
        """Whether all rows are one history, of which a run reads everything and not only what it took in."""
        ...

    def present_in(self, table: "pa.Table") -> Self:
        """Leave out the inputs that a table does not have."""
        ...

    def train(
        self, table: "pa.Table", *, seed: int, threads: int = 1, progress: Progress = lambda _phase, _share: None
    ) -> Trained:
        """Learn from typed rows."""
        ...
