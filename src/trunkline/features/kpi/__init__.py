"""Key performance indicators of LTE and NR cells, as data, over the counters of 3GPP TS 32.425 and TS 28.552.

Takes a table of counters, one row per measured object and period, under the column names of :func:`column_of`; gives
one row per group with a column per indicator. An indicator of a longer time or a larger area is the ratio of sums,
never the mean of ratios; where its denominator is zero, or a counter is missing, it is null.
"""

from trunkline.features.kpi.computing import converted, increments, kpis, missed_periods, row_kpis, unusable
from trunkline.features.kpi.counters import COUNTERS, Counter, column_of
from trunkline.features.kpi.formulas import KPIS, Kpi, Maximum, Mean, Product, Ratio, Total
from trunkline.features.kpi.sets import joined_sets

__all__ = [
    "COUNTERS",
    "KPIS",
    "Counter",
    "Kpi",
    "Maximum",
    "Mean",
    "Product",
    "Ratio",
    "Total",
    "column_of",
    "converted",
    "increments",
    "joined_sets",
    "kpis",
    "missed_periods",
    "row_kpis",
    "unusable",
]
