"""Which code a use case is: a hash of its Python files, for plug-ins that no version of the package speaks of."""

import hashlib
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from trunkline.plugins import ENTRY_POINTS, SHIPPED

__all__ = ["code_sha256"]

_LEFT_OUT: Final = ("__pycache__", "tests")


@cache
def code_sha256(name: str, *, plugin_dir: Path | None = None) -> str:
    """Hash the Python files of a use case, as they are when a process first asks.

    Args:
        name: Its name.
        plugin_dir: As in :func:`trunkline.plugins.usecase_names`.

    Returns:
        SHA-256, hex, over names and contents of all ``.py`` files of its folder and those below, but for tests and
        hidden folders; of its one file where it is no package. Empty where the code lies in no file.
    """
    place = _place(name, plugin_dir)
    if place is None:
        return ""
    root = place.parent if place.is_file() else place
    digest = hashlib.sha256()
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        inside = path.relative_to(root)
        if any(part in _LEFT_OUT or part.startswith(".") for part in inside.parts[:-1]):
            continue
        digest.update(f"{inside.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _place(name: str, plugin_dir: Path | None) -> Path | None:
    """The folder of a package, or the file of a module."""
    if plugin_dir is not None and (plugin_dir / name / "__init__.py").is_file():
        return plugin_dir / name
    announced = [entry.module for entry in entry_points(group=ENTRY_POINTS) if entry.name == name]
    spec = find_spec(announced[0] if announced else f"{SHIPPED}.{name}")
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
