"""Every public function is documented with an example (pytest runs them), and importing is cheap."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import trunkline.stats

_MODULES = sorted(module.name for module in pkgutil.iter_modules(trunkline.stats.__path__))


@pytest.mark.parametrize("name", [name for name in _MODULES if name != "arrays"])
def test_public_functions_are_documented(name: str) -> None:
    module = importlib.import_module(f"trunkline.stats.{name}")
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isfunction(thing):
            text = inspect.getdoc(thing) or ""
            missing = [part for part in ("Args:", "Returns:", "Raises:", "Example:") if part not in text]
            assert not missing, f"{name}.{public} lacks {missing}"


def test_package_documents_its_modules() -> None:
    text = trunkline.stats.__doc__ or ""
    assert [name for name in _MODULES if f"``{name}``" not in text] == ["arrays"]


def test_import_loads_no_heavy_library() -> None:
    modules = ", ".join(f"trunkline.stats.{name}" for name in _MODULES)
    program = (
        f"import sys, {modules}; print([m for m in ('scipy', 'sklearn', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
