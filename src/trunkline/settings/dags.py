"""Settings of the DAGs that ``trunkline dags`` renders for Airflow. Units stand in each field's description."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, Field, field_validator

__all__ = ["DagsSettings", "DataprocSettings"]


class DataprocSettings(BaseModel, frozen=True, extra="forbid"):
    """Where steps that Spark computes run as batches of Dataproc Serverless. Nothing here is a secret."""

    project: str = Field(pattern=r"^[a-z][a-z0-9:.-]{4,80}$", description="Google Cloud project of the batches.")
    region: str = Field(pattern=r"^[a-z0-9-]+$", description="Region of the batches, e.g. europe-west8.")
    main: str = Field(
        pattern=r"^gs://", description="Where the two lines that docs/airflow.md shows lie: gs://BUCKET/step.py."
    )
    image: str | None = Field(None, description="Container image with Trunkline inside, e.g. from Artifact Registry.")
    service_account: str | None = Field(None, description="As whom the batches run; none is the project's default.")
    subnetwork: str | None = Field(None, description="Subnetwork of the batches; none is the region's default.")
    version: str = Field("2.3", description="Version of the runtime; it decides those of Spark and Java.")
    properties: Mapping[str, str] = Field(
        {}, description='Properties of Spark, e.g. {"spark.executor.instances" = "4"}.'
    )


class DagsSettings(BaseModel, frozen=True, extra="forbid"):
    """What the rendered DAGs say beside the plan."""

    command: tuple[str, ...] = Field(
        ("trunkline",),
        min_length=1,
        description="What tasks start, where Airflow's workers find it: a path into an environment of its own will do.",
    )
    workspace: str | None = Field(
        None, description="The workspace as the workers see it; none takes the one that the file is rendered for."
    )
    folder: str | None = Field(
        None,
        description="Folder in which tasks run, whose trunkline.toml and use cases they read; none takes the current "
        "one if it has either.",
    )
    prefix: str = Field(
        "",
        pattern=r"^[a-z0-9_]{0,40}$",
        description="What the ids of all DAGs begin with; tells two workspaces in one Airflow apart.",
    )
    owner: str = Field("trunkline", min_length=1, description="Owner that Airflow shows.")
    tags: tuple[str, ...] = Field((), description="Tags of all DAGs, beside `trunkline` and the use case.")
    retries: int = Field(2, ge=0, le=20, description="How often a step that failed is tried again (times).")
    retry_delay: timedelta = Field(
        timedelta(minutes=5), ge=timedelta(0), description="Wait before the first of them; it doubles (minutes)."
    )
    longest: timedelta = Field(
        timedelta(hours=12), gt=timedelta(0), description="Longest time of a step; then it is ended and failed (hours)."
    )
    longest_of: Mapping[str, timedelta] = Field(
        {}, description="The same for single steps, e.g. { train = 'PT2H', predict = 'PT30M' } (hours)."
    )
    busy_wait: timedelta = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        description="How long a step waits for another run of its use case (minutes).",
    )
    deadline: timedelta | None = Field(
        timedelta(hours=24),
        gt=timedelta(0),
        description="A run of a DAG that has not ended so long after it was queued is announced; none for never.",
    )
    poll: timedelta = Field(
        timedelta(minutes=1), gt=timedelta(0), description="Time between two looks into watched folders (seconds)."
    )
    console_url: str = Field("", description="Address of the console, for links to reports; empty for no links.")
    mlflow_url: str = Field("", description="Address of MLflow's pages, for links; empty for no links.")
    dataproc: DataprocSettings | None = Field(
        None, description="Run what Spark computes on Dataproc Serverless; none starts it like any other step."
    )

    @field_validator("workspace")
    @classmethod
    def _is_a_folder(cls, workspace: str | None) -> str | None:
        if workspace is not None and "://" in workspace:
            raise ValueError("a workspace is a folder: mount it where the steps run, and name the folder")
        return workspace
