"""Which values of a refused row may be seen.

Takes the raw row and its contract, gives the row with everything hidden that could name a person: values of key fields
and of fields with personal data, and of columns the contract does not know, because nobody has said what is in them.
Texts are cut.
"""

from collections.abc import Mapping
from typing import Final

from trunkline.contracts import Contract
from trunkline.contracts.contract import column_names

__all__ = ["LONGEST_TEXT", "masked"]

LONGEST_TEXT: Final = 60
"""Characters of a value that are shown."""


def masked(row: Mapping[str, object], contract: type[Contract] | None) -> dict[str, str | None]:
    """Hide what a console may not show.

    Args:
        row: Raw values by the source's own column names.
        contract: The contract of the dataset; None (an uninstalled use case) hides everything.

    Returns:
        The same columns in the same order; None where the value is hidden, an empty text where there was none.
    """
    shown = _shown_columns(contract)
    return {str(name): _value(value, is_shown=str(name).strip().lower() in shown) for name, value in row.items()}


def _shown_columns(contract: type[Contract] | None) -> frozenset[str]:
    if contract is None:
        return frozenset()
    hidden = {column.name for column in contract.columns if column.pii} | set(contract.table.key)
    return frozenset(name for name, field in column_names(contract).items() if field not in hidden)


def _value(value: object, *, is_shown: bool) -> str | None:
    if value is None or value == "":
        return ""
    if not is_shown:
        return None
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
