"""What every sink promises, whichever database, store, topic or hook is behind it.

A sink takes deliveries: rows of one target under a batch id that never names other rows. Delivered once more, a batch
changes nothing that can be seen. Sinks differ only by what they declare in :class:`Capabilities`;
``trunkline.testing.SINK_CHECKS`` is the one body of checks over all of them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from trunkline.contracts.kinds import KindName

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ROW_ID",
    "Capabilities",
    "Delivery",
    "Latest",
    "Rows",
    "Sink",
    "Summed",
    "SumsUp",
    "Target",
    "TargetColumn",
    "TargetMode",
]

TargetMode = Literal["append", "upsert", "replace"]
"""How a target follows its rows, see :data:`trunkline.spec.publish.Mode`."""

Rows = Callable[[], "Iterator[pa.RecordBatch]"]
"""Gives the rows of a delivery from the beginning each time it is called. A sink that does not remember gets the same
ones in the same order and pieces; one that keeps no rows gets a further column, :data:`ROW_ID`, that names each."""

ROW_ID: Final = "_trunkline_id"
"""Column of texts that name rows for good, whatever delivery brings them: for sinks that keep no rows."""


@dataclass(frozen=True)
class Capabilities:
    """In what sinks differ.

    Attributes:
        name: What it is, e.g. ``mariadb``.
        modes: Modes of targets that it can follow.
        remembers: Whether the sink itself knows which batch a target holds, written together with the rows: a batch is
            then never there twice. Otherwise rows or messages carry ids by which a repeated one is known.
        views: Whether it can show the newest of dated targets under one name.
        keeps: Whether rows stay there; of messages nobody can say later what a target holds, so each row goes once.
        shares: Whether several use cases write to one table of the platform; else each has its own, ``NAME_USECASE``.
    """

    name: str
    modes: frozenset[TargetMode]
    remembers: bool
    views: bool
    keeps: bool
    shares: bool = False


@dataclass(frozen=True)
class TargetColumn:
    """One column that leaves.

    Attributes:
        name: Its name.
        kind: The kind of its values.
        nullable: Whether null occurs.
        max_length: Most characters of a text; None where nobody says.
        description: What it means.
        unit: Unit of a number.
        masked: Whether only is shown that there is a value.
        vault: Identifier type whose pseudonyms are replaced by originals; empty where they stay.
    """

    name: str
    kind: KindName
    nullable: bool
    max_length: int | None = None
    description: str = ""
    unit: str = ""
    masked: bool = False
    vault: str = ""


@dataclass(frozen=True)
class Target:
    """One table, file or stream of messages that others read.

    Attributes:
        name: Its name there, prefix included.
        usecase: Whose it is.
        columns: What leaves.
        key: Columns that name a row; empty where rows have no identity.
        mode: How it follows the rows.
        description: What one row is.
        shared: A table of the platform that several use cases write to, made by the sink's migrations: replacing it
            replaces the rows of this use case.
        undated: Of one target a day, its name without the day; empty otherwise.
    """

    name: str
    usecase: str
    columns: tuple[TargetColumn, ...]
    key: tuple[str, ...]
    mode: TargetMode
    description: str = ""
    shared: bool = False
    undated: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(column.name for column in self.columns)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that the look of its rows depends on."""
        said = [[c.name, c.kind, c.nullable, c.max_length, c.masked, c.vault] for c in self.columns]
        text = json.dumps([self.name, said, self.key, self.mode, self.shared])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Delivery:
    """Rows for one target.

    Attributes:
        target: Where they go.
        batch_id: Hash of target, versions of the lake's tables and recipe: the same id, the same rows.
        whole: The rows are all that the target is to hold; otherwise they are added, or take the place of those with
            their key.
        run_id: The run that publishes.
        source: Versions of the lake's tables that they are made of.
        made_at: When the delivery was first planned.
    """

    target: Target
    batch_id: str
    whole: bool
    run_id: str
    source: Mapping[str, int]
    made_at: datetime


@dataclass(frozen=True)
class Latest:
    """The newest of dated targets under one name.

    Attributes:
        name: The name, prefix included.
        target: The target that it shows.
    """

    name: str
    target: Target


@dataclass(frozen=True)
class Summed:
    """A view that sums up tables of the platform, see :data:`trunkline.publish.daily_views.DAILY_VIEWS`.

    Attributes:
        view: Which of them.
        name: Its name there, prefix included.
        tables: Name there of each table that it reads, by its name in the query.
    """

    view: str
    name: str
    tables: Mapping[str, str]


class Sink(Protocol):
    """An open sink. It belongs to one thread.

    Every method raises ``UnavailableError`` where the sink did not answer or is full (it is tried again, and owed), and
    ``InputError`` where login, address or a table is wrong (nobody tries that again before it is mended).
    """

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others."""
        ...

    @property
    def shown(self) -> str:
        """Its address for people: no secrets."""
        ...

    def check(self) -> None:
        """Ask whether it can be reached and written to."""
        ...

    def held(self, target: Target) -> str | None:
        """Say which batch a target holds.

        Returns:
            The id of the newest delivery that arrived; None where the target is not there, has other columns, or the
            sink does not remember.
        """
        ...

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Bring the rows; readers see all of them or none.

        Args:
            delivery: What they are.
            rows: Gives them.

        Returns:
            How many rows went.
        """
        ...

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say what :meth:`deliver` would do, statement by statement, without doing it."""
        ...

    def show(self, latest: Latest) -> None:
        """Show the newest of dated targets under one name; nothing where the sink has no views."""
        ...

    def close(self) -> None:
        """Let go of connections; closing twice is allowed."""
        ...


@runtime_checkable
class SumsUp(Protocol):
    """A sink that is told of the views over the platform's tables; databases make theirs with those tables."""

    def summing(self, summed: Summed) -> str:
        """Give the statement that makes a view."""
        ...

    def sum_up(self, summed: Summed) -> None:
        """Make a view, where all tables that it reads are there."""
        ...
