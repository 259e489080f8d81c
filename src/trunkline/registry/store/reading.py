"""What stands in a registry: versions, aliases, folders, and the proof that nothing was changed. Writes nothing."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

from trunkline.errors import InputError, TamperedError, UnknownNameError
from trunkline.registry.files import verify_folder
from trunkline.registry.ledger import Ledger, LedgerEntry
from trunkline.registry.live import Alias, LiveManifest, LiveModel, read_live
from trunkline.registry.mlflow_store import Tracker, tracker
from trunkline.registry.standing import Standing, standing
from trunkline.registry.version import ModelVersion, facts_of
from trunkline.settings.registry import RegistrySettings

__all__ = ["Reading"]


class Reading:
    """Versions, aliases and their history in one workspace, to look at."""

    def __init__(
        self,
        workspace: Path,
        *,
        settings: RegistrySettings,
        clock: Callable[[], datetime],
        follower: Tracker | None = None,
    ) -> None:
        """Point at a workspace; nothing is read or made yet.

        Args:
            workspace: Holds ``models/``, ``live/``, ``ledger.jsonl``, ``mlflow.db``.
            settings: Tracking address and lock time-out.
            clock: Gives the present instant, UTC.
            follower: Takes the place of MLflow.
        """
        self.workspace = workspace
        self.ledger = Ledger(workspace / "ledger.jsonl", clock=clock)
        self._settings = settings
        self._clock = clock
        self._tracker = follower or tracker(workspace, tracking_uri=settings.tracking_uri)

    def versions(self, usecase: str) -> tuple[ModelVersion, ...]:
        """List all versions, oldest first; empty when none was registered.

        Raises:
            TamperedError: The ledger or the live manifest is not what was written.
        """
        state = self._standing(usecase)
        return tuple(self._model_version(entry, state) for entry in state.registered.values())

    def get(self, usecase: str, version_or_alias: str = "champion") -> ModelVersion:
        """Find a version by its number, or by an alias in the live manifest.

        Raises:
            UnknownNameError: There is none.
            TamperedError: The ledger or the live manifest is not what was written.
        """
        found = [
            version
            for version in self.versions(usecase)
            if version.version == version_or_alias or version_or_alias in version.aliases
        ]
        if not found:
            raise self._unknown(usecase, version_or_alias, self._standing(usecase))
        return found[0]

    def folder(self, usecase: str, version_or_alias: str = "champion") -> Path:
        """Give the folder of a version after proving that it is what was registered.

        Raises:
            UnknownNameError: There is no such version or alias.
            TamperedError: A file was changed, removed or added.
        """
        version = self.get(usecase, version_or_alias)
        verify_folder(version.folder, files=version.files)
        return version.folder

    def live(self, usecase: str) -> LiveManifest:
        """Read the live manifest.

        Raises:
            TamperedError: It is not what was written.
        """
        return read_live(self.workspace, usecase)

    def verify(self) -> int:
        """Prove the whole registry: the chain, every model folder, and every live manifest against the ledger.

        Returns:
            Number of entries in the ledger.

        Raises:
            TamperedError: Something is not what was written, or the ledger lost an entry that a manifest names.
        """
        entries = self.ledger.entries()
        known = {entry.sha256 for entry in entries}
        live = {path.stem for path in (self.workspace / "live").glob("*.json")}
        for usecase in sorted({entry.usecase for entry in entries} | live):
            for version in self.versions(usecase):
                verify_folder(version.folder, files=version.files)
            self._refuse_lost(known, read_live(self.workspace, usecase).aliases)
        return len(entries)

    def _standing(self, usecase: str) -> Standing:
        return standing(self.ledger.entries(), usecase=usecase)

    def _refuse_lost(self, known: AbstractSet[str], shown: Mapping[Alias, LiveModel]) -> None:
        for alias, model in shown.items():
            if model.entry not in known:
                raise TamperedError(
                    f"the ledger has lost the entry that made version {model.version} the {alias}",
                    where=str(self.ledger.path),
                    next_step="restore ledger.jsonl from a backup",
                )

    def _model_version(self, entry: LedgerEntry, state: Standing) -> ModelVersion:
        facts = facts_of(entry)
        live = read_live(self.workspace, entry.usecase).aliases
        return ModelVersion(
            usecase=entry.usecase,
            version=entry.version,
            run_id=entry.run_id,
            folder=self._folder(entry.usecase, version=entry.version),
            aliases=tuple(alias for alias, model in live.items() if model.version == entry.version),
            metrics=facts.metrics,
            params=facts.params,
            tags=facts.tags,
            evidence=facts.gates,
            files=facts.files,
            registered_at=entry.at,
            retired=entry.version in state.retired,
            taken_back=entry.version in state.taken_back,
        )

    def _folder(self, usecase: str, *, version: str) -> Path:
        return self.workspace / "models" / usecase / version

    def _known(self, usecase: str, version: str, state: Standing) -> None:
        if version not in state.registered:
            raise self._unknown(usecase, version, state)

    def _usable(self, usecase: str, version: str, state: Standing) -> None:
        """Refuse what may not go live: an unknown, retired or changed version."""
        self._known(usecase, version, state)
        if version in state.retired:
            raise InputError(
                f"version {version} of {usecase!r} is retired",
                allowed=[known for known in state.registered if known not in state.retired],
            )
        verify_folder(self._folder(usecase, version=version), files=facts_of(state.registered[version]).files)

    def _unknown(self, usecase: str, wanted: str, state: Standing) -> UnknownNameError:
        return UnknownNameError(
            f"use case {usecase!r} has no model {wanted[:60]!r}",
            where=str(self.workspace),
            allowed=[*state.granted, *state.registered],
            next_step=f"train one: trunkline run {usecase}",
        )
