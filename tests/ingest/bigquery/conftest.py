"""The emulator of BigQuery, by a short name; see ``tests/emulators.py``."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def emulator(bigquery_emulator: Any) -> Any:  # noqa: ANN401 - of a module that is no package
    """Where it listens."""
    return bigquery_emulator
