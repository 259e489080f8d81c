"""From a decision in the ledger to its effect: MLflow's aliases, then the live manifest."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

from pydantic import JsonValue

from trunkline.errors import TamperedError
from trunkline.lake.locks import held
from trunkline.registry.files import verify_folder
from trunkline.registry.ledger import Event, LedgerEntry
from trunkline.registry.live import Alias, LiveManifest, LiveModel, read_live, write_live
from trunkline.registry.standing import Standing
from trunkline.registry.store.reading import Reading
from trunkline.registry.version import DESCRIPTION, facts_of
from trunkline.settings import drills

__all__ = ["Effects"]


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
