"""How long a table keeps its rows, as its contract says it.

Plain frozen data; ``trunkline maintain`` acts on it, the settings may say otherwise.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Aging", "KeepRows"]

Aging = Literal["event", "ingestion"]
"""From when on the age of a row counts: the time it speaks of, or the time it came."""


@dataclass(frozen=True)
class KeepRows:
    """How long rows are kept.

    Attributes:
        days: Age at which a row goes.
        by: From when on it counts. By ``event`` it is the contract's ``event_at``, and where that is null, the time the
            row came.
        archive: Whether rows are written to the archive, and found whole there, before they go.
    """

    days: float
    by: Aging = "event"
    archive: bool = True
