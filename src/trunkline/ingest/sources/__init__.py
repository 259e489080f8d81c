"""Declared sources, opened: each kind in a module of its own, loaded when it is used."""

from importlib import import_module
from typing import Final, cast

from trunkline.ingest.sources.protocol import Position, Pulled, Source
from trunkline.spec.sources import AnySource

__all__ = ["Position", "Pulled", "Source", "open_source"]

_KINDS: Final = {"sql": "sql", "objects": "objects", "folder": "folder"}
"""Kind of a declared source to the module that pulls it; the module's ``open_source`` takes name and declaration."""


def open_source(name: str, declared: AnySource) -> Source:
    """Make a source from its declaration; nothing is asked of it yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.

    Returns:
        The source.

    Raises:
        MissingExtraError: The library that reaches it is not installed.
        InputError: Its address is malformed.
    """
    module = import_module(f"{__name__}.{_KINDS[declared.kind]}")
    return cast("Source", module.open_source(name, declared))
