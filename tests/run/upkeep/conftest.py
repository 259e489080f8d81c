"""A use case of calls, whose rows are kept for 30 days by the time they speak of, and workspaces with some."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from trunkline.run import Workspace, execute
from trunkline.run.upkeep import Upkeep, maintain, retiring
from trunkline.settings import load_settings

TABLE = "phone.calls"
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)

PLUGIN = '''"""Calls of subscribers."""

from typing import ClassVar

from trunkline.contracts import Contract, Instant, Integer, KeepRows, Table, Text, field
from trunkline.spec import UseCase


class Call(Contract):
    """One row per call."""

    table: ClassVar[Table] = Table(key=("call_id",), event_at="began_at", keep_rows=KeepRows(days=30))

    call_id: Text = field(max_length=20)
    caller: Text = field(pii="subscriber")
    began_at: Instant | None = field()
    seconds: Integer = field(minimum=0)


usecase = UseCase(
    name="phone", title="Calls", question="Who calls?", datasets={"calls": Call}, main="calls", task=None, metric="r2"
)
'''


@dataclass(frozen=True)
class Shop:
    """A folder with the plug-in and a workspace."""

    folder: Path

    @property
    def workspace(self) -> Path:
        """The workspace's folder."""
        return self.folder / "workspace"

    @property
    def archive(self) -> Path:
        """Where archives go by default."""
        return self.workspace / "archive"

    def open(self, *, now: datetime = NOW, retention: dict[str, object] | None = None) -> Workspace:
        """Open the workspace at an instant."""
        settings = load_settings(
            workspace=self.workspace, plugin_dir=self.folder / "usecases", threads=1, retention=retention
        )
        return Workspace(settings, clock=lambda: now)

    def take(self, ids: Sequence[int], *, days_ago: float, caller: str = "s{}", now: datetime = NOW) -> None:
        """Ingest one call per id."""
        at = (now - timedelta(days=days_ago)).isoformat()
        path = self.folder / f"calls-{ids[0]}-{days_ago}.csv"
        lines = [f"c{one},{caller.format(one)},{at},{one}" for one in ids]
        path.write_text("call_id,caller,began_at,seconds\n" + "\n".join(lines) + "\n")
        self.ingest(path, now=now)

    def ingest(self, path: Path, *, now: datetime = NOW) -> None:
        """Ingest a file."""
        with self.open(now=now) as workspace:
            execute(workspace, "phone", sources=(str(path),), only="ingest", progress=lambda _what, _share: None)

    def tidy(self, *, act: bool = True, now: datetime = NOW, retention: dict[str, object] | None = None) -> Upkeep:
        """Maintain the workspace at an instant."""
        with self.open(now=now, retention=retention) as workspace:
            return maintain(workspace, progress=lambda _what, _share: None, act=act)

    def retired(self, found: Upkeep) -> int:
        """Rows of the calls that went, or would go."""
        return next(row.rows_retired for row in found.tables if row.table == TABLE)

    def rows(self, table: str = TABLE) -> list[dict[str, object]]:
        """The newest version of a table, read without Trunkline's reader."""
        from deltalake import DeltaTable

        path = self.workspace / "lake" / Path(*table.split("."))
        rows: list[dict[str, object]] = DeltaTable(str(path)).to_pyarrow_dataset().to_table().to_pylist()
        return rows

    def ids(self) -> list[str]:
        """The ids of the calls in the lake, sorted."""
        return sorted(str(row["call_id"]) for row in self.rows())

    def archived(self) -> pa.Table:
        """All rows of all files below the archive."""
        files = sorted(map(str, self.archive.rglob("*.parquet")))
        return ds.dataset(files).to_table() if files else pa.table({"call_id": pa.array([], pa.string())})

    def archived_ids(self) -> list[str]:
        """The ids of the calls in the archive, sorted."""
        return sorted(self.archived().column("call_id").to_pylist())


class KilledError(Exception):
    """Ends maintenance at a point, as a kill does: nothing of it tidies up."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Maintains a shop until a point is reached, and no further."""

    def maintained(shop: Shop, name: str, **said: object) -> None:
        def point(visited: str) -> None:
            if visited == name:
                raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(retiring, "point", point)
            with pytest.raises(KilledError):
                shop.tidy(**said)  # type: ignore[arg-type]  # handed through

    return maintained


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    """No plug-ins but the test's own."""
    monkeypatch.delenv("TRUNKLINE_PLUGIN_DIR")


@pytest.fixture
def shop(tmp_path: Path, plain: None, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """An empty workspace with the use case ``phone``."""
    plugin = tmp_path / "usecases" / "phone"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    return Shop(tmp_path)


@pytest.fixture
def fives(shop: Shop) -> Shop:
    """Five old calls and five new ones."""
    shop.take(range(1, 6), days_ago=31)
    shop.take(range(6, 11), days_ago=29)
    return shop
