"""Every command, option, setting and public name says what it is."""

import ast
import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"


@pytest.mark.slow
def test_commands_and_settings_are_documented_and_their_pages_current() -> None:
    """The script names what is undocumented and shows how the pages differ; `make reference` writes them."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def public_modules() -> list[str]:
    """Every module that declares `__all__`."""
    names = []
    for file in sorted((SOURCES / "trunkline").rglob("*.py")):
        parts = file.relative_to(SOURCES).with_suffix("").parts
        if "__all__" in file.read_text(encoding="utf-8"):
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def documented_constants(module: types.ModuleType) -> set[str]:
    """Names assigned at a module's top level with a docstring below or a comment above."""
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    lines = source.splitlines()
    body = ast.parse(source).body
    found = set()
    for node, after in zip(body, [*body[1:], None], strict=True):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        has_docstring = isinstance(after, ast.Expr) and isinstance(getattr(after.value, "value", None), str)
        above = lines[node.lineno - 2] if node.lineno > 1 else ""
        if has_docstring or above.lstrip().startswith("#"):
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def origin(module: types.ModuleType, name: str) -> types.ModuleType:
    """The module below `trunkline` that defines a re-exported constant."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return origin(importlib.import_module(str(node.module)), name)
    return module


@pytest.mark.parametrize("module_name", public_modules())
def test_every_public_name_is_documented(module_name: str) -> None:
    module = importlib.import_module(module_name)
    assert module.__doc__, f"{module_name} has no docstring"
    silent = []
    for name in module.__all__:
        value = inspect.unwrap(found) if callable(found := getattr(module, name)) else found
        if isinstance(value, type | types.FunctionType):
            inherited = isinstance(value, type) and "__doc__" not in vars(value)
            documented = bool(value.__doc__) and not inherited
        else:
            documented = isinstance(value, types.ModuleType) or name in documented_constants(origin(module, name))
        if not documented:
            silent.append(name)
    assert silent == [], f"public names of {module_name} without a docstring"


def test_something_is_public() -> None:
    assert "trunkline.errors" in public_modules()
