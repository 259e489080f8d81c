"""How much is fitted, by how many series share a model.

A few series are told apart by name, and each hour ahead has two boosters whose forecasts are averaged: with few rows a
fit is noisy, and the average of two is less so. Many series have rows enough: one booster that counts from the average
of both views says the same for half the work, and more rows than a bound add little.
"""

from dataclasses import dataclass
from typing import Final

from trunkline.tasks.forecasting.blending import Averaged
from trunkline.tasks.forecasting.declaration import Forecasting

__all__ = ["Effort", "effort_of"]

_FEW_SERIES: Final = 64


@dataclass(frozen=True)
class Effort:
    """How much is fitted.

    Attributes:
        named: Whether the series are told apart.
        averaged: Whether the views are averaged before the fit or after it.
        most_rows: Most rows of one fit; drawn evenly.
    """

    named: bool
    averaged: Averaged
    most_rows: int


def effort_of(task: Forecasting, series: int) -> Effort:
    """Settle how much is fitted; the rolling evaluation of some of the series goes by the number of all.

    Args:
        task: The declaration.
        series: Series that share the model.
    """
    if series <= _FEW_SERIES:
        return Effort(named=True, averaged="after", most_rows=task.most_rows)
    return Effort(named=False, averaged="before", most_rows=min(task.most_rows, task.most_rows_of_many))
