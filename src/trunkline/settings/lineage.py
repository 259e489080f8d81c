"""Settings of lineage: whether and where runs are told to a lineage server."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

__all__ = ["LineageSettings"]


class LineageSettings(BaseModel, frozen=True, extra="forbid"):
    """Where OpenLineage events go; nowhere by default."""

    openlineage_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Server that takes OpenLineage events (Marquez, DataHub, ...), e.g. `http://localhost:5000`; empty "
        "sends none.",
    )
    openlineage_endpoint: str = Field("api/v1/lineage", description="Path below that URL.")
    openlineage_api_key: SecretStr | None = Field(None, description="Sent as a bearer token; none by default.")
    openlineage_file: Path | None = Field(
        None, description="File to which OpenLineage events are appended, one JSON per line; none by default."
    )
    openlineage_namespace: str = Field(
        "trunkline", min_length=1, description="Namespace of jobs and lake tables in OpenLineage events."
    )
    openlineage_timeout_s: float = Field(
        2.0,
        gt=0,
        le=60,
        description="Longest time for one event; after the first that fails, a run sends no more (seconds).",
    )
