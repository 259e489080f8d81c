"""Discovery of use cases: the shipped folders, installed entry points, and the user's own plug-in folder.

Takes names and gives ``UseCase`` objects; refuses two use cases of one name and modules that hold none. One that is
broken is refused by its name, and stops nobody who asks for all of them. Shipped use cases are the subpackages of
``trunkline.usecases``; other packages announce theirs by the entry point group ``trunkline.usecases``; a folder of
plug-ins (``trunkline new`` makes one) is named in the settings.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from trunkline.errors import TrunklineError, UnknownNameError, UseCaseError
from trunkline.spec import UseCase

__all__ = ["ENTRY_POINTS", "SHIPPED", "Installed", "load_usecase", "load_usecases", "usecase_names"]

ENTRY_POINTS: Final = "trunkline.usecases"
"""Entry point group by which other packages announce their use cases."""

SHIPPED: Final = "trunkline.usecases"
"""Package whose subpackages are the shipped use cases."""

_HERE: Final = Path(__file__)


@dataclass(frozen=True)
class Installed:
    """What is installed, by name.

    Attributes:
        usecases: Use cases that can be used, in the order of their names.
        broken: Those that cannot be imported, and why.
    """

    usecases: Mapping[str, UseCase]
    broken: Mapping[str, TrunklineError]


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


def load_usecases(*, plugin_dir: Path | None = None) -> Installed:
    """Import all use cases; what is broken is told apart, so that it stops none of the others.

    Args:
        plugin_dir: As in :func:`usecase_names`.

    Raises:
        UseCaseError: Two use cases have one name.
    """
    usecases: dict[str, UseCase] = {}
    broken: dict[str, TrunklineError] = {}
    for name in usecase_names(plugin_dir=plugin_dir):
        try:
            usecases[name] = load_usecase(name, plugin_dir=plugin_dir)
        except TrunklineError as error:
            broken[name] = error
    return Installed(usecases, broken)


def _imported(name: str, source: str, load: Callable[[], object]) -> object:
    """Run the code of a plug-in; whatever it raises is its author's, and is said with the line it came from."""
    try:
        return load()
    except TrunklineError:
        raise
    except (Exception, SystemExit) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UseCaseError(
            f"the use case {name!r} cannot be imported: {type(error).__name__}: {said}",
            where=_line(error, source) or source,
            next_step=f"mend its code, or take {source} out of what is installed",
        ) from error


def _line(error: BaseException, source: str) -> str:
    """The file and line that are wrong: what cannot be parsed says so itself, anything else by its traceback."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    # the machinery that imports has no file, and is not to blame
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    beyond = [frame for frame in frames if Path(frame.filename) != _HERE]
    own = [frame for frame in beyond if Path(frame.filename).is_relative_to(Path(source).absolute())]
    blamed = (own or beyond)[-1:]
    return "".join(f"{frame.filename}, line {frame.lineno}" for frame in blamed)


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
