"""Which model answers: the champion of each use case, loaded, and swapped when the live manifest changes.

A new champion is loaded and warmed up beside the old one and takes its place by one assignment, so no request waits or
fails. A champion that cannot be loaded, because its files are not what was registered, changes nothing: the old one
goes on answering and :attr:`Deployment.problem` says what is wrong.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trunkline.checks import Pseudonyms
from trunkline.checks.edge import EdgeValidator, edge_validator
from trunkline.contracts.expressions import RowValue
from trunkline.errors import MissingExtraError, SchemaError, TrunklineError, UnavailableError, UnknownNameError
from trunkline.registry.live import Alias, LiveModel, live_path, read_live, verified_folder
from trunkline.spec import UseCase
from trunkline.tasks.base_matrix import Matrix
from trunkline.tasks.model import Model

__all__ = ["Deployment", "Loaded"]

_Stamp = tuple[int, int, int]

_logger = logging.getLogger(__name__)

_PAUSE_S = 10.0
"""A champion that could not be loaded is tried again after so long: its files may have been out of reach."""


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    Attributes:
        live: What the live manifest says of it.
        alias: The alias it answers for.
        model: The model.
        encode: One typed row to shape (1, base columns).
        features: Columns it reads, which are logged with every answer.
        threshold: Scores at or above it decide True; None for a regression.
    """

    live: LiveModel
    alias: Alias
    model: Model
    encode: Callable[[Mapping[str, RowValue]], Matrix]
    features: tuple[str, ...]
    threshold: float | None

    def scores(self, rows: list[Mapping[str, RowValue]]) -> list[float]:
        """Score typed rows by ONNX Runtime, all in one call.

        Args:
            rows: At least one row, as the edge validator gives them.
        """
        if len(rows) == 1:
            return [self.model.predict_row(rows[0])]
        encode = self.encode
        base = np.concatenate([encode(row) for row in rows])
        scores: list[float] = self.model.scores(base).tolist()
        return scores


class Deployment:
    """One use case on this server.

    Args:
        usecase: The use case.
        workspace: Where its live manifest and models lie.
        pseudonyms: Replaces personal identifiers in what is asked; None where the contract protects none.
    """

    def __init__(self, usecase: UseCase, *, workspace: Path, pseudonyms: Pseudonyms | None = None) -> None:
        self.usecase = usecase
        self.pseudonyms = pseudonyms
        self.problem = ""
        self._workspace = workspace
        self._path = live_path(workspace, usecase.name)
        self._seen: _Stamp | None = None
        self._again_at = 0.0
        self._current: Loaded | None = None
        label = () if usecase.task is None else (usecase.task.label,)
        self.validator: EdgeValidator = edge_validator(usecase.contract, optional=label, pseudonyms=pseudonyms)
        self.keyless_validator: EdgeValidator = edge_validator(
            usecase.contract, optional=(*label, *usecase.entity_key), pseudonyms=pseudonyms
        )

    @property
    def current(self) -> Loaded | None:
        """The model that answers; None while no version was promoted."""
        return self._current

    def loaded(self) -> Loaded:
        """The model that answers.

        Raises:
            UnavailableError: No version was promoted yet, or it could not be loaded.
        """
        if self._current is None:
            raise UnavailableError(
                f"use case {self.usecase.name!r} has no model that could answer",
                next_step=f"trunkline run {self.usecase.name}",
            )
        return self._current

    def version(self, version: str) -> Loaded:
        """The model that answers, if it is that version.

        Raises:
            UnknownNameError: Another version answers.
            UnavailableError: None does.
        """
        loaded = self.loaded()
        if loaded.live.version != version:
            raise UnknownNameError(
                f"version {version[:40]!r} of {self.usecase.name!r} does not answer here",
                allowed=(loaded.live.version,),
            )
        return loaded

    def warm_reasons(self) -> None:
        """Load what reasons need, which takes seconds: call it in a thread. A model without reasons is left alone."""
        from trunkline.tasks.explanation import contributions

        if self._current is not None:
            with suppress(MissingExtraError):
                contributions(self._current.model, self._current.encode({}))

    @property
    def has_news(self) -> bool:
        """Whether the live manifest is another file than at the last :meth:`refresh`, or that failed a while ago."""
        return self._stamp() != self._seen or (bool(self.problem) and time.monotonic() >= self._again_at)

    def refresh(self) -> bool:
        """Load what the live manifest names, unless it answers already; a failure is told by :attr:`problem`.

        Returns:
            Whether another version answers now.
        """
        self._seen = self._stamp()
        try:
            champion = read_live(self._workspace, self.usecase.name).champion
            if champion is None or (self._current is not None and champion == self._current.live):
                self.problem = ""
                return False
            self._current = _load(self._workspace, champion, self.usecase)
        except (TrunklineError, OSError, ValueError) as error:
            return self._refused(error.what if isinstance(error, TrunklineError) else type(error).__name__)
        except Exception as error:  # a model's files may make any library say anything
            _logger.exception("%s: the champion cannot be loaded", self.usecase.name)
            return self._refused(type(error).__name__)
        self.problem = ""
        return True

    def _refused(self, problem: str) -> bool:
        self.problem = problem
        self._again_at = time.monotonic() + _PAUSE_S
        return False

    def _stamp(self) -> _Stamp | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - called every second for every use case
        except OSError:  # not there, or out of reach: what reads it says so
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size


def _load(workspace: Path, champion: LiveModel, usecase: UseCase) -> Loaded:
    model = Model.load(verified_folder(workspace, champion), fingerprint=champion.sha256)
    features = tuple(name for name in model.info.columns if name != model.info.label)
    known = {column.name for column in usecase.contract.columns}
    if strange := [name for name in features if name not in known]:
        raise SchemaError(
            f"version {champion.version} reads columns that the contract has no more: {', '.join(strange)}",
            where=f"use case {usecase.name!r}",
            next_step="bring the contract back, or train anew",
        )
    model.warm_up()
    return Loaded(
        live=champion,
        alias="champion",
        model=model,
        encode=model.base.row_encoder(),
        features=features,
        threshold=model.info.threshold,
    )
