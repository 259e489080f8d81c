"""Split, fit, evaluate and gate: from lake tables to a judged candidate."""

from trunkline.train.gates import EvaluateDocument, Evidence, GateResult, PairedEvidence, judge
from trunkline.train.trainer import (
    SEEN_FILE,
    TrainDocument,
    entity_hashes,
    entity_keys,
    main_table,
    train_candidate,
    unseen_rows,
)

__all__ = [
    "SEEN_FILE",
    "EvaluateDocument",
    "Evidence",
    "GateResult",
    "PairedEvidence",
    "TrainDocument",
    "entity_hashes",
    "entity_keys",
    "judge",
    "main_table",
    "train_candidate",
    "unseen_rows",
]
