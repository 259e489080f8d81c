"""From windows for which a rule has become true to alerts. Pure."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from trunkline.contracts.records import Alert
from trunkline.features.windows import START
from trunkline.run.windowing.scoring import Row
from trunkline.spec.windows import Windowed

__all__ = ["announced"]


def announced(
    windowed: Windowed, rows: Iterable[tuple[Row, Sequence[str]]], *, table: str, run_id: str, raised_at: datetime
) -> Iterable[Alert]:
    """Give the alerts of windows; the same window and rule are the same alert, however often they are announced.

    Args:
        windowed: What was said of the windows.
        rows: Windows, each with the names of the rules that are to be announced; one that is gone says nothing.
        table: The lake table of the windows, ``USECASE.NAME``.
        run_id: The run that computed them.
        raised_at: UTC.
    """
    usecase = table.partition(".")[0]
    for row, names in rows:
        device = ", ".join(str(row[name]) for name in windowed.by)
        start = cast("datetime", row[START])
        for name in names:
            rule = windowed.rules.get(name)
            if rule is None:
                continue
            said = json.dumps([table, name, device, start.isoformat()])
            told = ", ".join(f"{one} {_told(row.get(one))}" for one in sorted(rule.when.columns()))
            yield Alert(
                alert_id=hashlib.sha256(said.encode()).hexdigest()[:24],
                run_id=run_id,
                usecase=usecase,
                severity=rule.severity,
                title=f"{usecase}: {rule.title}",
                text=f"{name}: {told}; device {device}, window from {start:%Y-%m-%d %H:%M:%S} UTC",
                about=device,
                actions=json.dumps(rule.actions) if rule.actions else None,
                raised_at=raised_at,
            )


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
