"""A lake, topics of one test, and readings of the use case ``sensors``."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.settings.brokers import BrokerSettings
from trunkline.settings.lake import LakeSettings


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(
        tmp_path / "lake", engine=open_engine("duckdb"), settings=LakeSettings(), clock=lambda: datetime.now(UTC)
    )
    yield lake
    lake.engine.close()


@pytest.fixture
def kafka(kafka_servers: str) -> BrokerSettings:
    """Settings of topics that belong to one test, of three partitions."""
    return BrokerSettings.model_validate(
        {
            "url": f"kafka://{kafka_servers}",
            "prefix": f"t{uuid.uuid4().hex[:12]}.",
            "partitions": 3,
            "timeout_s": 20,
        }
    )


def reading(number: int) -> dict[str, object]:
    """One good row; no two numbers make the same."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return {
        "device_id": f"d{number % 7}",
        "session_id": "s",
        "sensor": "battery",
        "read_at": at.isoformat(),
        "battery_level": 0.5,
    }


@pytest.fixture(name="reading")
def _reading() -> object:
    return reading
