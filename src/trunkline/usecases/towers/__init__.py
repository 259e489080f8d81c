"""Which cells serve their customers badly, and need maintenance? Performance tables, and anomalies that are learned.

``Choices`` is what an operator may set under ``[usecases.towers]``; the use case is made from it.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from trunkline.spec import (
    Calibrated,
    Derived,
    FaultLog,
    Latency,
    MinimumMetric,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
    Places,
    Publication,
    UseCase,
    WatchedSeries,
)
from trunkline.tasks import Classification
from trunkline.tasks.anomaly import Budget
from trunkline.tasks.anomaly.alarms import Alarm
from trunkline.usecases.towers.anomalies import MEANINGS, OF_COUNTERS, diagnosed, indicator_rows
from trunkline.usecases.towers.contracts import CellCounters, CellFault, CellPeriod, CellSite, Customer, Usage
from trunkline.usecases.towers.features import FEATURES, cell_periods
from trunkline.usecases.towers.indicators import Profile, watched
from trunkline.usecases.towers.learners import LEARNERS
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
    joined = ("customers", "thresholds", "usage")
    joins = {
        "customers_thresholds": partial(customers_thresholds, row_of_cell=choices.row_of_cell),
        "customers_services": partial(customers_services, rows_per_customer=choices.usage_rows),
    }

    def customer_notes(tables: "Mapping[str, ir.Table]") -> "ir.Table":
        lost = losses(tables, rows_per_customer=choices.usage_rows)
        return lost.cross_join(without_values(tables["rows"], indicators))

    return UseCase(
        name="towers",
        title="Cell towers",
        question="Which cells serve their customers badly, and need maintenance?",
        datasets={
            "thresholds": CellPeriod,
            "customers": Customer,
            "usage": Usage,
            "counters": CellCounters,
            "faults": CellFault,
            "cells": CellSite,
        },
        derived={
            "customer_service_metrics": Derived(
                contract=CustomerServiceMetrics,
                inputs=joined,
                steps=joins,
                expression=partial(customer_metrics, indicators=indicators),
                notes=customer_notes,
                in_order=True,
            ),
            "cell_tower_performance": Derived(
                contract=CellTowerPerformance,
                inputs=joined,
                steps=joins,
                expression=partial(cell_performance, indicators=indicators, maintenance_at=choices.maintenance_at),
                notes=lambda tables: without_values(tables["rows"], indicators),
                in_order=True,
            ),
        },
        main="thresholds",
        # the export has no date: a cell and a time of day are all that names a row
        entity=("cell_name", "time_of_day"),
        table_features=cell_periods,
        task=Classification(
            label="is_unusual",
            features=FEATURES,
            learners=LEARNERS,
            metric="roc_auc",
            # whole cells are held out, every cell once
            group="cell_name",
            test_share=0.0,
            repeats=1,
            tune="none",
            slices=("cell_name", "hour_of_day"),
            classes=("usual", "unusual"),
        ),
        metric="f1",
        gates=(
            MinimumMetric(metric="f1", limit=0.6),
            NotWorseThanChampion(metric="roc_auc"),
            Calibrated(limit=0.02),
            NoLeakage(max_single_feature=0.95, metric="f1"),
            OnnxEqual(),
            Latency(),
        ),
        watched=WatchedSeries(
            dataset="counters",
            rows=indicator_rows,
            declared=OF_COUNTERS,
            # a quarter of the cells a day
            budget=Budget(per_week=1.75),
            meaning=lambda deviations, rows: MEANINGS[diagnosed(deviations, rows=rows)],
            places=Places(dataset="cells", entity="cell_name"),
            faults=FaultLog(
                dataset="faults",
                entity="cell_name",
                problems={kind: one.problem for kind, one in MEANINGS.items() if kind != "other"},
            ),
        ),
        simulate=simulate,
        simulated_rows=200,
        publish=(
            Publication(name="customer_service_metrics_data", table="customer_service_metrics"),
            Publication(name="cell_tower_performance_data", table="cell_tower_performance"),
            Publication(
                name="alarms", table="towers.alarms", contract=Alarm, key=("alarm_id", "changed_at"), mode="append"
            ),
        ),
        choices=Choices,
        chosen=towers,
    )


usecase = towers(Choices())
"""The use case as it is where nothing is set."""
