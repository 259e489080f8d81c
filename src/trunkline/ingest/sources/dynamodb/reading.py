"""A pull of a table: pages of its segments, pieces that say where each segment stands."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.ingest.sources.documents import DocumentPieces, line_hash, line_of
from trunkline.ingest.sources.dynamodb.address import opened
from trunkline.ingest.sources.dynamodb.cursors import DynamoCursor, Recent
from trunkline.ingest.sources.dynamodb.faults import told
from trunkline.ingest.sources.dynamodb.scanning import Places, pages
from trunkline.ingest.sources.dynamodb.values import Names, Typed, as_json, at_path
from trunkline.ingest.sources.following import Digest, known_rows
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.spec.stores import DynamoSource

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["DynamoReader"]


@dataclass
class _Round:
    """One pass over the table.

    Attributes:
        since: The newest value of the passes before; None reads everything.
        known: Hashes of rows that came already, and how often.
        recent: Rows that the next pass reads again.
        places: Where its segments stand.
        digest: Of all rows that it read.
        is_resumed: Whether it goes on where an interrupted pull stood.
    """

    since: str | None
    known: Counter[str]
    recent: Recent
    places: Places
    digest: Digest = field(default_factory=Digest)
    is_resumed: bool = False


class DynamoReader:
    """A declared table as a source.

    Args:
        name: Its name.
        declared: What is said of it.

    Raises:
        MissingExtraError: boto3 is not installed.
        SourceError: The AWS library finds no region.
    """

    def __init__(self, name: str, declared: DynamoSource) -> None:
        self.name = name
        self._declared = declared
        at = declared.endpoint or declared.region
        self._where = f"dynamodb table {declared.table}{f' at {at}' if at else ''}"
        self._cursor = DynamoCursor(declared, where=self._where) if declared.cursor is not None else None
        self._client: BaseClient = opened(declared, where=self._where)

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Read what is new; see :class:`trunkline.ingest.sources.Source`.

        Raises:
            SourceError: No such table, refused credentials, a cursor that cannot be followed.
            UnavailableError: The server did not answer, or throttled the source for too long.
        """
        pieces = DocumentPieces(folder, self._where)
        try:
            with told(self._where):
                now = self._begun(position)
                yield from self._round(now, position, pieces)
                if now.is_resumed and pieces.number == 1:  # nothing was left of it: no piece says that it is over
                    since, hashes = now.recent.newest, now.recent.hashes
                    again = _Round(since, known_rows(hashes), self._recent(since, hashes), self._fresh())
                    yield from self._round(again, None, pieces)
        finally:
            pieces.close()

    def _begun(self, position: Position | None) -> _Round:
        """Say where a pull begins."""
        if position is None or position.get("cursor") != self._declared.cursor:
            return _Round(None, Counter(), self._recent(None, ""), self._fresh())
        since, newest = _text(position.get("value")), _text(position.get("newest"))
        seen, recent = position.get("seen") or "", str(position.get("recent") or "")
        places = Places.read(position.get("segments"), count=self._declared.segments)
        if places is None:
            return _Round(since, known_rows(seen), self._recent(since, ""), self._fresh())
        return _Round(since, known_rows(seen), self._recent(newest, recent), places, is_resumed=True)

    def _round(self, now: _Round, position: Position | None, pieces: DocumentPieces) -> Iterator[Pulled]:
        """Give the new rows of one pass.

        A piece is ended when the first row behind it is there, so that the last one always says that the pass is over.
        """
        before: Position = {}
        for items, places in pages(self._client, self._asked(now.since), now.places):
            is_page_begun = False
            for item in items:
                line = line_of({name: as_json(value) for name, value in item.items()})
                hashed = line_hash(line)
                now.digest.add(hashed)
                is_known = now.known[hashed] > 0
                if not is_known and not is_page_begun:
                    is_page_begun = True
                    if pieces.rows >= self._declared.piece_rows:
                        yield pieces.cut(before)
                if self._cursor is not None:
                    value = at_path(item, self._cursor.column.split("."))
                    assert value is not None, "the filter asks for it"
                    now.recent.add(self._cursor.value(value, beside=now.recent.newest or now.since), hashed)
                if is_known:
                    now.known[hashed] -= 1
                else:
                    pieces.add(line)
            now.places = places
            if pieces.rows >= self._declared.piece_rows:
                before = self._midway(now)
        digest = now.digest.text
        is_same = pieces.number == 1 and position is not None and position.get("digest") == digest
        if pieces.rows and not is_same:
            yield pieces.cut(self._ended(now, digest))

    def _midway(self, now: _Round) -> Position:
        return {
            "cursor": self._declared.cursor,
            "value": now.since,
            "seen": ",".join(now.known.elements()),
            "newest": now.recent.newest if self._cursor is not None else None,
            "recent": now.recent.hashes if self._cursor is not None else None,
            "segments": now.places.text,
        }

    def _ended(self, now: _Round, digest: str) -> Position:
        if self._cursor is None:
            return {"cursor": None, "digest": None if now.is_resumed else digest}
        # what the next pull reads is what this one read, where the newest value has not moved
        is_still = now.recent.newest == now.since and not now.is_resumed
        return {
            "cursor": self._declared.cursor,
            "value": now.recent.newest,
            "seen": now.recent.hashes,
            "digest": digest if is_still else None,
        }

    def _fresh(self) -> Places:
        return Places.fresh(self._declared.segments)

    def _recent(self, newest: str | None, hashes: str) -> Recent:
        cursor = self._cursor or DynamoCursor(self._declared, where=self._where)
        return Recent(cursor, newest=newest, hashes=hashes)

    def _asked(self, since: str | None) -> Mapping[str, object]:
        """Write the parameters of a scan."""
        names = Names()
        asked: dict[str, object] = {"TableName": self._declared.table, "ConsistentRead": self._declared.consistent}
        wanted = list(self._declared.projection)
        if wanted:
            column = self._declared.cursor
            if column is not None and not any(column == one or column.startswith(f"{one}.") for one in wanted):
                wanted = [one for one in wanted if not one.startswith(f"{column}.")] + [column]
            asked["ProjectionExpression"] = ", ".join(names.path(one) for one in wanted)
        if self._declared.page_rows is not None:
            asked["Limit"] = self._declared.page_rows
        if self._cursor is not None:
            path = names.path(self._cursor.column)
            values: dict[str, Typed] = {}
            if since is None:
                values[":null"] = {"S": "NULL"}
                asked["FilterExpression"] = f"attribute_exists({path}) AND NOT attribute_type({path}, :null)"
            else:
                values[":since"] = self._cursor.begin(since)
                asked["FilterExpression"] = f"{path} >= :since"
            asked["ExpressionAttributeValues"] = values
        if names.given:
            asked["ExpressionAttributeNames"] = names.given
        return asked


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
