"""Alerts on their way into the lake: each once, whoever raises them."""

from collections.abc import Sequence

from trunkline.checks import table_from_rows
from trunkline.contracts.records import ALERTS, Alert
from trunkline.lake import Lake, Transaction

__all__ = ["write_alerts"]


def write_alerts(lake: Lake, alerts: Sequence[Alert], *, under: str) -> None:
    """Write alerts in one commit; nothing where there are none, or where they were written before.

    Args:
        lake: The lake.
        alerts: The alerts.
        under: Names them together: the same alerts, the same name.

    Raises:
        BusyError: A writer held the table for too long.
    """
    if alerts:
        rows = table_from_rows(Alert, [alert.model_dump() for alert in alerts])
        lake.append(ALERTS, rows, transaction=Transaction(under, 1))
