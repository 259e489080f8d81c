"""What tests of all packages share: the real data, a clock that stands still, and Hypothesis profiles."""

import importlib.util
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parent.parent

# `fast` tries the same few examples every time, so that a change lands or fails by what it changed. `thorough` is for
# the suite `properties`, and `deep` searches for as long as one has: HYPOTHESIS_PROFILE=deep make test-properties
settings.register_profile(
    "fast",
    max_examples=10,
    deadline=None,  # the first example pays for the imports
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", parent=settings.get_profile("fast"), max_examples=100, derandomize=bool(os.environ.get("CI"))
)
settings.register_profile("deep", parent=settings.get_profile("thorough"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_configure(config: pytest.Config) -> None:
    """Lend the fixtures of ``servers.py`` to all tests; the folder is no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("tests_servers", Path(__file__).with_name("servers.py"))
    assert spec is not None
    assert spec.loader is not None
    servers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    config.pluginmanager.register(servers, "servers")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, ``TRUNKLINE_DATA`` or ``../shared/data``; skips the test where there is none."""
    folder = Path(os.environ.get("TRUNKLINE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the real data is not here: no folder {folder} (TRUNKLINE_DATA names another)")
    return folder


@pytest.fixture(scope="session")
def fixed_clock() -> Callable[[], datetime]:
    """A clock that stands at 2026-03-01 12:00 UTC, for everything that takes its clock as an argument."""
    instant = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return lambda: instant
