"""What steps do differently by the kind of learning: one record of functions per kind, looked up once.

A kind that is added adds a line here (docs/decisions/0017-kinds-of-learning.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import UseCaseError

if TYPE_CHECKING:
    from trunkline.contracts.records import Reading
    from trunkline.monitor import SourceHealth
    from trunkline.run.evaluating import Evaluated
    from trunkline.run.predicting import PredictDocument
    from trunkline.run.steps.context import StepContext
    from trunkline.run.watching import MonitorDocument
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase
    from trunkline.train import PairedEvidence, TrainDocument

__all__ = ["Conduct", "conduct_of"]


@dataclass(frozen=True)
class Conduct:
    """How a kind of learning is run.

    Attributes:
        predict: Lets the champion answer.
        monitor: Watches the champion; tells of its sources how they stand.
        paired: Compares the candidate of a training with the champion, by metric.
        drift: Compares the rows that the candidate was made of with those that the champion was made of.
        evaluate: Scores the champion on files that it has never seen.
    """

    predict: "Callable[[StepContext], PredictDocument]"
    monitor: "Callable[[StepContext, Sequence[SourceHealth]], MonitorDocument]"
    paired: "Callable[[StepContext, TrainDocument, str], Mapping[str, PairedEvidence]]"
    drift: "Callable[[StepContext, TrainDocument, str], tuple[Reading, ...]]"
    evaluate: "Callable[[Workspace, UseCase, tuple[Path, ...], Mapping[str, str]], Evaluated]"


def conduct_of(usecase: "UseCase") -> Conduct:
    """Give the conduct of a use case's task.

    Raises:
        UseCaseError: It has no task.
    """
    if usecase.task is None:
        raise UseCaseError(f"the use case {usecase.name!r} has no task, so there is nothing to score")
    return _CONDUCT[usecase.task.name]()


def _rows() -> Conduct:
    from trunkline.run.evaluating import evaluate_rows
    from trunkline.run.kinds.rows import drift_since, paired_evidence
    from trunkline.run.predicting import predict_rows
    from trunkline.run.watching import monitor_rows

    return Conduct(predict_rows, monitor_rows, paired_evidence, drift_since, evaluate_rows)


def _series() -> Conduct:
    from trunkline.run.kinds.series import (
        drifted_series,
        evaluate_series,
        monitor_series,
        paired_series,
        predict_series,
    )

    return Conduct(predict_series, monitor_series, paired_series, drifted_series, evaluate_series)


_CONDUCT: Final[Mapping[str, Callable[[], Conduct]]] = {
    "classification": _rows,
    "regression": _rows,
    "forecasting": _series,
}
