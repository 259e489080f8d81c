"""Settings of brokers and of the embedded durable log. Units stand in each field's description."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["BrokerSettings"]


class BrokerSettings(BaseModel, frozen=True, extra="forbid"):
    """How the embedded log stores records and for how long."""

    synchronous: Literal["NORMAL", "FULL"] = Field(
        "NORMAL",
        description="What an acknowledged record survives: NORMAL the death of the process (kill -9), FULL also a "
        "power cut, at the price of one fsync per group of records.",
    )
    busy_timeout_s: float = Field(
        5.0, gt=0, description="Longest wait for another process that writes to the same log (seconds)."
    )
    retention: timedelta = Field(
        timedelta(hours=24),
        ge=timedelta(0),
        description="Time for which consumed records stay in the log (hours); what a consumer group has not committed "
        "is never removed.",
    )
    max_mb: int = Field(
        1024,
        ge=8,
        description="Size of the log (MiB). Above it consumed records go before their time; when none are left to go, "
        "new records are refused until a consumer catches up.",
    )
    max_waiting: int = Field(
        10_000, ge=1, description="Records that may wait for the next commit; further ones are refused (records)."
    )
