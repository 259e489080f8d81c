"""A step as a batch of Dataproc Serverless: the body that Google's API takes, as data.

Pure; nothing of Google's is imported here, and the rendered file imports Google's operators only where it has a batch.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trunkline.dags.literals import Value
    from trunkline.dags.pipelines import PipelineTask
    from trunkline.settings.dags import DataprocSettings

__all__ = ["batch_of"]

_VARIABLES: Final = {
    f"spark.dataproc.driverEnv.{name}": value
    for name, value in {"TRUNKLINE_ENGINE__NAME": "spark", "TRUNKLINE_RUN_STEPWISE": "true"}.items()
}
"""Environment of the driver: the session that is there already computes."""


def batch_of(
    settings: "DataprocSettings", usecase: str, task: "PipelineTask", *, longest: timedelta
) -> "Mapping[str, Value]":
    """Describe a step as a batch, in the form of ``google.cloud.dataproc_v1.Batch``.

    Args:
        settings: Where it runs.
        usecase: Name of the use case; becomes a label.
        task: The step; its arguments become those of the batch, and Airflow adds run id and sources.
        longest: After this the batch is ended.
    """
    runtime: dict[str, Value] = {"version": settings.version}
    if settings.image is not None:
        runtime["container_image"] = settings.image
    runtime["properties"] = {**_VARIABLES, **settings.properties}
    execution: dict[str, Value] = {"ttl": {"seconds": max(1, round(longest.total_seconds()))}}
    if settings.service_account is not None:
        execution["service_account"] = settings.service_account
    if settings.subnetwork is not None:
        execution["subnetwork_uri"] = settings.subnetwork
    return {
        "project_id": settings.project,
        "region": settings.region,
        "batch": {
            "pyspark_batch": {"main_python_file_uri": settings.main, "args": list(task.arguments)},
            "runtime_config": runtime,
            "environment_config": {"execution_config": execution},
            "labels": {"trunkline": usecase, "step": task.name},
        },
    }
