"""PostgreSQL, MariaDB and MySQL."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from tests.servers.processes import ROOT, SECRET, free_port, lent_folder, program, run, running


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """:func:`postgres_server` for a session."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """:func:`mariadb_server` for a session."""
    with mariadb_server() as url:
        yield url


@pytest.fixture(scope="session")
def mysql_url() -> Iterator[str]:
    """A user's ``mysql://user:password@host:port/database`` of MySQL's own server, of an old series."""
    pymysql = pytest.importorskip("pymysql", reason="the extra sql is not installed")
    home = ROOT / ".cache" / "mysql"
    if not home.is_dir():
        pytest.skip("MySQL's server is not installed: scripts/mysql.sh tries to")
    with lent_folder("nobody") as (folder, user):
        data, port, share = folder / "data", free_port(), home / "share"
        for name in ("", "mysql", "test"):
            (data / name).mkdir()
            if user is not None:
                os.chown(data / name, user, -1)
        first = (share / "mysql_system_tables.sql", share / "mysql_system_tables_data.sql")
        tables = "USE mysql;\n" + "".join(path.read_text(encoding="utf-8") for path in first)
        (folder / "first.sql").write_text(
            f"GRANT ALL ON *.* TO 'trunkline'@'127.0.0.1' IDENTIFIED BY '{SECRET}' WITH GRANT OPTION;\n"
            "CREATE DATABASE trunkline;\n"
        )
        common = [
            *(home / "bin" / "mysqld", "--no-defaults", f"--basedir={home}", f"--datadir={data}"),
            *(f"--tmpdir={folder}", f"--lc-messages-dir={share}"),  # of /tmp it removes temporary tables, whosever
            *("--innodb-log-file-size=4M", "--innodb-buffer-pool-size=32M"),
        ]
        options = [*_served(folder, port), "--performance-schema=OFF"]
        run([*common, "--bootstrap"], user, folder, said=tables)
        ready = partial(_answers, pymysql, port)
        with running([*common, *options], user, folder, ready=ready, end=signal.SIGTERM):
            yield f"mysql://trunkline:{SECRET}@127.0.0.1:{port}/trunkline"


@contextmanager
def postgres_server() -> Iterator[str]:
    """A superuser's ``postgresql://user:password@host:port/database`` of a server with logical decoding."""
    psycopg = pytest.importorskip("psycopg", reason="the extra sql is not installed")
    initdb, postgres = program("initdb", "postgresql"), program("postgres", "postgresql")
    with lent_folder("postgres") as (folder, user):
        (folder / "password").write_text(SECRET)
        data = folder / "data"
        made = [initdb, "-D", data, "-U", "trunkline", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        run([*made, "-E", "UTF8", "--locale=C", "--no-sync"], user, folder)
        port = free_port()
        said = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "wal_level": "logical",
            "max_replication_slots": 20,
            "max_wal_senders": 4,
            "shared_buffers": "32MB",
        }
        options = [part for name, value in said.items() for part in ("-c", f"{name}={value}")]
        url = f"postgresql://trunkline:{SECRET}@127.0.0.1:{port}/postgres"

        def ready() -> None:
            psycopg.connect(url, connect_timeout=2).close()

        with running([postgres, "-D", data, *options], user, folder, ready=ready, end=signal.SIGINT):
            yield url


@contextmanager
def mariadb_server() -> Iterator[str]:
    """A superuser's ``mysql://user:password@host:port/database`` of a server that writes a row binlog."""
    pymysql = pytest.importorskip("pymysql", reason="the extra sql is not installed")
    install, mariadbd = program("mariadb-install-db", "mariadb"), program("mariadbd", "mariadb")
    with lent_folder("mysql") as (folder, user):
        data, port = folder / "data", free_port()
        run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"],
            user,
            folder,
        )
        (folder / "first.sql").write_text(
            f"CREATE USER 'trunkline'@'%' IDENTIFIED BY '{SECRET}';\n"  # one statement a line
            "GRANT ALL ON *.* TO 'trunkline'@'%' WITH GRANT OPTION;\nCREATE DATABASE IF NOT EXISTS trunkline;\n"
        )
        options = ["--no-defaults", f"--datadir={data}", *_served(folder, port), "--binlog-row-metadata=FULL"]
        url = f"mysql://trunkline:{SECRET}@127.0.0.1:{port}/trunkline"

        with running([mariadbd, *options], user, folder, ready=partial(_answers, pymysql, port), end=signal.SIGTERM):
            yield url


def _served(folder: Path, port: int) -> list[str]:
    """Options of a server of MySQL's kind on loopback, whose data are in the folder and which writes a row binlog."""
    return [
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--socket={folder / 'socket'}",
        f"--pid-file={folder / 'pid'}",
        f"--init-file={folder / 'first.sql'}",
        "--skip-name-resolve",
        "--server-id=1",
        f"--log-bin={folder / 'data' / 'binlog'}",
        "--binlog-format=ROW",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=32M",
        "--character-set-server=utf8mb4",
    ]


def _answers(pymysql: ModuleType, port: int) -> None:
    """Log in as the user of the tests."""
    pymysql.connect(host="127.0.0.1", port=port, user="trunkline", password=SECRET, database="trunkline").close()
