"""The quarantine: what lies there, mending it, handing it in again, letting it go."""

from trunkline.run.quarantine.editing import Edits
from trunkline.run.quarantine.exporting import export_batch
from trunkline.run.quarantine.listing import (
    OpenBatch,
    Overview,
    ReasonCount,
    ReasonPair,
    RefusedPage,
    RefusedRow,
    batch_contract,
    overview,
    refused_rows,
)
from trunkline.run.quarantine.replaying import CRASH_POINTS, Replayed, discard_batch, replay_batch

__all__ = [
    "CRASH_POINTS",
    "Edits",
    "OpenBatch",
    "Overview",
    "ReasonCount",
    "ReasonPair",
    "RefusedPage",
    "RefusedRow",
    "Replayed",
    "batch_contract",
    "discard_batch",
    "export_batch",
    "overview",
    "refused_rows",
    "replay_batch",
]
