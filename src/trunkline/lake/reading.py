"""Reading a lake: the only reader of its tables, and what can be looked up about them.

Takes a root and an engine, gives Ibis tables and Arrow rows with the schema of the table's log or of a contract.
Refuses tables that this reader would misread. Writing is in ``tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.engine import Engine, FilesVanishedError
from trunkline.errors import SchemaError, UnknownNameError
from trunkline.lake import delta, log, names, schemas
from trunkline.lake.coverage import covered
from trunkline.lake.delta import Bounds
from trunkline.lake.log import Commit
from trunkline.lake.place import Place
from trunkline.lake.stock import Stock, stock_of
from trunkline.lake.versions import demand, newest

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from deltalake import DeltaTable

_DEEPEST = 6
_LOOKED_AT = 20


class LakeReader:
    """The reading half of a :class:`~trunkline.lake.Lake`.

    Args:
        root: A local folder, or the URL of an object store.
        engine: What computes the expressions.
    """

    def __init__(self, root: Path | str, *, engine: Engine) -> None:
        self._is_url = isinstance(root, str) and delta.is_url(root)
        self._root = str(root).rstrip("/") if self._is_url else str(Path(root).absolute())
        self._options = delta.storage_options(self._root)
        self._engine = engine

    @property
    def root(self) -> str:
        """The lake's folder, absolute, or its URL."""
        return self._root

    @property
    def engine(self) -> Engine:
        """The engine whose expressions :meth:`read` gives."""
        return self._engine

    # Looking up

    def tables(self) -> list[str]:
        """List the tables of the lake, sorted by name."""
        return self._tables_below(())

    def exists(self, table: str) -> bool:
        """Say whether the table exists."""
        return self._place(table).exists()

    def version(self, table: str) -> int | None:
        """The table's newest version, or None when there is no such table."""
        opened = self._place(table).open()
        return None if opened is None else int(opened.version())

    def schema(self, table: str, *, version: int | None = None) -> pa.Schema:
        """The schema in the table's log.

        Raises:
            UnknownNameError: There is no such table or version.
        """
        return delta.schema(self._open(table, version))

    def transaction_version(self, table: str, app_id: str) -> int | None:
        """Up to where a source's rows are in the table.

        Args:
            table: The table; it need not exist.
            app_id: As in :class:`Transaction`.

        Returns:
            The version of the last transaction of that source, or None when there was none.
        """
        return self.transaction_versions(table, [app_id]).get(app_id)

    def transaction_versions(self, table: str, app_ids: Iterable[str]) -> dict[str, int]:
        """Like :meth:`transaction_version`, for many sources in one look; those without rows are left out."""
        place = self._place(table)
        opened = place.open()
        return {} if opened is None else covered(place, opened, list(app_ids))

    def history(self, table: str, *, limit: int | None = None) -> list[Commit]:
        """List the commits that are still in the table's log, newest first.

        Args:
            table: The table.
            limit: At most so many; None is all.

        Raises:
            UnknownNameError: There is no such table.
        """
        self._open(table, None)
        place = self._place(table)
        return log.history(delta.filesystem(place.uri, place.options), limit=limit)

    def newest_note(self, table: str, name: str) -> str | None:
        """What the newest commit that notes something under a name notes; maintenance adds commits that do not.

        Args:
            table: The table; it need not exist.
            name: Of the note, as in the metadata of a writing.
        """
        if not self.exists(table):
            return None
        for limit in (_LOOKED_AT, None):  # it is among the newest unless the table was maintained for long
            for commit in self.history(table, limit=limit):
                if name in commit.metadata:
                    return commit.metadata[name]
        return None

    def files(self, table: str, *, version: int | None = None, within: Mapping[str, Bounds] | None = None) -> list[str]:
        """List the data files that a reading opens, as absolute paths or URLs.

        Args:
            table: The table.
            version: As in :meth:`read`.
            within: As in :meth:`read`.

        Raises:
            UnknownNameError: There is no such table or version.
        """
        return delta.files(self._open(table, version), within=within)

    def identity(self, table: str) -> str:
        """What Delta calls the table: another one of the same name has another identity.

        Raises:
            UnknownNameError: There is no such table.
        """
        return str(self._open(table, None).metadata().id)

    def stock(self, table: str) -> Stock:
        """Measure what a table takes on disk.

        Raises:
            UnknownNameError: There is no such table.
            UnavailableError: The store did not answer.
        """
        self._open(table, None)
        return stock_of(self._place(table))

    # Reading

    def read(
        self,
        table: str,
        *,
        schema: pa.Schema | None = None,
        version: int | None = None,
        within: Mapping[str, Bounds] | None = None,
    ) -> ir.Table:
        """Read a table, lazily.

        Args:
            table: The table.
            schema: Exactly these columns with these types, in this order; a column that the table lacks is NULL. None
                is the schema in the table's log.
            version: Which version; None is the newest.
            within: Only rows whose value of each of these columns lies between two bounds, both inclusive, None for no
                bound; e.g. a day of a year. Files whose statistics say that they have no such row are not opened.

        Returns:
            An Ibis table over one snapshot.

        Raises:
            UnknownNameError: There is no such table or version.
            SchemaError: A column cannot be read as the wanted type without loss, or the table needs a reader feature
                that is not handled.
        """
        snapshot = self._open(table, version)
        stored = delta.schema(snapshot)
        wanted = stored if schema is None else _imposed(stored, schema, table=table)
        if self._is_url and not self._engine.capabilities.reads_object_stores:
            return _within(self._engine.dataset(delta.dataset(snapshot), wanted), within or {}, table=table)
        rows = self._engine.parquet(delta.files(snapshot, within=within), wanted)
        return _within(rows, within or {}, table=table)

    def current(
        self,
        table: str,
        *,
        key: Sequence[str],
        newest_by: Sequence[str],
        schema: pa.Schema | None = None,
        version: int | None = None,
    ) -> ir.Table:
        """Read the newest row of each key, lazily.

        Args:
            table: The table.
            key: Columns that name a thing; rows in which they are all equal, or equally NULL, are one thing.
            newest_by: Columns that order the rows of a key, most important first; NULL is oldest. Ties go to the row
                that was ingested last (``_ingested_at``, ``_batch_id``, ``_row``, where the table has them).
            schema: As in :meth:`read`.
            version: As in :meth:`read`.

        Returns:
            One row per key, all columns.

        Raises:
            UnknownNameError: There is no such table or version.
            SchemaError: The table lacks a column of ``key`` or ``newest_by``.
        """
        return newest(self.read(table, schema=schema, version=version), key=key, newest_by=newest_by, table=table)

    def arrow(
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        schema: pa.Schema | None = None,
        version: int | None = None,
        where: Callable[[ir.Table], ir.BooleanValue] | None = None,
    ) -> pa.Table:
        """Read a table now.

        Args:
            table: The table.
            columns: Only these, in this order.
            schema: As in :meth:`read`.
            version: As in :meth:`read`.
            where: Gives the condition that rows must meet, from the table.

        Returns:
            The rows, in no particular order.

        Raises:
            UnknownNameError: There is no such table or version.
            SchemaError: As in :meth:`read`, or a column is missing.
            FilesVanishedError: Files were removed while they were read, twice.
        """

        def build(rows: ir.Table) -> ir.Table:
            if where is not None:
                rows = rows.filter(where(rows))
            if columns is not None:
                demand(rows.columns, columns, table=table)
                rows = rows.select(*columns)
            return rows

        versions = {} if version is None else {table: version}
        imposed = {} if schema is None else {table: schema}
        return self.collect(build, table, versions=versions, schemas=imposed)

    def collect(
        self,
        build: Callable[..., ir.Table],
        *tables: str,
        versions: Mapping[str, int] | None = None,
        schemas: Mapping[str, pa.Schema] | None = None,
    ) -> pa.Table:
        """Build an expression over tables and run it, on new snapshots once more if files vanish meanwhile.

        Args:
            build: Takes the tables in the order given, gives the expression; called again for a second try.
            *tables: The tables to read.
            versions: Versions of some of them; the newest of the others.
            schemas: Schemas of some of them, as in :meth:`read`.

        Returns:
            The expression's rows.

        Raises:
            UnknownNameError: There is no such table or version.
            SchemaError: As in :meth:`read`.
            FilesVanishedError: Files were removed while they were read, twice.
        """

        def run() -> pa.Table:
            opened = [
                self.read(name, schema=(schemas or {}).get(name), version=(versions or {}).get(name)) for name in tables
            ]
            return self._engine.arrow(build(*opened))

        try:
            return run()
        except FilesVanishedError:
            return run()

    # Inside

    def _place(self, table: str) -> Place:
        return Place(name=table, uri="/".join((self._root, *names.parts(table))), options=self._options)

    def _open(self, table: str, version: int | None) -> DeltaTable:
        opened = self._place(table).open(version)
        if opened is None:
            raise UnknownNameError(f"there is no table {table!r}", where=self._root, allowed=self.tables())
        return opened

    def _tables_below(self, folders: tuple[str, ...]) -> list[str]:
        """Names of the tables in a folder of the lake and its sub-folders, sorted."""
        import pyarrow.fs as pafs

        if not self._is_url and not Path(self._root, *folders).is_dir():
            return []
        store = delta.filesystem(self._root, self._options)
        found: list[str] = []
        open_folders = [folders]
        while open_folders:
            folder = open_folders.pop()
            selector = pafs.FileSelector("/".join(folder), allow_not_found=True)
            below = [one.base_name for one in store.get_file_info(selector) if one.type == pafs.FileType.Directory]
            if "_delta_log" in below:
                log = store.get_file_info(pafs.FileSelector("/".join((*folder, "_delta_log"))))
                if any(one.extension == "json" for one in log):  # none: its first commit was killed
                    found.append(".".join(folder))
            elif len(folder) < _DEEPEST:
                open_folders += [(*folder, name) for name in below if not name.startswith(".")]
        return sorted(found)


def _within(rows: ir.Table, within: Mapping[str, Bounds], *, table: str) -> ir.Table:
    demand(rows.columns, list(within), table=table)
    for column, (low, high) in within.items():
        value = rows[column]
        kept = [value >= low] if low is not None else []
        kept += [value <= high] if high is not None else []
        rows = rows.filter(*kept) if kept else rows
    return rows


def _imposed(stored: pa.Schema, wanted: pa.Schema, *, table: str) -> pa.Schema:
    for field in wanted:
        index = stored.get_field_index(field.name)
        if index >= 0 and not schemas.readable(stored.field(index).type, field.type):
            raise SchemaError(
                f"the stored type {stored.field(index).type} cannot be read as {field.type} without loss",
                where=f"table {table}, column {field.name}",
            )
    return wanted
