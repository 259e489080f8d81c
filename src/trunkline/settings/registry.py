"""Settings of the model registry. Units stand in each field's description."""

from pydantic import BaseModel, Field

__all__ = ["RegistrySettings"]


class RegistrySettings(BaseModel, frozen=True, extra="forbid"):
    """Where training runs are tracked and how long to wait for another process."""

    tracking_uri: str = Field(
        "",
        description="MLflow's address: empty for SQLite in the workspace (mlflow.db), http(s)://... for a server, "
        "'none' to track nothing; ledger and model folders are complete without MLflow.",
    )
    lock_timeout_s: float = Field(
        30.0, ge=0, description="Longest wait for another registration or promotion before giving up (seconds)."
    )
