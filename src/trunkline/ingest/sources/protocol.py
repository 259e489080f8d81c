"""What a source that is pulled must do: give what is new, as files, with the position to go on from.

A source knows nothing of contracts, of the lake or of what became of earlier pulls. It is handed the position of the
last piece that landed and writes what comes after it into files of a known form, one after the other. Everything else
(landing, exactly once, receipts) is the same for all sources and stands in :mod:`trunkline.ingest.pulling`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = ["EstimatingSource", "LedgerSource", "Position", "Pulled", "Source"]

Position = Mapping[str, str | int | float | bool | None]
"""Where a source goes on: a flat JSON object whose keys belong to the source."""


@dataclass(frozen=True)
class Pulled:
    """One part of what a source gave.

    Attributes:
        path: A whole file of a known form with at least one row, told by its suffix; it is moved away.
        origin: Where it came from, for people, without secrets.
        position: Where the source goes on once this part has landed.
        whole: Names the whole that it is a part of, where its source tells at times all rows that it has: the parts of
            one name together are all of them. None for what is new.
        ends: Whether the whole is complete with it. Its file has no row of the source, but one that says what a row of
            a key says that is gone: so much becomes of every key that came from the source before, and that no part
            of the whole holds.
    """

    path: Path
    origin: str
    position: Position
    whole: str | None = None
    ends: bool = False


class Source(Protocol):
    """Gives what is new since a position."""

    @property
    def name(self) -> str:
        """Its name: lower-case letters, digits, ``_`` and ``-``; the same from pull to pull."""
        ...

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Write what is new into files, in the order in which it is to be taken in.

        Args:
            position: Of the newest part that landed; None for the first pull.
            folder: An empty folder for the files.

        Yields:
            The parts; nothing when there is nothing new. The file of a part is complete when it is given.

        Raises:
            SourceError: The source is not what was declared (no such table, a changed answer); not worth a retry.
            UnavailableError: It did not answer; parts given before stay taken in.
        """
        ...


@runtime_checkable
class LedgerSource(Source, Protocol):
    """A source that has no order in which the newest position alone would tell what is new, such as a heap of files."""

    def pull_beside(self, landed: Sequence[Position], *, folder: Path) -> Iterator[Pulled]:
        """Write what is new into files, as :meth:`Source.pull` does.

        Args:
            landed: The positions of all parts that landed and were not forgotten, oldest first.
            folder: An empty folder for the files.

        Yields:
            The parts.

        Raises:
            SourceError: As for ``pull``.
            UnavailableError: As for ``pull``.
        """
        ...


@runtime_checkable
class EstimatingSource(Source, Protocol):
    """A source whose server tells what a pull would read, and bill, before it is made."""

    def estimated_bytes(self, position: Position | None) -> int:
        """Give the bytes that a pull would read; nothing is read.

        Args:
            position: Of the newest part that landed; None for the first pull.

        Raises:
            SourceError: As for ``pull``.
            UnavailableError: As for ``pull``.
        """
        ...
