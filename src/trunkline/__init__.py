"""Trunkline: the whole life of machine-learning models at a telecom operator, in one package."""

__all__ = ["__version__"]

__version__: str
"""Version of the installed package; ``0.0.0`` in a checkout that was never installed."""


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: reading package metadata costs 30 ms that no command should pay."""
    if name != "__version__":
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("trunkline")
    except PackageNotFoundError:
        found = "0.0.0"
    globals()["__version__"] = found
    return found
