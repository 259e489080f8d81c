"""Trunkline: the whole life of machine-learning models at a telecom operator, in one package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trunkline")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
