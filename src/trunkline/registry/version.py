"""A registered version, and what the ledger keeps of it."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from trunkline.registry.ledger import LedgerEntry
from trunkline.registry.live import Alias

__all__ = ["DESCRIPTION", "ModelVersion", "RegisteredFacts", "facts_of"]

DESCRIPTION = "model.json"
"""The file that every model folder has: all that is declared and fitted, but for the graphs."""


class ModelVersion(BaseModel):
    """One registered version of a use case's model.

    Attributes:
        usecase: The use case.
        version: ``"1"``, ``"2"``, ... within the use case.
        run_id: The run that trained it.
        folder: Its model folder.
        aliases: Aliases it has now, by the live manifest.
        metrics: Headline metrics at registration, by scorer name; null where one could not be computed.
        params: What was set for the training.
        tags: Lineage: commit, package versions, fingerprints, ...
        evidence: Gate results.
        files: SHA-256 of each file, by its path inside the folder.
        registered_at: When, UTC.
        retired: Whether it may no longer be given an alias.
        taken_back: Whether a rollback went back from it, and nobody has made it champion again since.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    usecase: str
    version: str
    run_id: str
    folder: Path
    aliases: tuple[Alias, ...] = ()
    metrics: Mapping[str, float | None]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    evidence: JsonValue
    files: Mapping[str, str]
    registered_at: datetime
    retired: bool = False
    taken_back: bool = False


class RegisteredFacts(BaseModel):
    """The evidence of a ``registered`` entry."""

    model_config = ConfigDict(extra="forbid")

    metrics: dict[str, float | None]
    params: dict[str, str]
    tags: dict[str, str]
    files: dict[str, str]
    gates: JsonValue


def facts_of(entry: LedgerEntry) -> RegisteredFacts:
    """Read the evidence of a ``registered`` entry."""
    return RegisteredFacts.model_validate_json(json.dumps(entry.evidence))
