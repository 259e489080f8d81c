"""Named points at which a fault drill may kill this process.

A drill sets ``TRUNKLINE_CRASH_AT=name`` (or ``name:3`` for the third visit) in the environment of a separate
process; that process then dies by SIGKILL, as from a power switch: no handler, no ``finally``, no flush.
Without the variable a point costs one dictionary look-up.
"""

import os
import signal

VARIABLE = "TRUNKLINE_CRASH_AT"

_visits: dict[str, int] = {}


def point(name: str) -> None:
    """Die here if the drill named this point.

    Args:
        name: The point's name, ``part.event``, e.g. ``lake.before_commit``.
    """
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    target, _, visit = wanted.partition(":")
    if target != name:
        return
    _visits[name] = _visits.get(name, 0) + 1
    if _visits[name] >= int(visit or 1):
        os.kill(os.getpid(), signal.SIGKILL)
