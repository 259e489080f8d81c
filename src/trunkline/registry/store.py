"""The registry of one workspace: model folders, ledger, live manifests; MLflow follows.

Order of a promotion: prove the folder, write the ledger's entry, point MLflow's aliases, write the live manifest. The
ledger's entry is the decision, the live manifest the effect and the truth about who answers. Killed in between, the
decision stands and the old champion answers; the next registration, promotion or rollback of the use case first carries
the decision out, so repeating the killed command completes it and does nothing twice.
"""

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from trunkline.errors import InputError, TamperedError, UnknownNameError
from trunkline.lake.locks import held
from trunkline.registry.files import copy_folder, verify_folder
from trunkline.registry.ledger import Event, Ledger, LedgerEntry
from trunkline.registry.live import Alias, LiveManifest, LiveModel, read_live, write_live
from trunkline.registry.mlflow_store import Tracker, tracker
from trunkline.registry.standing import Standing, standing
from trunkline.registry.version import DESCRIPTION, ModelVersion, RegisteredFacts, facts_of
from trunkline.settings import drills
from trunkline.settings.registry import RegistrySettings

__all__ = ["Registry"]


class Registry:
    """Versions, aliases and their history in one workspace."""

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

    def register(
        self,
        usecase: str,
        folder: Path,
        *,
        run_id: str,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        evidence: JsonValue,
        params: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """Make a model folder a version. A run registers once: its second call gives the first call's version.

        Args:
            usecase: The use case.
            folder: The model folder, with ``model.json`` in it; copied.
            run_id: The run that trained it.
            metrics: Headline metrics by scorer name; NaN is recorded as null.
            tags: Lineage.
            evidence: Gate results.
            params: What was set for the training.

        Raises:
            SourceError: The folder is missing or empty.
            InputError: It has no ``model.json``, or the use case's name cannot be a folder's.
            TamperedError: The ledger, or the version registered before, is not what was written.
            BusyError: Another process holds the registry.
            UnavailableError: MLflow did not take the record; a repeat completes.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", usecase):
            raise InputError(
                f"{usecase[:60]!r} cannot be the name of a use case",
                allowed=("lower-case letters, digits and underscores, 40 at most",),
            )
        with self._locked():
            self._carry_out(usecase)
            entry = self._standing(usecase).by_run(run_id)
            if entry is None:
                if folder.is_dir() and not (folder / DESCRIPTION).is_file():
                    raise InputError(f"a model folder has a {DESCRIPTION}", where=str(folder))
                version = str(len(self._standing(usecase).registered) + 1)
                files = copy_folder(folder, to=self._folder(usecase, version=version), point="registry.copy")
                drills.point("registry.before_registered")
                facts = RegisteredFacts(
                    metrics=dict(metrics), params=dict(params or {}), tags=dict(tags), files=files, gates=evidence
                )
                entry = self.ledger.append(
                    "registered",
                    usecase=usecase,
                    version=version,
                    run_id=run_id,
                    approver="gates",
                    evidence=facts.model_dump(mode="json"),
                )
            facts = facts_of(entry)
            verify_folder(self._folder(usecase, version=entry.version), files=facts.files)
            drills.point("registry.before_track")
            self._tracker.track(
                usecase,
                version=entry.version,
                run_id=run_id,
                folder=self._folder(usecase, version=entry.version),
                metrics={name: value for name, value in facts.metrics.items() if value is not None},
                params=facts.params,
                tags=facts.tags,
            )
            drills.point("registry.after_track")
        return self._model_version(entry, self._standing(usecase))

    def promote(
        self, usecase: str, version: str, *, alias: Alias = "champion", approver: str, evidence: JsonValue
    ) -> LiveManifest:
        """Give an alias to a version. Promoting what has the alias already changes nothing.

        Args:
            usecase: The use case.
            version: A registered version.
            alias: The alias.
            approver: Who decided: a person's name, or ``gates``.
            evidence: Why.

        Returns:
            The live manifest as written.

        Raises:
            UnknownNameError: There is no such version.
            InputError: The version is retired.
            TamperedError: The model folder, the ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
            UnavailableError: MLflow did not follow; the old model answers, a repeat completes.
        """
        with self._locked():
            self._carry_out(usecase)
            state = self._standing(usecase)
            self._usable(usecase, version, state)
            champion = state.granted.get("champion")
            if alias == "challenger" and champion is not None and champion.version == version:
                raise InputError(
                    f"version {version} of {usecase!r} is the champion and cannot challenge itself",
                    allowed=[known for known in state.registered if known not in {version, *state.retired}],
                )
            given = state.granted.get(alias)
            if given is None or given.version != version:
                drills.point("registry.before_promoted")
                self._give("promoted", usecase, version, alias=alias, approver=approver, evidence=evidence)
            return self._carry_out(usecase)

    def rollback(
        self, usecase: str, *, approver: str, evidence: JsonValue = None, leaving: str | None = None
    ) -> LiveManifest:
        """Go back to the champion before the present one, with its whole folder, preprocessing included.

        A rollback that was killed is completed by repeating it. Only one that was killed after its last write, when
        everything was done but nobody told, would go back a second step: naming the version to leave prevents that.

        Args:
            usecase: The use case.
            approver: Who decided.
            evidence: Why.
            leaving: The version to get away from; when it is not the champion (any more), nothing is done.

        Returns:
            The live manifest as written.

        Raises:
            UnknownNameError: There is no version ``leaving``.
            InputError: There is no earlier champion.
            TamperedError: The earlier champion's folder, the ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
            UnavailableError: MLflow did not follow; a repeat completes.
        """
        with self._locked():
            state = self._standing(usecase)
            champion, pending = state.granted.get("champion"), self._pending(usecase, state)
            if pending and champion is not None and champion.event == "rolled_back":
                return self._carry_out(usecase)
            if leaving is not None and (champion is None or champion.version != leaving):
                self._known(usecase, leaving, state)
                return self._carry_out(usecase)
            if state.previous is None:
                raise InputError(
                    f"use case {usecase!r} has no earlier champion to go back to",
                    allowed=[version for version in state.registered if version not in state.retired],
                    next_step=f"promote one of its versions: trunkline models promote {usecase} VERSION",
                )
            self._usable(usecase, state.previous, state)
            drills.point("registry.before_promoted")
            self._give("rolled_back", usecase, state.previous, alias="champion", approver=approver, evidence=evidence)
            return self._carry_out(usecase)

    def retire(self, usecase: str, version: str, *, approver: str, evidence: JsonValue = None) -> LiveManifest:
        """Bar a version from being given an alias ever again; its folder stays, for lineage.

        Raises:
            UnknownNameError: There is no such version.
            InputError: It is the champion.
            TamperedError: The ledger or the live manifest is not what was written.
            BusyError: Another process holds the registry.
            UnavailableError: MLflow did not follow; a repeat completes.
        """
        with self._locked():
            self._carry_out(usecase)
            state = self._standing(usecase)
            self._known(usecase, version, state)
            champion = state.granted.get("champion")
            if champion is not None and champion.version == version:
                raise InputError(
                    f"version {version} of {usecase!r} is the champion and answers",
                    next_step=f"let another answer first: trunkline models rollback {usecase}",
                )
            if version not in state.retired:
                self._give("retired", usecase, version, alias=None, approver=approver, evidence=evidence)
            return self._carry_out(usecase)

    def refuse(self, usecase: str, *, run_id: str, evidence: JsonValue, approver: str = "gates") -> LedgerEntry:
        """Record that a candidate failed its gates; a repeat for the same run adds nothing."""
        with self._locked():
            for entry in self.ledger.entries():
                if entry.event == "refused" and entry.usecase == usecase and entry.run_id == run_id:
                    return entry
            return self.ledger.append(
                "refused", usecase=usecase, version="", run_id=run_id, approver=approver, evidence=evidence
            )

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

    def _locked(self) -> AbstractContextManager[None]:
        return held(
            self.workspace / "locks" / "registry.lock",
            what="model registry",
            timeout_s=self._settings.lock_timeout_s,
            clock=self._clock,
        )

    def _standing(self, usecase: str) -> Standing:
        return standing(self.ledger.entries(), usecase=usecase)

    def _give(
        self,
        event: Event,
        usecase: str,
        version: str,
        *,
        alias: Alias | None,
        approver: str,
        evidence: JsonValue,
    ) -> None:
        """Write the decision."""
        run_id = self._standing(usecase).registered[version].run_id
        self.ledger.append(
            event,
            usecase=usecase,
            version=version,
            alias=alias,
            run_id=run_id,
            approver=approver,
            evidence=evidence,
        )
        drills.point("registry.after_decision")

    def _shown(self, usecase: str) -> Mapping[Alias, LiveModel]:
        """What the live manifest shows; nothing when it is damaged, since the ledger can write it anew.

        Raises:
            TamperedError: It names an entry that the ledger does not have: the ledger has lost lines.
        """
        try:
            shown = read_live(self.workspace, usecase).aliases
        except TamperedError:
            return {}
        self._refuse_lost({entry.sha256 for entry in self.ledger.entries()}, shown)
        return shown

    def _refuse_lost(self, known: AbstractSet[str], shown: Mapping[Alias, LiveModel]) -> None:
        for alias, model in shown.items():
            if model.entry not in known:
                raise TamperedError(
                    f"the ledger has lost the entry that made version {model.version} the {alias}",
                    where=str(self.ledger.path),
                    next_step="restore ledger.jsonl from a backup",
                )

    def _pending(self, usecase: str, state: Standing) -> bool:
        """Whether the ledger holds a decision that the live manifest does not show."""
        shown = {alias: model.entry for alias, model in self._shown(usecase).items()}
        return shown != {alias: entry.sha256 for alias, entry in state.granted.items()}

    def _carry_out(self, usecase: str) -> LiveManifest:
        """Make MLflow and the live manifest show what the ledger decided."""
        state = self._standing(usecase)
        if not self._pending(usecase, state):
            return read_live(self.workspace, usecase)
        shown = self._shown(usecase)
        models = {
            alias: shown[alias]
            if alias in shown and shown[alias].entry == entry.sha256
            else self._live_model(entry, state)
            for alias, entry in state.granted.items()
        }
        self._tracker.point(usecase, aliases={alias: entry.run_id for alias, entry in state.granted.items()})
        drills.point("registry.after_point")
        manifest = write_live(self.workspace, LiveManifest(usecase=usecase, aliases=models))
        drills.point("registry.after_live")
        return manifest

    def _live_model(self, entry: LedgerEntry, state: Standing) -> LiveModel:
        files = facts_of(state.registered[entry.version]).files
        folder = self._folder(entry.usecase, version=entry.version)
        verify_folder(folder, files=files)
        return LiveModel(
            version=entry.version,
            folder=folder.relative_to(self.workspace).as_posix(),
            sha256=files[DESCRIPTION],
            files=files,
            promoted_at=entry.at,
            run_id=entry.run_id,
            entry=entry.sha256,
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
