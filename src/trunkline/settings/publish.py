"""Settings of what leaves: to whom, under which names, and how hard it is tried."""

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, StringConstraints

__all__ = ["PublishSettings", "SinkSettings"]

Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{0,12}$")]
"""Begins names of tables: at most 12 lower-case letters, digits and underscores."""


def _listed(value: object) -> object:
    """A variable of the environment holds one text: a JSON list, or names with commas between."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            raise ValueError('a list is names with commas between, or JSON: ["one", "two"]') from None
    return tuple(name.strip() for name in value.split(",") if name.strip())


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Names; in the environment as a JSON list, or as one text with commas between them."""


class SinkSettings(BaseModel, frozen=True, extra="forbid"):
    """One place that published rows go to."""

    url: SecretStr = Field(
        description="mariadb://user:password@host/db, postgresql://..., sqlite:///file.db, bigquery://project/dataset, "
        "file:///folder, s3://bucket/folder, gs://..., abfss://..., pubsub://project/topic, "
        "elasticsearch+https://user:password@host/, https://host/hook; see docs/publish.md."
    )
    usecases: Names = Field((), description="Use cases whose tables go there; none means all.")
    tables: Names = Field(
        (), description="Published tables that go there, by their names without prefix; none means all."
    )
    prefix: Prefix | None = Field(
        None, description="Begins the names of tables there, at most 12 characters; none takes `publish.prefix`."
    )
    secret: SecretStr | None = Field(
        None, description="Key by which webhooks are signed (HMAC-SHA256); none signs nothing."
    )
    reidentify: str = Field(
        "",
        description="Purpose for which pseudonyms that the vault has originals of are replaced by them, e.g. `campaign "
        "7 of May`; each delivery is written down with it. Empty leaves the pseudonyms.",
    )
    options: Mapping[str, SecretStr] = Field(
        {},
        description="Options of the store or client, e.g. endpoint_override, access_key; docs/publish.md lists them.",
    )

    def takes(self, usecase: str) -> bool:
        """Whether tables of a use case go there."""
        return not self.usecases or usecase in self.usecases


class PublishSettings(BaseModel, frozen=True, extra="forbid"):
    """What leaves, and to whom. What there is to publish is declared by the use cases."""

    sinks: Mapping[str, SinkSettings] = Field({}, description="Where published rows go, by a name of your choice.")
    only: tuple[str, ...] = Field((), description="Sinks that are written to; none means all.")
    prefix: Prefix = Field("", description="Begins the names of all published tables, at most 12 characters.")
    attempts: int = Field(4, ge=1, le=20, description="How often a sink that does not answer is tried (attempts).")
    wait_s: float = Field(
        0.5, ge=0, le=60, description="Longest wait before the second attempt; it doubles from attempt to attempt (s)."
    )
    timeout_s: float = Field(30.0, gt=0, le=3600, description="Longest wait for an answer of a sink (seconds).")
    every_s: float | None = Field(
        None,
        ge=0.5,
        description="Least time between two deliveries beside `trunkline serve` and `trunkline watch` (seconds); none "
        "delivers when a run or somebody asks for it.",
    )
    lock_timeout_s: float = Field(
        60.0, ge=0, description="Longest wait for another process that publishes the same use case (seconds)."
    )
    chunk_rows: int = Field(10_000, ge=1, description="Rows that are handed to a sink at once (rows).")
    who: str = Field("trunkline publish", min_length=1, description="Who asks the vault for originals, in its record.")
