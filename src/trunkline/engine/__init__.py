"""What computes Ibis expressions over tables: opened by name, DuckDB by default.

Takes the name of an engine and its limits, gives an open :class:`Engine`. Engines differ only by their declared
:class:`Capabilities`; nothing outside this folder asks which engine it has. Importing this package loads neither Ibis
nor DuckDB.
"""

from collections.abc import Callable
from pathlib import Path

from trunkline.engine.protocol import Capabilities, Engine, FilesVanishedError
from trunkline.errors import UnknownNameError

__all__ = ["ENGINES", "Capabilities", "Engine", "FilesVanishedError", "open_engine"]


def _duckdb(memory_limit_mb: int | None, threads: int | None, temp_dir: Path | None) -> Engine:
    from trunkline.engine.duckdb import DuckDB

    return DuckDB(memory_limit_mb=memory_limit_mb, threads=threads, temp_dir=temp_dir)


_OPENERS: dict[str, Callable[[int | None, int | None, Path | None], Engine]] = {"duckdb": _duckdb}

ENGINES: tuple[str, ...] = tuple(_OPENERS)
"""Names that :func:`open_engine` knows."""


def open_engine(
    name: str = "duckdb",
    *,
    memory_limit_mb: int | None = None,
    threads: int | None = None,
    temp_dir: Path | None = None,
) -> Engine:
    """Open an engine by its name.

    Args:
        name: One of :data:`ENGINES`.
        memory_limit_mb: Most memory the engine may use, in MiB; None leaves it to the engine.
        threads: Number of worker threads; None means one per core.
        temp_dir: Folder for intermediate results that do not fit in memory; None leaves it to the engine.

    Returns:
        An open engine; close it, or use it as a context manager.

    Raises:
        UnknownNameError: There is no engine of that name.
    """
    opener = _OPENERS.get(name)
    if opener is None:
        raise UnknownNameError(f"no engine is called {name!r}", where="settings: engine", allowed=ENGINES)
    return opener(memory_limit_mb, threads, temp_dir)
