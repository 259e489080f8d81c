"""Where the files lie that watched folders moved into their archives, so that an erasure finds them.

One SQLite file of the workspace: a row per archived file and table that took of it, written before the file is moved.
Whoever moves or packs it afterwards tells nobody; then its row goes at the next erasure.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trunkline.spec.dialect import CsvDialect

__all__ = ["ARCHIVED", "Archived", "ArchivedFiles"]

ARCHIVED: Final = Path("watch", "archived.db")
"""The file, below the workspace."""

_PATIENCE_S: Final = 60.0
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS archived (
    path TEXT NOT NULL, dataset TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, csv TEXT NOT NULL,
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
    """

    path: Path
    size: int
    mtime_ns: int
    csv: CsvDialect

    @property
    def is_as_moved(self) -> bool:
        """Whether what lies there is the file that was moved there."""
        status = self.path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class ArchivedFiles:
    """The rows of a workspace.

    Args:
        root: The workspace.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / ARCHIVED

    def note(self, path: Path, target: Path, *, tables: Collection[str], csv: CsvDialect) -> None:
        """Write down that a file is about to be moved.

        Args:
            path: Where it lies.
            target: Where it will lie.
            tables: Lake tables that took of it.
            csv: What is said of its dialect.
        """
        status = path.stat()
        said = csv.model_dump_json(exclude_none=True)
        rows = [(str(target.absolute()), table, status.st_size, status.st_mtime_ns, said) for table in sorted(tables)]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened() as database:
            database.execute(_TABLE)
            database.executemany("INSERT OR REPLACE INTO archived VALUES (?, ?, ?, ?, ?)", rows)

    def of(self, table: str) -> tuple[Archived, ...]:
        """List the archived files of which a table took, as far as they are still there."""
        if not self._path.exists():
            return ()
        with self._opened() as database:
            rows = database.execute(
                "SELECT path, size, mtime_ns, csv FROM archived WHERE dataset = ? ORDER BY path", (table,)
            ).fetchall()
        found = [Archived(Path(row[0]), row[1], row[2], CsvDialect.model_validate_json(row[3])) for row in rows]
        for one in found:
            if not one.path.exists():
                self.forget(one.path)
        return tuple(one for one in found if one.path.exists())

    def forget(self, path: Path) -> None:
        """Drop what is known of a file that is gone."""
        with self._opened() as database:
            database.execute("DELETE FROM archived WHERE path = ?", (str(path),))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE_S)) as database, database:
            yield database
