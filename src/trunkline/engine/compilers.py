"""The compilers of Ibis, each loaded when it is asked for.

The package that holds them loads those of twenty databases, and with them their grammars: a tenth of a second that
every command would pay for the one of its engine. Here the package stands in with the same names, and does it later.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Final

__all__ = ["load_when_asked"]

_PACKAGE: Final = "ibis.backends.sql.compilers"


def load_when_asked() -> None:
    """Let Ibis load a compiler when it is first asked for; nothing changes where it has loaded them already."""
    if _PACKAGE in sys.modules:
        return
    spec = find_spec(_PACKAGE)
    assert spec is not None
    assert spec.loader is not None
    package, loader = module_from_spec(spec), spec.loader

    def asked(name: str) -> object:
        if not name.startswith("__"):
            if find_spec(f"{_PACKAGE}.{name}") is not None:
                return import_module(f"{_PACKAGE}.{name}")
            loader.exec_module(package)  # a name of the package itself, such as a class: all of them after all
        if name not in vars(package):
            raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")
        return vars(package)[name]

    vars(package)["__getattr__"] = asked
    sys.modules[_PACKAGE] = package
    vars(sys.modules["ibis.backends.sql"])["compilers"] = package
