"""Discovery of use cases: the shipped folders, installed entry points, and the user's own plug-in folder.

Takes names and gives ``UseCase`` objects; refuses two use cases of one name and modules that hold none. Shipped use
cases are the subpackages of ``trunkline.usecases``; other packages announce theirs by the entry point group
``trunkline.usecases``; a folder of plug-ins (``trunkline new`` makes one) is named in the settings.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from trunkline.errors import TrunklineError, UnknownNameError, UseCaseError
from trunkline.spec import UseCase

__all__ = ["ENTRY_POINTS", "SHIPPED", "load_usecase", "usecase_names"]

ENTRY_POINTS: Final = "trunkline.usecases"
"""Entry point group by which other packages announce their use cases."""

SHIPPED: Final = "trunkline.usecases"
"""Package whose subpackages are the shipped use cases."""


def usecase_names(*, plugin_dir: Path | None = None) -> tuple[str, ...]:
    """Give the names of all installed use cases, sorted, without importing them.

    Args:
        plugin_dir: Folder whose subfolders are use cases; None or absent has none.

    Raises:
        UseCaseError: Two use cases have one name.
    """
    return tuple(sorted(_loaders(plugin_dir)))


def load_usecase(name: str, *, plugin_dir: Path | None = None) -> UseCase:
    """Import one use case.

    Args:
        name: Its name.
        plugin_dir: As in :func:`usecase_names`.

    Raises:
        UnknownNameError: There is none of that name.
        UseCaseError: Its module holds no ``UseCase`` of that name, or cannot be imported.
    """
    loaders = _loaders(plugin_dir)
    if name not in loaders:
        raise UnknownNameError(
            f"there is no use case {name!r}", allowed=sorted(loaders), next_step="see `trunkline usecases`"
        )
    source, load = loaders[name]
    module = _imported(name, source, load)
    found = module if isinstance(module, UseCase) else getattr(module, "usecase", None)
    if not isinstance(found, UseCase):
        raise UseCaseError(
            f"{name!r} holds no use case", where=source, next_step="its module must set usecase = UseCase(...)"
        )
    if found.name != name:
        raise UseCaseError(
            f"what is installed as {name!r} holds a use case called {found.name!r}",
            where=source,
            next_step="give both one name",
        )
    return found


def _imported(name: str, source: str, load: Callable[[], object]) -> object:
    """Run the code of a plug-in; whatever it raises is its author's, and is said with the line it came from."""
    try:
        return load()
    except TrunklineError:
        raise
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise UseCaseError(
            f"the use case {name!r} cannot be imported: {type(error).__name__}: {error}",
            where=f"{source} ({at.filename}, line {at.lineno})",
            next_step="mend its code, or take it out of the plug-in folder",
        ) from error


def _loaders(plugin_dir: Path | None) -> Mapping[str, tuple[str, Callable[[], object]]]:
    """Find every use case: its name to where it comes from and what imports it."""
    loaders: dict[str, tuple[str, Callable[[], object]]] = {}

    def add(name: str, source: str, load: Callable[[], object]) -> None:
        if name in loaders:
            raise UseCaseError(
                f"two use cases are called {name!r}",
                where=f"{loaders[name][0]} and {source}",
                next_step="rename one of them",
            )
        loaders[name] = (source, load)

    package = importlib.util.find_spec(SHIPPED)
    for found in pkgutil.iter_modules(package.submodule_search_locations if package else []):
        if found.ispkg:
            module = f"{SHIPPED}.{found.name}"
            add(found.name, module, partial(importlib.import_module, module))
    for entry in entry_points(group=ENTRY_POINTS):
        add(entry.name, f"entry point {entry.value}", entry.load)
    if plugin_dir is not None and plugin_dir.is_dir():
        for folder in sorted(plugin_dir.iterdir()):
            if (folder / "__init__.py").is_file():
                add(folder.name, str(folder), partial(_import_folder, folder))
    return loaders


def _import_folder(folder: Path) -> object:
    """Import a plug-in folder as a package of its own name below ``trunkline_plugins``."""
    place = hashlib.sha256(str(folder.parent.resolve()).encode()).hexdigest()[:12]
    qualified = f"trunkline_plugins_{place}.{folder.name}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    spec = importlib.util.spec_from_file_location(
        qualified, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise UseCaseError("the plug-in cannot be imported", where=str(folder))
    module = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[qualified]
        raise
    return module
