"""Declared sources, opened: each kind in a module of its own, loaded when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from trunkline.errors import InputError
from trunkline.ingest.sources.protocol import EstimatingSource, LedgerSource, Position, Pulled, Source
from trunkline.spec.sources import AnySource

if TYPE_CHECKING:
    from trunkline.spec import Unwrap

__all__ = ["EstimatingSource", "LedgerSource", "Position", "Pulled", "Source", "declared_from_url", "open_source"]

_KINDS: Final = {
    "sql": "sql",
    "postgres_changes": "cdc.postgres",
    "mariadb_changes": "cdc.mariadb",
    "mongodb": "mongodb",
    "dynamodb": "dynamodb",
    "bigquery": "bigquery",
    "objects": "objects",
    "rest": "rest",
}
"""Kind of a declared source to the module that pulls it; the module's ``open_source`` takes name and declaration."""

_UNWRAPS: Final = frozenset({"rest"})
"""Kinds whose records may hold several rows each."""

_SCHEMES: Final = {
    "postgresql": "sql",
    "mysql": "sql",
    "mariadb": "sql",
    "sqlite": "sql",
    "mongodb": "mongodb",
    "dynamodb": "dynamodb",
    "bigquery": "bigquery",
    "s3": "objects",
    "gs": "objects",
    "abfs": "objects",
    "abfss": "objects",
    "http": "rest",
    "https": "rest",
}
"""Scheme of a URL, without a driver after ``+``, to the module that makes a declaration of it."""


def open_source(name: str, declared: AnySource, *, unwrap: "Unwrap | None" = None) -> Source:
    """Make a source from its declaration; nothing is asked of it yet.

    Args:
        name: Its name in the settings.
        declared: What is said of it.
        unwrap: Takes records of documents apart that hold several rows each; the use case's envelope of the dataset.

    Returns:
        The source.

    Raises:
        MissingExtraError: The library that reaches it is not installed.
        InputError: Its address is malformed.
    """
    module = import_module(f"{__name__}.{_KINDS[declared.kind]}")
    told = {"unwrap": unwrap} if unwrap is not None and declared.kind in _UNWRAPS else {}
    return cast("Source", module.open_source(name, declared, **told))


def declared_from_url(text: str, *, usecase: str, dataset: str | None) -> AnySource:
    """Declare a source by its URL alone, as it is given on the command line.

    Args:
        text: The URL; what its query may say is in docs/sources.md.
        usecase: The use case its rows belong to.
        dataset: The dataset; None is the main one.

    Returns:
        The declaration.

    Raises:
        InputError: The scheme is unknown, or the URL is malformed.
    """
    scheme = urlsplit(text).scheme.lower().partition("+")[0]
    if scheme not in _SCHEMES:
        raise InputError(
            f"no source reads {scheme[:20]!r} URLs", allowed=tuple(_SCHEMES), next_step="see docs/sources.md"
        )
    module = import_module(f"{__name__}.{_SCHEMES[scheme]}")
    return cast("AnySource", module.declared_from_url(text, usecase=usecase, dataset=dataset))
