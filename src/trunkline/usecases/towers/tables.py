"""Contracts of the performance tables, made from the list of indicators."""

import types
from typing import ClassVar, Final, Literal

from trunkline.contracts import Contract, Flag, Integer, Number, Table, Text, field
from trunkline.usecases.towers.indicators import COUNT_DIFFERENCES, INDICATORS, MEASURES, RATIOS

__all__ = ["CellTowerPerformance", "CustomerServiceMetrics"]

_Fields = dict[str, tuple[object, object]]


def _common(rows: str) -> _Fields:
    """What both tables have: averages over some rows, what is computed of them, flags."""
    averages: _Fields = {
        one.column: (Number | None, field(f"Mean of {one.field} over {rows}", unit=one.unit)) for one in MEASURES
    }
    differences: _Fields = {
        name: (Number | None, field("Attempted less completed calls", unit="1/month")) for name in COUNT_DIFFERENCES
    }
    ratios: _Fields = {
        name: (Number | None, field("Calls at peak hours by calls off peak; null where there are none off peak"))
        for name in RATIOS
    }
    flags: _Fields = {
        one.flag: (
            Integer,
            field(f"1 where {one.source} is on the wrong side of the fleet's mean", minimum=0, maximum=1),
        )
        for one in INDICATORS
    }
    counts: _Fields = {
        "known_count": (Integer, field("Indicators that have a value", minimum=0)),
        "defected_count": (Integer, field("Flags that are raised", minimum=0)),
    }
    return averages | differences | ratios | flags | counts


def _contract(name: str, description: str, table: Table, fields: _Fields) -> type[Contract]:
    namespace: dict[str, object] = {
        "__module__": __name__,
        "__qualname__": name,
        "__doc__": description,
        "__annotations__": {"table": ClassVar[Table], **{one: kind for one, (kind, _) in fields.items()}},
        "table": table,
        **{one: said for one, (_, said) in fields.items()},
    }
    return types.new_class(name, (Contract,), exec_body=lambda body: body.update(namespace))


CustomerServiceMetrics: Final = _contract(
    "CustomerServiceMetrics",
    "One row per customer and serving cell, averaged over the customer's rows of usage.",
    Table(key=("customerID", "CellName")),
    {
        "customerID": (Integer, field("Number of the customer", pii="subscriber")),
        "CellName": (Text, field("The serving cell", max_length=120)),
        "tenure": (Integer | None, field(unit="months")),
        "PhoneService": (Flag, field()),
        "MultipleLines": (Literal["Yes", "No", "No phone service"] | None, field()),
        "InternetService": (Literal["DSL", "Fiber optic", "No"] | None, field()),
        "usage_rows": (Integer, field("Rows of usage that were averaged", minimum=1)),
        **_common("the customer's rows of usage"),
    },
)
"""Contract of ``customer_service_metrics``."""

CellTowerPerformance: Final = _contract(
    "CellTowerPerformance",
    "One row per cell that serves customers, averaged over their averages.",
    Table(key=("CellName",)),
    {
        "CellName": (Text, field("The cell", max_length=120)),
        "customer_count": (Integer, field("Customers that were averaged", minimum=1)),
        **_common("the cell's customers"),
        "maintenance_required": (Flag, field("As many flags as the use case's setting maintenance_at, or more")),
    },
)
"""Contract of ``cell_tower_performance``."""
