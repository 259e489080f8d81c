"""Which cells serve their customers badly, and need maintenance? Performance tables as network teams know them.

``Choices`` is what an operator may set under ``[usecases.towers]``; the use case is made from it.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from trunkline.spec import Derived, UseCase
from trunkline.usecases.towers.contracts import CellPeriod, Customer, Usage
from trunkline.usecases.towers.indicators import Profile, watched
from trunkline.usecases.towers.performance import (
    RowOfCell,
    cell_performance,
    customer_metrics,
    customers_services,
    customers_thresholds,
    losses,
    without_values,
)
from trunkline.usecases.towers.simulate import simulate
from trunkline.usecases.towers.tables import CellTowerPerformance, CustomerServiceMetrics

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["Choices", "towers", "usecase"]


class Choices(BaseModel, frozen=True, extra="forbid"):
    """What may be set of this use case."""

    maintenance_at: int = Field(15, ge=1, le=25, description="Flags from which on a cell needs maintenance (of 25).")
    profile: Profile = Field(
        "usual", description="usual flags few dropped or blocked calls (drop_blk_Mean below the mean), corrected many."
    )
    row_of_cell: RowOfCell = Field(
        "first", description="Row that stands for a cell whose measurements repeat: the first that came, or the last."
    )
    usage_rows: int = Field(6, ge=1, description="Most rows of usage of one customer, in the order in which they came.")


def towers(choices: Choices) -> UseCase:
    """Make the use case.

    Args:
        choices: What was set.
    """
    indicators = watched(choices.profile)

    def customer_notes(tables: "Mapping[str, ir.Table]") -> "ir.Table":
        lost = losses(tables, rows_per_customer=choices.usage_rows)
        return lost.cross_join(without_values(tables["rows"], indicators))

    return UseCase(
        name="towers",
        title="Cell towers",
        question="Which cells serve their customers badly, and need maintenance?",
        datasets={"thresholds": CellPeriod, "customers": Customer, "usage": Usage},
        derived={
            "customer_service_metrics": Derived(
                contract=CustomerServiceMetrics,
                inputs=("customers", "thresholds", "usage"),
                steps={
                    "customers_thresholds": partial(customers_thresholds, row_of_cell=choices.row_of_cell),
                    "customers_services": partial(customers_services, rows_per_customer=choices.usage_rows),
                },
                expression=partial(customer_metrics, indicators=indicators),
                notes=customer_notes,
                in_order=True,
            ),
            "cell_tower_performance": Derived(
                contract=CellTowerPerformance,
                inputs=("customer_service_metrics",),
                expression=partial(cell_performance, indicators=indicators, maintenance_at=choices.maintenance_at),
                notes=lambda tables: without_values(tables["rows"], indicators),
            ),
        },
        main="customers",
        task=None,
        metric="f1",
        simulate=simulate,
        simulated_rows=200,
        choices=Choices,
        chosen=towers,
    )


usecase = towers(Choices())
"""The use case as it is where nothing is set."""
