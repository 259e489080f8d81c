"""The specification language of tables and messages, and the platform's own tables (``contracts.records``)."""

from trunkline.contracts.contract import Column, Contract, Reference, Rule, Table, field
from trunkline.contracts.expressions import Expr, col, count_true, larger, smaller
from trunkline.contracts.kinds import Day, Flag, Instant, Integer, Number, Text
from trunkline.contracts.privacy import Pii
from trunkline.contracts.retention import KeepRows

__all__ = [
    "Column",
    "Contract",
    "Day",
    "Expr",
    "Flag",
    "Instant",
    "Integer",
    "KeepRows",
    "Number",
    "Pii",
    "Reference",
    "Rule",
    "Table",
    "Text",
    "col",
    "count_true",
    "field",
    "larger",
    "smaller",
]
