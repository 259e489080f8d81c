"""Where the files lie that watched folders moved into their archives, so that an erasure finds them.

One SQLite file of the workspace: a row per archived file and table that took of it, written before the file is moved,
of all files that are moved together in one commit.
A file that is not there may come back with its share, so its row goes only where the archive is there without it: the
same folder that it was moved into, told by its inode, and no move under way.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trunkline.errors import BusyError
from trunkline.lake.locks import held, shared
from trunkline.spec.dialect import CsvDialect

__all__ = ["ARCHIVED", "Archived", "ArchivedFiles"]

ARCHIVED: Final = Path("watch", "archived.db")
"""The file, below the workspace."""

_PATIENCE_S: Final = 60.0
_MOVES: Final = "moves into archives"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS archived (
    path TEXT NOT NULL, dataset TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, csv TEXT NOT NULL,
    archive TEXT NOT NULL, archive_inode INTEGER NOT NULL,
    PRIMARY KEY (path, dataset)
)
"""


@dataclass(frozen=True)
class Archived:
    """A file in an archive.

    Attributes:
        path: Where it was moved to, absolute.
        size: Bytes.
        mtime_ns: When it was last changed before that, nanoseconds since 1970.
        csv: What was said of its dialect.
        archive: The folder that it was moved into or below, absolute.
        archive_inode: Of that folder, then: a folder where a share is not mounted has another.
    """

    path: Path
    size: int
    mtime_ns: int
    csv: CsvDialect
    archive: Path
    archive_inode: int

    @property
    def is_as_moved(self) -> bool:
        """Whether what lies there is the file that was moved there."""
        status = self.path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)

    @property
    def is_gone(self) -> bool:
        """Whether its archive is there, and it is not."""
        return self.archive.stat().st_ino == self.archive_inode and not self.path.exists()


class ArchivedFiles:
    """The rows of a workspace.

    Args:
        root: The workspace.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / ARCHIVED
        self._moves = self._path.with_suffix(".lock")

    @contextmanager
    def moving(
        self, moves: Mapping[Path, Path], *, archive: Path, tables: Mapping[Path, Collection[str]], csv: CsvDialect
    ) -> Iterator[None]:
        """Write down that files are about to be moved, and keep them from being forgotten until they have been.

        Args:
            moves: Where each lies, and where it will lie.
            archive: The folder for them, which is there.
            tables: Lake tables that took of each, by where it lies.
            csv: What is said of their dialect.

        Raises:
            BusyError: Another process was looking for files that are gone, all the time.
        """
        with shared(self._moves, what=_MOVES, timeout_s=_PATIENCE_S):
            self._note(moves, archive=archive, tables=tables, csv=csv)
            yield

    def _note(
        self, moves: Mapping[Path, Path], *, archive: Path, tables: Mapping[Path, Collection[str]], csv: CsvDialect
    ) -> None:
        known = (csv.model_dump_json(exclude_none=True), str(archive.absolute()), archive.stat().st_ino)
        rows = []
        for path, target in moves.items():
            with suppress(FileNotFoundError):  # it went, and will not be moved
                status = path.stat()
                one = (status.st_size, status.st_mtime_ns, *known)
                rows += [(str(target.absolute()), table, *one) for table in sorted(tables[path])]
        with self._opened() as database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO archived VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def of(self, table: str) -> tuple[Archived, ...]:
        """List the archived files of which a table took, whether or not they can be seen now."""
        if not self._path.exists():
            return ()
        with self._opened() as database:
            rows = database.execute(
                "SELECT path, size, mtime_ns, csv, archive, archive_inode FROM archived WHERE dataset = ?", (table,)
            ).fetchall()
        return tuple(
            Archived(Path(path), size, mtime_ns, CsvDialect.model_validate_json(csv), Path(archive), inode)
            for path, size, mtime_ns, csv, archive, inode in sorted(rows)
        )

    def forget_gone(self, one: Archived) -> bool:
        """Drop what is known of a file that others took out of its archive.

        Returns:
            Whether it was dropped; not where the archive is not there, and not while files are moved into one.
        """
        with suppress(BusyError, OSError), held(self._moves, what=_MOVES):
            if one.is_gone:
                self.forget(one.path)
                return True
        return False

    def forget(self, path: Path) -> None:
        """Drop what is known of a file that is gone."""
        with self._opened() as database:
            database.execute("DELETE FROM archived WHERE path = ?", (str(path),))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE_S)) as database, database:
            yield database
