"""What computes Ibis expressions over tables: opened by name, DuckDB by default.

Takes the name of an engine and its limits, gives an open :class:`Engine`. Engines differ only by their declared
:class:`Capabilities`; nothing outside this folder asks which engine it has. Importing this package loads neither Ibis
nor DuckDB nor Spark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.engine.protocol import Capabilities, Engine, FilesVanishedError, MapBatches
from trunkline.errors import UnknownNameError

if TYPE_CHECKING:
    from trunkline.settings.engine import EngineSettings

__all__ = ["ENGINES", "Capabilities", "Engine", "FilesVanishedError", "MapBatches", "open_engine"]


@dataclass(frozen=True)
class _Asked:
    memory_limit_mb: int | None
    threads: int | None
    temp_dir: Path | None
    settings: EngineSettings | None


def _duckdb(asked: _Asked) -> Engine:
    from trunkline.engine.duckdb import DuckDB

    return DuckDB(memory_limit_mb=asked.memory_limit_mb, threads=asked.threads, temp_dir=asked.temp_dir)


def _spark(asked: _Asked) -> Engine:
    from trunkline.engine.spark import Place, Spark
    from trunkline.settings.engine import EngineSettings

    settings = asked.settings or EngineSettings(name="spark")
    place = Place(
        url=settings.url,
        driver_host=settings.driver_host,
        python=settings.python,
        memory_limit_mb=asked.memory_limit_mb,
        temp_dir=asked.temp_dir,
        event_log=settings.event_log,
        options={name: value.get_secret_value() for name, value in settings.options.items()},
    )
    return Spark(place, threads=asked.threads)


_OPENERS: dict[str, Callable[[_Asked], Engine]] = {"duckdb": _duckdb, "spark": _spark}

ENGINES: tuple[str, ...] = tuple(_OPENERS)
"""Names that :func:`open_engine` knows."""


def open_engine(
    name: str = "duckdb",
    *,
    memory_limit_mb: int | None = None,
    threads: int | None = None,
    temp_dir: Path | None = None,
    settings: EngineSettings | None = None,
) -> Engine:
    """Open an engine by its name.

    Args:
        name: One of :data:`ENGINES`.
        memory_limit_mb: Most memory the engine may use, in MiB; None leaves it to the engine.
        threads: Number of worker threads; None means one per core.
        temp_dir: Folder for intermediate results that do not fit in memory; None leaves it to the engine.
        settings: Where an engine that is no part of this process runs; None is the default of :class:`EngineSettings`.

    Returns:
        An open engine; close it, or use it as a context manager.

    Raises:
        UnknownNameError: There is no engine of that name.
    """
    opener = _OPENERS.get(name)
    if opener is None:
        raise UnknownNameError(f"no engine is called {name!r}", where="settings: engine.name", allowed=ENGINES)
    return opener(_Asked(memory_limit_mb, threads, temp_dir, settings))
