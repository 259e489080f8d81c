"""The live manifest: one small file per use case that says which model answers. It is the truth.

Promotion writes it atomically; the server reads it and nothing else of the registry. The ledger says how it came to be
and MLflow follows. Imports only the standard library and Pydantic, because it lies on the way to an answer.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trunkline.errors import TamperedError
from trunkline.registry.files import verify_folder, write_file

__all__ = ["Alias", "LiveManifest", "LiveModel", "live_path", "read_live", "verified_folder", "write_live"]

Alias = Literal["champion", "challenger"]
"""``champion`` answers; ``challenger`` wants its place."""


class LiveModel(BaseModel):
    """One model that an alias points at.

    Attributes:
        version: Version within the use case, ``"1"``, ``"2"``, ...
        folder: The model's folder, relative to the workspace, ``/`` between parts.
        sha256: Of ``model.json``.
        files: SHA-256 of every file of the folder, by its path inside it.
        promoted_at: When the alias was given, UTC.
        run_id: The run that trained it.
        entry: SHA-256 of the ledger's entry that gave the alias.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    folder: str
    sha256: str
    files: Mapping[str, str]
    promoted_at: datetime
    run_id: str
    entry: str


class LiveManifest(BaseModel):
    """Which versions of a use case are live.

    Attributes:
        usecase: The use case.
        aliases: The model of each alias; empty when none was promoted.
        seal: SHA-256 of the rest, against damage of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    usecase: str
    aliases: Mapping[Alias, LiveModel] = Field(default_factory=dict)
    seal: str = ""

    @property
    def champion(self) -> LiveModel | None:
        """The model that answers; None when none was promoted."""
        return self.aliases.get("champion")

    @property
    def challenger(self) -> LiveModel | None:
        """The model that wants the champion's place; None when there is none."""
        return self.aliases.get("challenger")


def live_path(workspace: Path, usecase: str) -> Path:
    """Name the manifest's file."""
    return workspace / "live" / f"{usecase}.json"


def read_live(workspace: Path, usecase: str) -> LiveManifest:
    """Read the live manifest.

    Returns:
        The manifest; without aliases when nothing was ever promoted.

    Raises:
        TamperedError: The file is not what was written.
    """
    path = live_path(workspace, usecase)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return LiveManifest(usecase=usecase)
    try:
        manifest = LiveManifest.model_validate_json(content)
    except ValidationError as error:
        raise _tampered(path) from error
    if manifest.usecase != usecase or manifest.seal != _seal(manifest):
        raise _tampered(path)
    return manifest


def write_live(workspace: Path, manifest: LiveManifest) -> LiveManifest:
    """Replace the live manifest durably and atomically; readers see the old one or the new one.

    Returns:
        The manifest as written, with its seal.
    """
    sealed = manifest.model_copy(update={"seal": _seal(manifest)})
    write_file(live_path(workspace, manifest.usecase), sealed.model_dump_json(indent=2).encode(), point="live")
    return sealed


def verified_folder(workspace: Path, model: LiveModel) -> Path:
    """Give the folder of a live model after proving that it is what was registered.

    Raises:
        TamperedError: A file is missing, changed or added.
    """
    folder = workspace / model.folder
    verify_folder(folder, files=model.files)
    return folder


def _seal(manifest: LiveManifest) -> str:
    return hashlib.sha256(manifest.model_dump_json(exclude={"seal"}).encode()).hexdigest()


def _tampered(path: Path) -> TamperedError:
    return TamperedError(
        "the live manifest is not what was written",
        where=str(path),
        next_step=f"write it anew from the ledger: trunkline models promote {path.stem} VERSION",
    )
