"""Executes plans here: the composition root, the steps, the run locks."""

from trunkline.run.again import Again, ingest_again
from trunkline.run.declared import refuse_misdeclared, refuse_nothing_to_ingest
from trunkline.run.evaluating import Evaluated, evaluate_files
from trunkline.run.execute import CRASH_POINTS, RunResult, execute, new_run_id
from trunkline.run.folder_watch import Arrived, watch_folder
from trunkline.run.predicting import PredictDocument, live_model
from trunkline.run.predicting_files import ScoredFile, predict_file
from trunkline.run.previewing import Preview, preview
from trunkline.run.publishing import (
    PublishDocument,
    dashboard_of,
    outbox_of,
    preview_publish,
    refuse_nothing_to_publish,
)
from trunkline.run.records import latest_run_id
from trunkline.run.resolving import source_files
from trunkline.run.steps import IngestDocument, SourcesRefusedError, read_mapping, simulate_files
from trunkline.run.topic_watch import watch_topic
from trunkline.run.watching import MonitorDocument
from trunkline.run.workspace import SCHEMA_VERSION, Workspace, utc_now

__all__ = [
    "CRASH_POINTS",
    "SCHEMA_VERSION",
    "Again",
    "Arrived",
    "Evaluated",
    "IngestDocument",
    "MonitorDocument",
    "PredictDocument",
    "Preview",
    "PublishDocument",
    "RunResult",
    "ScoredFile",
    "SourcesRefusedError",
    "Workspace",
    "dashboard_of",
    "evaluate_files",
    "execute",
    "ingest_again",
    "latest_run_id",
    "live_model",
    "new_run_id",
    "outbox_of",
    "predict_file",
    "preview",
    "preview_publish",
    "read_mapping",
    "refuse_misdeclared",
    "refuse_nothing_to_ingest",
    "refuse_nothing_to_publish",
    "simulate_files",
    "source_files",
    "utc_now",
    "watch_folder",
    "watch_topic",
]
