"""The composition root: one workspace with its settings, lake, engine and registry.

Everything that has effects is made here and handed down as arguments. Parts are opened when first used, so that a
command pays only for what it touches.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from trunkline.contracts.records import ENTITY_TABLES, OUTGOING
from trunkline.errors import InputError
from trunkline.files import replacing
from trunkline.plugins import Installed, load_usecase, load_usecases, usecase_names
from trunkline.settings import Settings
from trunkline.spec import UseCase

if TYPE_CHECKING:
    from trunkline.engine import Engine
    from trunkline.ingest.landing import Landing
    from trunkline.lake import Keyring, Lake
    from trunkline.registry import Registry

__all__ = ["SCHEMA_VERSION", "Workspace", "utc_now"]

SCHEMA_VERSION: Final = 1
"""Version of the layout of a workspace; raised with a migration in the same commit."""


def utc_now() -> datetime:
    """Read the clock, in UTC."""
    return datetime.now(UTC)


class Workspace:
    """An opened workspace; use it in a ``with`` block."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        """Point at the workspace that the settings name.

        Args:
            settings: The settings.
            clock: Gives the current instant.

        Raises:
            InputError: The folder was made by a newer version, or is not a workspace.
        """
        self.settings = settings
        self.clock = clock
        self.root = settings.workspace.resolve()  # no `..` and no link: paths below it are told from it
        self._open = False
        self._check_version()

    @cached_property
    def engine(self) -> "Engine":
        """The query engine."""
        from trunkline.engine import open_engine

        self._open = True
        return open_engine(
            self.settings.engine.name,
            memory_limit_mb=self.settings.memory_limit_mb or None,
            threads=self.threads,
            temp_dir=self._place("tmp"),
            settings=self.settings.engine,
        )

    @cached_property
    def lake(self) -> "Lake":
        """The lake."""
        from trunkline.lake import Lake

        return Lake(
            self._place("lake"), engine=self.engine, settings=self.settings.lake, clock=self.clock, keys=self.keys
        )

    @cached_property
    def keys(self) -> "Keyring":
        """The keys of pseudonyms and of encryption."""
        from trunkline.lake import Keyring

        return Keyring(self.root, settings=self.settings.privacy, clock=self.clock)

    @cached_property
    def registry(self) -> "Registry":
        """The model registry."""
        from trunkline.registry import Registry

        return Registry(self._place("."), settings=self.settings.registry, clock=self.clock)

    def landing(self, table: str) -> "Landing":
        """The landing zone of a lake table."""
        from trunkline.ingest.landing import Landing

        usecase, _, dataset = table.partition(".")
        contracts = self.usecase(usecase).contracts if usecase in self.usecases() else {}
        seals = dataset in contracts and self.keys.is_encrypted(contracts[dataset])
        return Landing(self.folder("landing") / table, clock=self.clock, keys=self.keys, seals=seals)

    @property
    def threads(self) -> int:
        """Threads that training and queries may take."""
        return self.settings.threads or len(os.sched_getaffinity(0))

    def entity_tables(self) -> dict[str, str]:
        """Name the tables that speak of entities by ``usecase`` and ``entity_key``, each with its column of ids."""
        own = [name for name, usecase in self.installed().usecases.items() if usecase.audience is not None]
        return {**ENTITY_TABLES, **{f"{name}.{OUTGOING}": "message_id" for name in own}}

    def folder(self, name: str) -> Path:
        """Give a folder of the workspace, made if it is not there."""
        if not (self.root / "VERSION").exists():
            self.root.mkdir(parents=True, exist_ok=True)
            with replacing(self.root / "VERSION") as part:
                part.write_text(f"{SCHEMA_VERSION}\n")
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _place(self, name: str) -> Path:
        """A folder of the workspace; where there is no workspace yet, looking for something makes none."""
        return self.folder(name) if self.root.exists() else self.root / name

    def usecase(self, name: str) -> UseCase:
        """Import a use case by name.

        Raises:
            UnknownNameError: There is none of that name.
            UseCaseError: It cannot be imported.
            InputError: The settings say of it what cannot be set.
        """
        found = load_usecase(name, plugin_dir=self.settings.plugin_dir)
        return found.with_choices(self.settings.usecases.get(name, {}))

    def usecases(self) -> tuple[str, ...]:
        """Names of all installed use cases, broken ones too."""
        return usecase_names(plugin_dir=self.settings.plugin_dir)

    def installed(self) -> Installed:
        """Import all use cases; those that are broken are told apart."""
        found = load_usecases(plugin_dir=self.settings.plugin_dir)
        given = self.settings.usecases
        return replace(
            found, usecases={name: one.with_choices(given.get(name, {})) for name, one in found.usecases.items()}
        )

    @contextmanager
    def run_lock(self, usecase: str) -> Iterator[None]:
        """Hold the use case: one run at a time.

        Raises:
            BusyError: Another run holds it, and has held it for ``run_wait`` of the settings; the message names the
                holder.
        """
        from trunkline.lake.locks import held

        path = self.folder("locks") / f"run-{usecase}.lock"
        # a moment longer than somebody takes who only looks whether it is held
        timeout_s = max(0.2, self.settings.run_wait.total_seconds())
        with held(path, what=f"use case {usecase!r}, in which one run goes on at a time", timeout_s=timeout_s):
            yield

    def is_running(self, usecase: str) -> bool:
        """Tell whether a run of the use case goes on."""
        from trunkline.lake.locks import is_held

        return is_held(self.root / "locks" / f"run-{usecase}.lock")

    def is_flushing(self) -> bool:
        """Tell whether a server moves the durable log into the lake."""
        from trunkline.lake.locks import is_held

        return is_held(self.root / "locks" / "flusher.lock")

    def close(self) -> None:
        """End the engine's session; closing twice is allowed."""
        if self._open:
            self.engine.close()
            self._open = False

    def __enter__(self) -> Self:
        """Enter a ``with`` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the workspace."""
        self.close()

    def _check_version(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise InputError(
                "the workspace is a file, not a folder", where=str(self.root), next_step="name a folder by --workspace"
            )
        mark = self.root / "VERSION"
        if not mark.exists():
            return
        found = mark.read_text().strip()
        if found != str(SCHEMA_VERSION):
            raise InputError(
                f"the workspace has schema version {found[:20]!r}, this Trunkline reads {SCHEMA_VERSION}",
                where=str(self.root),
                next_step="use the Trunkline that made it, or a newer one with `trunkline migrate`",
            )
