"""A folder with settings, as a user would have it, and the real command in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.run import Workspace
from trunkline.settings import load_settings

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PATIENCE_S = 90.0


@dataclass(frozen=True)
class Site:
    """A folder with ``trunkline.toml`` and a workspace."""

    folder: Path

    def declare(self, text: str) -> None:
        """Add to the settings."""
        path = self.folder / "trunkline.toml"
        path.write_text((path.read_text() if path.exists() else "") + text)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes see."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        said = {"PLUGIN_DIR": str(PLUGINS), "REGISTRY__TRACKING_URI": "none", "THREADS": "1"}
        return kept | {f"TRUNKLINE_{name}": value for name, value in said.items()}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "trunkline", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    @contextmanager
    def running(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """Run a command for a ``with`` block; it is killed at the end if it has not ended by then."""
        with (
            (self.folder / "said.txt").open("w") as said,
            subprocess.Popen(
                [sys.executable, "-m", "trunkline", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
                text=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def said(self) -> str:
        """What the running command said so far."""
        return (self.folder / "said.txt").read_text()

    def table(self, name: str) -> list[dict[str, object]]:
        """Read a table of the lake without Trunkline's reader."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            found = DeltaTable(str(self.folder / "workspace" / "lake" / Path(*name.split("."))))
        except TableNotFoundError:
            return []
        rows: list[dict[str, object]] = pa.table(found.to_pyarrow_dataset().to_table()).to_pylist()
        return rows

    def ended(self, job: str) -> list[dict[str, object]]:
        """The records of a job that ended, the first first."""
        rows = [row for row in self.table("platform.jobs") if row["job"] == job and row["seconds"] is not None]
        return sorted(rows, key=lambda row: str(row["changed_at"]))

    def workspace(self) -> Workspace:
        """Open the workspace in this process."""
        return Workspace(load_settings(workspace=self.folder / "workspace", plugin_dir=PLUGINS, threads=1))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty folder."""
    return Site(tmp_path)


@pytest.fixture
def inbox(site: Site, source: Path) -> Path:
    """A folder in which a file lies, declared as the source ``inbox`` that is due each second."""
    folder = site.folder / "inbox"
    folder.mkdir()
    (folder / "first.csv").write_bytes(source.read_bytes())
    site.declare(
        '[sources.inbox]\nkind = "folder"\nusecase = "leavers"\npath = "inbox"\nsettle_s = 0\n'
        'schedule = { every = "PT1S" }\n'
    )
    return folder


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until a condition holds; fails after a while: ``until(lambda: ...)``."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it never came to be"
            time.sleep(0.05)

    return wait
