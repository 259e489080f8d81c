"""What leaves the platform: tables and views in databases, files, messages and calls, and what is still owed.

One protocol over all sinks (:class:`Sink`), one list of what each has (:class:`Outbox`), one way of bringing it
(:class:`Publisher`). Importing this package loads no driver.
"""

from trunkline.publish.delivering import Published, Publisher
from trunkline.publish.opening import SCHEMES, open_sink
from trunkline.publish.outbox import Memory, Outbox, Owed, Plan, Position
from trunkline.publish.protocol import (
    ROW_ID,
    Capabilities,
    Delivery,
    Latest,
    Rows,
    Sink,
    Summed,
    SumsUp,
    Target,
    TargetColumn,
)
from trunkline.publish.saved_objects import Shown, saved_objects
from trunkline.publish.targets import planned

__all__ = [
    "ROW_ID",
    "SCHEMES",
    "Capabilities",
    "Delivery",
    "Latest",
    "Memory",
    "Outbox",
    "Owed",
    "Plan",
    "Position",
    "Published",
    "Publisher",
    "Rows",
    "Shown",
    "Sink",
    "Summed",
    "SumsUp",
    "Target",
    "TargetColumn",
    "open_sink",
    "planned",
    "saved_objects",
]
