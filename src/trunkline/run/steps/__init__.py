"""The steps of a run: each reads what earlier ones left in the lake, does its part, and gives a document.

A step run twice under one run id changes nothing: every write carries a content-derived or run-derived transaction.
"""

from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import IngestDocument, RegisterDocument, RolloutDocument
from trunkline.run.steps.evaluating import evaluate, refuse_failed
from trunkline.run.steps.ingesting import ingest
from trunkline.run.steps.refused import SourcesRefusedError
from trunkline.run.steps.releasing import register, rollout
from trunkline.run.steps.sources import read_mapping, simulate_files
from trunkline.run.steps.training import candidate_folder, scored_rows, train

__all__ = [
    "IngestDocument",
    "RegisterDocument",
    "RolloutDocument",
    "SourcesRefusedError",
    "StepContext",
    "candidate_folder",
    "evaluate",
    "ingest",
    "read_mapping",
    "refuse_failed",
    "register",
    "rollout",
    "scored_rows",
    "simulate_files",
    "train",
]
