"""What a table takes on disk: its newest version, what only older ones need, and its log."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.lake import delta, log
from trunkline.lake.place import Place

GIGABYTE = 1_000_000_000
"""Bytes of a gigabyte, as stores bill it."""


@dataclass(frozen=True)
class Stock:
    """What a table takes.

    Attributes:
        files: Data files of the newest version.
        live_bytes: Their bytes.
        superseded_files: Data files that only older versions need, or nobody.
        superseded_bytes: Their bytes.
        versions: Versions that can be opened.
        log_files: Files of the log.
        log_bytes: Their bytes.
    """

    files: int
    live_bytes: int
    superseded_files: int
    superseded_bytes: int
    versions: int
    log_files: int
    log_bytes: int

    @property
    def total_bytes(self) -> int:
        """All that it takes."""
        return self.live_bytes + self.superseded_bytes + self.log_bytes

    def cost_per_month(self, price_per_gb: float) -> float:
        """Give what it costs a month.

        Args:
            price_per_gb: Of a gigabyte and month.

        >>> Stock(1, 1_500_000_000, 0, 400_000_000, 1, 1, 100_000_000).cost_per_month(0.02)
        0.04
        """
        return self.total_bytes / GIGABYTE * price_per_gb


def stock_of(place: Place) -> Stock:
    """Measure a table.

    Args:
        place: The table; it exists.

    Raises:
        UnknownNameError: There is no such table.
        UnavailableError: The store did not answer.
    """
    import pyarrow.fs as pafs

    live = {uri.rpartition("/")[2] for uri in delta.files(place.newest())}
    store = delta.filesystem(place.uri, place.options)
    counts = {"live": (0, 0), "superseded": (0, 0), "log": (0, 0)}
    with delta.translated(place.uri):
        entries = store.get_file_info(pafs.FileSelector("", recursive=True))
        versions = len(log.openable(log.listing(store)))
    for entry in entries:
        if entry.type != pafs.FileType.File:
            continue
        path = entry.path.lstrip("/")
        kind = "log" if path.startswith(log.FOLDER) else "live" if path.rpartition("/")[2] in live else "superseded"
        number, size = counts[kind]
        counts[kind] = (number + 1, size + (entry.size or 0))
    (files, live_bytes), (old_files, old_bytes), (log_files, log_bytes) = counts.values()
    return Stock(files, live_bytes, old_files, old_bytes, versions, log_files, log_bytes)
