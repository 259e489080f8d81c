"""A pull of a collection: documents as they come, pieces cut where nothing is lost."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest.sources.documents import DocumentPieces, line_hash, line_of
from trunkline.ingest.sources.following import CursorValue, Digest, follow
from trunkline.ingest.sources.mongodb.address import Address
from trunkline.ingest.sources.mongodb.cursors import MongoCursor
from trunkline.ingest.sources.mongodb.faults import malformed, told
from trunkline.ingest.sources.mongodb.values import as_json, codec_options
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.spec.stores import MongoSource

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Documents = Collection[dict[str, object]]

__all__ = ["MongoReader"]

_BATCH_ROWS: Final = 2_000
_MOST_NAMES: Final = 12


class MongoReader:
    """A declared collection as a source.

    Args:
        name: Its name.
        declared: What is said of it.
        address: Where the database is.

    Raises:
        InputError: The filter is no Extended JSON.
    """

    def __init__(self, name: str, declared: MongoSource, address: Address) -> None:
        self.name = name
        self._declared, self._address = declared, address
        self._where = f"{address.shown}, collection {declared.collection}"
        self._filter = _filter(declared.filter)

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Read what is new; see :class:`trunkline.ingest.sources.Source`.

        Raises:
            SourceError: No such collection, a wrong password, a cursor that cannot be followed.
            UnavailableError: The server did not answer, or the connection was cut.
        """
        with told(self._where), self._collection() as documents:
            pieces = DocumentPieces(folder, self._where)
            try:
                if self._declared.cursor is None:
                    yield from self._all(documents, position, pieces)
                else:
                    yield from self._newer(documents, self._declared.cursor, position, pieces)
            finally:
                pieces.close()
            if position is None and pieces.number == 1:
                self._refuse_missing(documents)

    # -- everything

    def _all(self, documents: "Documents", position: Position | None, pieces: DocumentPieces) -> Iterator[Pulled]:
        digest = Digest()
        for document in self._found(documents, self._filter):
            line = line_of(document)
            if pieces.rows >= self._declared.piece_rows:
                yield pieces.cut({"piece": pieces.number})
            digest.add(line_hash(line))
            pieces.add(line)
        if pieces.rows and (pieces.number > 1 or position is None or position.get("digest") != digest.text):
            yield pieces.cut({"piece": pieces.number, "digest": digest.text})

    # -- what lies behind the cursor

    def _newer(
        self, documents: "Documents", column: str, position: Position | None, pieces: DocumentPieces
    ) -> Iterator[Pulled]:
        cursor = MongoCursor(column, self._declared.overlap, self._where)
        since = position.get("value") if position and position.get("cursor") == column else None

        def scan(since: CursorValue) -> str:
            digest = Digest()
            for document in self._found(documents, self._behind(cursor, since)):
                digest.add(line_hash(line_of(document)))
            return digest.text

        seen = position.get("seen") if position and since is not None else None
        if since is not None and isinstance(seen, str) and ":" in seen and scan(since) == seen:
            return
        yield from follow(
            cursor,
            self._followed(documents, cursor, since),
            position=position,
            since=since,
            pieces=pieces,
            most_rows=self._declared.piece_rows,
            scan=scan,
        )

    def _followed(
        self, documents: "Documents", cursor: MongoCursor, since: CursorValue | None
    ) -> Iterator[tuple[bytes, CursorValue, str]]:
        beside = since
        found = documents.find(self._behind(cursor, since), self._projection(), batch_size=_BATCH_ROWS).sort(
            cursor.column, 1
        )
        with found.allow_disk_use(allow_disk_use=True):
            for document in found:
                given = _at(document, cursor.column)
                if given is None:
                    continue
                value = beside = cursor.value(given, beside=beside)
                line = line_of(_json(document))
                yield line, value, line_hash(line)

    def _behind(self, cursor: MongoCursor, since: CursorValue | None) -> Mapping[str, object]:
        bound = {"$ne": None} if since is None else {"$gte": cursor.begin(since)}
        newer = {cursor.column: bound}
        return {"$and": [self._filter, newer]} if self._filter else newer

    # -- the server

    def _found(self, documents: "Documents", which: Mapping[str, object]) -> Iterator[dict[str, object]]:
        with documents.find(which, self._projection(), batch_size=_BATCH_ROWS) as found:
            for document in found:
                yield _json(document)

    def _projection(self) -> list[str] | None:
        names, cursor = list(self._declared.projection), self._declared.cursor
        if not names or cursor is None or any(cursor == name or cursor.startswith(f"{name}.") for name in names):
            return names or None
        return [name for name in names if not name.startswith(f"{cursor}.")] + [cursor]

    @contextmanager
    def _collection(self) -> "Iterator[Documents]":
        import pymongo
        from pymongo.errors import ConfigurationError, InvalidURI

        timeout_ms = int(self._declared.timeout_s * 1000)
        try:
            client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
                self._address.url,
                appname="trunkline",
                serverSelectionTimeoutMS=timeout_ms,
                connectTimeoutMS=timeout_ms,
                socketTimeoutMS=timeout_ms,
            )
        except (ConfigurationError, InvalidURI, ValueError) as error:
            if "+srv:" in self._address.url and not isinstance(error, InvalidURI | ValueError):
                raise UnavailableError(
                    "the name service knows no such servers, or did not answer",
                    where=self._where,
                    next_step="check the host of the URL; mongodb+srv:// needs its SRV record",
                ) from None
            raise malformed(type(error).__name__) from None
        with client:
            database = client.get_database(self._address.database)
            yield database.get_collection(self._declared.collection, codec_options=codec_options())

    def _refuse_missing(self, documents: "Documents") -> None:
        """Tell a collection that is not there from one that is empty; a user who may not list is believed."""
        from pymongo.errors import OperationFailure

        try:
            names = documents.database.list_collection_names(authorizedCollections=True, nameOnly=True)
        except OperationFailure:
            return
        if self._declared.collection not in names:
            raise SourceError(
                f"there is no collection {self._declared.collection!r}",
                where=self._address.shown,
                allowed=sorted(names)[:_MOST_NAMES],
                next_step="check `collection` and the database of `url`",
            )


def _json(document: Mapping[str, object]) -> dict[str, object]:
    return {name: as_json(value) for name, value in document.items()}


def _at(document: object, path: str) -> object:
    """Follow a dotted path; None where it leads nowhere, or into a list, whose order the server decides."""
    for name in path.split("."):
        if not isinstance(document, Mapping):
            return None if document is None else document
        document = document.get(name)
    return document


def _filter(said: Mapping[str, object]) -> dict[str, object]:
    from bson.json_util import JSONOptions, loads

    try:
        found = loads(json.dumps(said), json_options=JSONOptions(tz_aware=True))
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"the filter is no Extended JSON ({type(error).__name__})",
            where="filter",
            next_step='write dates as { "$date" = "2026-01-01T00:00:00Z" }, ObjectIds as { "$oid" = "..." }',
        ) from None
    return dict(found)
