"""Which source a receipt belongs to: a declared one, or the file of each day under one name."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from trunkline.ingest.archives import split_member
from trunkline.monitor.sources.health import SourceKey
from trunkline.spec.sources import AnySource, FolderSource

__all__ = ["FILES", "source_of"]

FILES: Final = "files"
"""Name of the source of files that were handed over by their path, as pieces in receipts have it."""

_NUMBERS: Final = re.compile(r"\d+(?:[-_.T:]?\d+)*")


def source_of(
    usecase: str, dataset: str, *, source: str, piece: str | None, declared: Mapping[str, AnySource]
) -> SourceKey:
    """Say which source a receipt belongs to.

    Args:
        usecase: As in the receipt.
        dataset: As in the receipt.
        source: As in the receipt.
        piece: As in the receipt.
        declared: Declared sources by name; the path of a folder begins at the working directory where it is relative.

    >>> source_of("churn", "subscribers", source="/in/day-2026-03-01.csv", piece=None, declared={}).source
    '/in/day-*.csv'
    >>> source_of("churn", "subscribers", source="/in/day-2026-03-01.zip#a.csv", piece=None, declared={}).source
    '/in/day-*.zip'
    """
    name = (piece or "").partition("/")[0]
    if name and name != FILES:
        return SourceKey(usecase, dataset, name)
    source = split_member(source)[0]  # the files of an archive come as often as it does
    path = PurePosixPath(source)
    folders: dict[PurePosixPath, str] = {}
    for known, one in declared.items():
        if isinstance(one, FolderSource) and one.usecase == usecase:
            folder = PurePosixPath(one.path.absolute())  # receipts name files so
            if path.parent == folder or (one.recursive and path.is_relative_to(folder)):
                folders[folder] = known
    if folders:  # one below another is the nearer one
        return SourceKey(usecase, dataset, folders[max(folders, key=lambda folder: len(folder.parts))])
    stem, dot, suffix = path.name.partition(".")
    kept = _NUMBERS.sub("*", stem) + dot + suffix if not suffix[:1].isdigit() else _NUMBERS.sub("*", path.name)
    return SourceKey(usecase, dataset, str(path.with_name(kept)) if path.name else source)
