"""Model versions, who let them out, and which one answers. The only package that knows MLflow, and it knows it late."""

from trunkline.registry.ledger import Ledger, LedgerEntry
from trunkline.registry.live import Alias, LiveManifest, LiveModel, read_live, verified_folder
from trunkline.registry.mlflow_store import MlflowTracker, NoTracker, Registered, Tracker, Training
from trunkline.registry.store import Registry
from trunkline.registry.version import ModelVersion

__all__ = [
    "Alias",
    "Ledger",
    "LedgerEntry",
    "LiveManifest",
    "LiveModel",
    "MlflowTracker",
    "ModelVersion",
    "NoTracker",
    "Registered",
    "Registry",
    "Tracker",
    "Training",
    "read_live",
    "verified_folder",
]
