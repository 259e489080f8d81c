"""A model folder becomes a version, or a candidate is refused; once per run."""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from trunkline.errors import InputError, TrunklineError
from trunkline.registry.files import copy_folder, verify_folder
from trunkline.registry.ledger import LedgerEntry
from trunkline.registry.mlflow_store import Registered, Training
from trunkline.registry.store.effects import Effects
from trunkline.registry.version import DESCRIPTION, ModelVersion, RegisteredFacts, facts_of
from trunkline.settings import drills

__all__ = ["Registering"]

_logger = logging.getLogger(__name__)


class Registering(Effects):
    """Making versions."""

    def record_training(
        self, usecase: str, *, run_id: str, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Tell MLflow of a training before its gates are asked; a registration tells it again, if this cannot.

        Args:
            usecase: The use case.
            run_id: The run that learned.
            metrics: Headline metrics by scorer name; those that are not finite are left out.
            tags: Lineage.
        """
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        training = Training(run_id=run_id, metrics=finite, params={}, tags=dict(tags))
        try:
            with self._locked():
                self._tracker.record(usecase, training)
        except (TrunklineError, OSError) as error:  # also a registry that others hold: nothing that was learned is lost
            said = error.what if isinstance(error, TrunklineError) else type(error).__name__
            _logger.warning(
                "%s: MLflow has not taken the training %s (%s)", usecase, run_id, said, extra={"usecase": usecase}
            )

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
                Registered(
                    version=entry.version,
                    run_id=run_id,
                    folder=self._folder(usecase, version=entry.version),
                    metrics={name: value for name, value in facts.metrics.items() if value is not None},
                    params=facts.params,
                    tags=facts.tags,
                ),
            )
            drills.point("registry.after_track")
            self._completed(usecase)
        return self._model_version(entry, self._standing(usecase))

    def refuse(self, usecase: str, *, run_id: str, evidence: JsonValue, approver: str = "gates") -> LedgerEntry:
        """Record that a candidate failed its gates; a repeat for the same run adds nothing."""
        with self._locked():
            for entry in self.ledger.entries():
                if entry.event == "refused" and entry.usecase == usecase and entry.run_id == run_id:
                    return entry
            return self.ledger.append(
                "refused", usecase=usecase, version="", run_id=run_id, approver=approver, evidence=evidence
            )
