"""The lake: Delta tables below one root, the only place that knows Delta.

``Lake`` reads, writes, locks and maintains tables; ``held`` is the lock itself, for runs as well. Importing this
package loads neither ``deltalake`` nor Ibis. The rules and why they are so: docs/lake.md.
"""

from trunkline.lake.erasure import Erasure
from trunkline.lake.flusher import Flusher
from trunkline.lake.keys import Keyring
from trunkline.lake.locks import held
from trunkline.lake.log import Commit
from trunkline.lake.maintenance import Upkeep
from trunkline.lake.reading import LakeReader
from trunkline.lake.staging import StagedRows
from trunkline.lake.stock import Stock
from trunkline.lake.tables import CRASH_POINTS, Lake, Upsert
from trunkline.lake.writing import Transaction, attempts

__all__ = [
    "CRASH_POINTS",
    "Commit",
    "Erasure",
    "Flusher",
    "Keyring",
    "Lake",
    "LakeReader",
    "StagedRows",
    "Stock",
    "Transaction",
    "Upkeep",
    "Upsert",
    "attempts",
    "held",
]
