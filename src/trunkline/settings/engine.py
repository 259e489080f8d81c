"""Settings of the query engine: which one, and where Spark runs."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

__all__ = ["EngineSettings"]


class EngineSettings(BaseModel, frozen=True, extra="forbid"):
    """What computes expressions over the lake's tables. All but the name counts for Spark alone."""

    name: Literal["duckdb", "spark"] = Field(
        "duckdb", description="What computes: `duckdb` in this process, or `spark` (extra `spark`, and Java 17 or 21)."
    )
    url: str = Field(
        "local[*]",
        description="Where Spark runs: `local[N]` beside this process, `spark://HOST:PORT`, `yarn`, `k8s://HOST:PORT`. "
        "`local[*]` takes as many threads as `threads` says.",
    )
    driver_host: str = Field(
        "127.0.0.1",
        description="Address of this machine at which the cluster's workers find this process; it listens there.",
    )
    python: str = Field(
        "", description="Path of the Python on the workers, which needs pyarrow; none means the path of this one."
    )
    event_log: str = Field(
        "", description="Folder or URL of the event log that Spark's history server reads; none writes no log."
    )
    options: Mapping[str, SecretStr] = Field(
        {}, description="Further settings of Spark by their names, e.g. `spark.executor.memory`."
    )
