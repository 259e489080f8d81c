"""The performance tables: four steps from customers, cells and usage to flags, each one Ibis expression.

1. ``customers_thresholds``: customers with their cell's measurements;
2. ``customers_services``: the same with their usage;
3. ``customer_service_metrics``: one row per customer and cell, averaged, with flags against the fleet's mean;
4. ``cell_tower_performance``: one row per cell, averages of the customers' averages, with the same flags.

Steps 1 and 2 are no tables of the lake: the engine runs them with step 3 or 4, which both begin with step 2 and do not
wait for each other. The functions here are pure and lazy, and the same on every engine. A value that is null raises no
flag, nor does one that equals the mean.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Final, Literal, cast

from trunkline.usecases.towers.indicators import COUNT_DIFFERENCES, MEASURES, RATIOS, Indicator

if TYPE_CHECKING:
    import ibis.expr.types as ir

    Tables = Mapping[str, ir.Table]

__all__ = [
    "GRAIN",
    "RowOfCell",
    "cell_performance",
    "customer_metrics",
    "customers_services",
    "customers_thresholds",
    "losses",
    "without_values",
]

RowOfCell = Literal["first", "last"]
"""Which row stands for a cell whose measurements repeat: the first that came, or the newest."""

GRAIN: Final = ("customerID", "CellName", "tenure", "PhoneService", "MultipleLines", "InternetService")
"""What names a row of ``customer_service_metrics``."""

_LOWEST_NUMBER: Final = 1000
_EQUAL: Final = 1e-9
"""Numbers are equal that differ by no more than this share: a mean of equal numbers may differ in its last digit."""


def customers_thresholds(tables: "Tables", *, row_of_cell: RowOfCell) -> "ir.Table":
    """Join customers that have a phone and a number over 1000 with the one row of their cell.

    Args:
        tables: ``customers`` and ``thresholds``, with the order in which rows came.
        row_of_cell: Which row stands for a cell.
    """
    cells = _one_per_cell(tables["thresholds"], row_of_cell)
    customers = tables["customers"]
    taken = customers.filter(_has_phone(customers), _has_number(customers))
    taken = taken.select(
        customerID="customer_number",
        CellName="cell_name",
        tenure="tenure_months",
        PhoneService="phone_service",
        MultipleLines="multiple_lines",
        InternetService="internet_service",
    )
    return taken.inner_join(cells, "CellName")


def customers_services(tables: "Tables", *, rows_per_customer: int) -> "ir.Table":
    """Join step 1 with usage, at most so many rows a customer, in the order in which they came.

    Args:
        tables: ``customers_thresholds`` and ``usage``, with the order in which rows came.
        rows_per_customer: Most rows of one customer.
    """
    usage = _ranked(tables["usage"])
    usage = usage.filter(usage["_rank"] < rows_per_customer).drop("_rank")
    return tables["customers_thresholds"].inner_join(usage, "customerID")


def customer_metrics(tables: "Tables", *, indicators: Sequence[Indicator]) -> "ir.Table":
    """Average step 2 by customer and cell, and flag what is on the wrong side of the fleet's mean.

    Args:
        tables: ``customers_services``.
        indicators: What may raise a flag.
    """
    return _flagged(_computed(_customer_averages(tables)), indicators)


def cell_performance(tables: "Tables", *, indicators: Sequence[Indicator], maintenance_at: int) -> "ir.Table":
    """Average the customers of a cell, and flag cells that are on the wrong side of the fleet's mean.

    Args:
        tables: ``customers_services``.
        indicators: What may raise a flag.
        maintenance_at: Flags from which on a cell needs maintenance.
    """
    rows = _customer_averages(tables)
    averaged = rows.group_by("CellName").aggregate(
        customer_count=rows.count(), **{measure.column: rows[measure.column].mean() for measure in MEASURES}
    )
    flagged = _flagged(_computed(averaged), indicators)
    return flagged.mutate(maintenance_required=flagged["defected_count"] >= maintenance_at)


def losses(tables: "Tables", *, rows_per_customer: int) -> "ir.Table":
    """Count what each condition and join left out, one row.

    Args:
        tables: ``customers``, ``thresholds``, ``usage``, both steps, and ``rows``.
        rows_per_customer: As in step 2.
    """
    customers, periods = tables["customers"], tables["thresholds"]
    cells = periods.select(CellName="cell_name").distinct().mutate(_measured=True)
    ranked = _ranked(tables["usage"])
    used = ranked.select("customerID").distinct().mutate(_used=True)
    found = customers.left_join(cells, customers["cell_name"] == cells["CellName"])
    found = found.left_join(used, found["customer_number"] == used["customerID"])
    phone, number = _has_phone(found), _has_number(found)
    measured, uses = found["_measured"].notnull(), found["_used"].notnull()
    by_customer = found.aggregate(
        customers=found.count(),
        customers_without_phone=(~phone).sum().fill_null(0),
        customers_number_not_over_1000=(phone & ~number).sum().fill_null(0),
        customers_of_unmeasured_cells=(phone & number & ~measured).sum().fill_null(0),
        customers_without_usage=(phone & number & measured & ~uses).sum().fill_null(0),
    )
    served = customers.filter(_has_phone(customers), _has_number(customers)).select(CellName="cell_name").distinct()
    by_cell = periods.aggregate(threshold_rows=periods.count()).cross_join(
        cells.anti_join(served, "CellName").aggregate(cells_without_customers=lambda one: one.count())
    )
    joined = tables["customers_thresholds"].select("customerID").distinct().mutate(_served=True)
    usage = ranked.left_join(joined, "customerID")
    within = usage["_rank"] < rows_per_customer
    by_usage = usage.aggregate(
        usage_rows_over_1000=usage.count(),
        usage_rows_beyond_the_most=(~within).sum().fill_null(0),
        usage_rows_without_customer=(within & usage["_served"].isnull()).sum().fill_null(0),
    )
    all_usage = tables["usage"].aggregate(usage_rows=tables["usage"].count())
    return by_customer.cross_join(by_cell).cross_join(all_usage).cross_join(by_usage)


def without_values(rows: "ir.Table", indicators: Sequence[Indicator]) -> "ir.Table":
    """Name the indicators that no row has a value of, one row with ``indicators_without_values``, separated by spaces.

    Args:
        rows: Of either table.
        indicators: What may raise a flag.
    """
    import ibis

    named = [
        (rows[one.source].count() == 0).ifelse(ibis.literal(f"{one.name} "), ibis.literal("")) for one in indicators
    ]
    return rows.aggregate(indicators_without_values=reduce(add, named).strip())


def _customer_averages(tables: "Tables") -> "ir.Table":
    """Step 2 averaged by customer and cell."""
    rows = tables["customers_services"]
    return rows.group_by(*GRAIN).aggregate(
        usage_rows=rows.count(), **{measure.column: rows[measure.name].mean() for measure in MEASURES}
    )


def _one_per_cell(periods: "ir.Table", row_of_cell: RowOfCell) -> "ir.Table":
    """The one row that stands for each cell, under the names of the measures."""
    import ibis

    order = [periods["_ingested_at"], periods["_row"]]
    ahead = order if row_of_cell == "first" else [column.desc() for column in order]
    ranked = periods.select(
        CellName="cell_name",
        _rank=ibis.row_number().over(group_by="cell_name", order_by=ahead),
        **_measures(periods, "thresholds"),
    )
    return ranked.filter(ranked["_rank"] == 0).drop("_rank")


def _ranked(usage: "ir.Table") -> "ir.Table":
    """Usage of customers whose number is over 1000, ranked from 0 within its customer in the order of coming."""
    import ibis

    digits = cast("ir.StringValue", usage["account_id"]).substr(3, 7)
    number = digits.re_search("^[0-9]{1,7}$").ifelse(digits, ibis.null(str)).cast("int64")
    measured = _measures(usage, "usage")
    numbered = usage.select("_ingested_at", "_row", customerID=number, **measured)
    numbered = numbered.filter(numbered["customerID"] > _LOWEST_NUMBER)
    rank = ibis.row_number().over(group_by="customerID", order_by=[numbered["_ingested_at"], numbered["_row"]])
    return numbered.select("customerID", *measured, _rank=rank)


def _measures(table: "ir.Table", dataset: str) -> "dict[str, ir.Value]":
    """The measures of a dataset under their names, as 64-bit floats."""
    return {
        measure.name: cast("ir.Value", table[measure.field].cast("int8").cast("float64"))
        if table[measure.field].type().is_boolean()
        else cast("ir.Value", table[measure.field].cast("float64"))
        for measure in MEASURES
        if measure.dataset == dataset
    }


def _computed(rows: "ir.Table") -> "ir.Table":
    differences = {name: rows[left] - rows[right] for name, (left, right) in COUNT_DIFFERENCES.items()}
    ratios = {name: rows[above] / rows[below].nullif(0.0) for name, (above, below) in RATIOS.items()}
    return rows.mutate(**differences, **ratios)


def _flagged(rows: "ir.Table", indicators: Sequence[Indicator]) -> "ir.Table":
    """Add a flag per indicator, how many are raised, and how many indicators have a value."""
    import ibis

    means = rows.aggregate(**{f"_mean_{one.source}": rows[one.source].mean() for one in indicators})
    compared = rows.cross_join(means)
    raised, none = ibis.literal(1, "int64"), ibis.literal(0, "int64")
    flags = {one.flag: _is_defect(compared, one).ifelse(raised, none) for one in indicators}
    known = reduce(add, (compared[one.source].notnull().cast("int64") for one in indicators))
    count = reduce(add, flags.values())
    return compared.select(*rows.columns, **flags, known_count=known, defected_count=count)


def _is_defect(compared: "ir.Table", one: Indicator) -> "ir.BooleanValue":
    value = cast("ir.NumericValue", compared[one.source])
    mean = cast("ir.NumericValue", compared[f"_mean_{one.source}"])
    beyond = value - mean if one.defect == "above" else mean - value
    return beyond > mean.abs() * _EQUAL


def _has_phone(customers: "ir.Table") -> "ir.BooleanValue":
    return cast("ir.BooleanValue", customers["phone_service"].fill_null(False))


def _has_number(customers: "ir.Table") -> "ir.BooleanValue":
    return cast("ir.BooleanValue", customers["customer_number"] > _LOWEST_NUMBER)
