"""From the command line to a real database: what is there equals the lake, row by row, value by value."""

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
import sqlalchemy as sa

from trunkline.checks import arrow_schema
from trunkline.cli import main
from trunkline.publish.sql.address import writable_address
from trunkline.run import Workspace
from trunkline.settings import load_settings
from trunkline.usecases.towers import usecase

TABLES = {
    "customer_service_metrics_data": "customer_service_metrics",
    "cell_tower_performance_data": "cell_tower_performance",
}


def there(url: str, table: str) -> list[dict[str, object]]:
    engine = sa.create_engine(writable_address(url).url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]


def in_lake(root: Path, table: str) -> list[dict[str, object]]:
    contract = usecase.contracts[table]
    with Workspace(load_settings(workspace=root)) as workspace:
        rows: list[dict[str, object]] = workspace.lake.arrow(
            f"towers.{table}", schema=arrow_schema(contract)
        ).to_pylist()
        return rows


def ordered(rows: Sequence[dict[str, object]], key: tuple[str, ...]) -> list[dict[str, object]]:
    """Rows by key; a flag is a flag, whatever a database calls it."""
    plain = [{name: int(value) if isinstance(value, bool) else value for name, value in row.items()} for row in rows]
    return sorted(plain, key=lambda row: [str(row[name]) for name in key])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with simulated towers, for all servers: each is a sink of its own."""
    folder = tmp_path_factory.mktemp("towers") / "workspace"
    with redirect_stdout(io.StringIO()):
        assert main(["run", "towers", "--until", "ingest", "--workspace", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    "server",
    [
        pytest.param("sqlite", marks=pytest.mark.slow),
        pytest.param("mariadb_url", marks=pytest.mark.servers),
        pytest.param("postgres_url", marks=pytest.mark.servers),
    ],
)
def test_tables_of_the_network_team_reach_a_database(
    server: str, root: Path, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/out.db" if server == "sqlite" else request.getfixturevalue(server)
    options = ["--workspace", str(root), "--json"]
    tables = [part for name in TABLES for part in ("--only", name)]
    assert main(["publish", "towers", "--to", url, *tables, *options]) == 0
    first = json.loads(capsys.readouterr().out)["publish"]
    assert [(one["target"], one["state"]) for one in first["published"]] == [(name, "delivered") for name in TABLES]
    for name, table in TABLES.items():
        key = usecase.contracts[table].table.key
        assert ordered(there(url, name), key) == ordered(in_lake(root, table), key)
        assert there(url, name)
    assert main(["publish", "towers", "--to", url, *tables, *options]) == 0
    again = json.loads(capsys.readouterr().out)["publish"]
    assert {one["state"] for one in again["published"]} == {"unchanged"}
    assert again["owed"] == 0
