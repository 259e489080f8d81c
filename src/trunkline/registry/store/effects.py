"""From a decision in the ledger to its effect: the live manifest, then MLflow's aliases.

MLflow is told last and cannot stop anything: while it is away the live manifest is right, a warning says so, and the
next act of the registry tells it. What it was told last stands in ``live/<usecase>.followed``.
"""

import hashlib
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager

from pydantic import JsonValue

from trunkline.errors import TamperedError, TrunklineError
from trunkline.lake.locks import held
from trunkline.registry.files import verify_folder, write_file
from trunkline.registry.ledger import Event, LedgerEntry
from trunkline.registry.live import Alias, LiveManifest, LiveModel, read_live, write_live
from trunkline.registry.standing import Standing
from trunkline.registry.store.reading import Reading
from trunkline.registry.version import DESCRIPTION, facts_of
from trunkline.settings import drills

__all__ = ["Effects"]

_logger = logging.getLogger(__name__)


class Effects(Reading):
    """The lock under which decisions are made, and what makes them true."""

    def _locked(self) -> AbstractContextManager[None]:
        return held(
            self.workspace / "locks" / "registry.lock",
            what="model registry",
            timeout_s=self._settings.lock_timeout_s,
            clock=self._clock,
        )

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

    def _pending(self, usecase: str, state: Standing) -> bool:
        """Whether the ledger holds a decision that the live manifest does not show."""
        shown = {alias: model.entry for alias, model in self._shown(usecase).items()}
        return shown != {alias: entry.sha256 for alias, entry in state.granted.items()}

    def _carry_out(self, usecase: str) -> LiveManifest:
        """Make the live manifest show what the ledger decided."""
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
        manifest = write_live(self.workspace, LiveManifest(usecase=usecase, aliases=models))
        drills.point("registry.after_live")
        return manifest

    def _completed(self, usecase: str) -> LiveManifest:
        """Carry out what the ledger decided, and let MLflow follow as far as it can be reached."""
        manifest = self._carry_out(usecase)
        told, seal = self.workspace / "live" / f"{usecase}.followed", self._seal_of(manifest)
        if not manifest.seal or (told.is_file() and told.read_text() == seal):
            return manifest
        try:
            self._tracker.point(usecase, aliases={alias: model.run_id for alias, model in manifest.aliases.items()})
        except (TrunklineError, OSError) as error:
            said = error.what if isinstance(error, TrunklineError) else type(error).__name__
            _logger.warning(
                "%s: the live manifest is written, MLflow has not followed (%s); the next registration, promotion, "
                "rollback or retirement tells it",
                usecase,
                said,
                extra={"usecase": usecase},
            )
            return manifest
        drills.point("registry.after_point")
        write_file(told, seal.encode(), point="followed")
        return manifest

    def _seal_of(self, manifest: LiveManifest) -> str:
        """Name what MLflow is told, and where; another address has been told nothing yet."""
        return hashlib.sha256(f"{manifest.seal} {self._settings.tracking_uri}".encode()).hexdigest()

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
