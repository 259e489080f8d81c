"""Settings of messages to customers: through which channel, how often, for how long an offer stands."""

from pydantic import BaseModel, Field

__all__ = ["MessageSettings"]


class MessageSettings(BaseModel, frozen=True, extra="forbid"):
    """What `trunkline contact` keeps to; nobody is contacted by itself."""

    channel: str = Field(
        "push", pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Channel that consent must be given for, e.g. push, sms."
    )
    cap: int = Field(2, ge=1, le=1000, description="Messages that a customer gets in `cap_days`, of all use cases.")
    cap_days: float = Field(30.0, gt=0, le=3660, description="Span over which messages are counted (days).")
    valid_days: float = Field(
        14.0, gt=0, le=3660, description="Age at which an audience is too old to be contacted (days)."
    )
    sinks: tuple[str, ...] = Field(
        (), description="Sinks of `[publish.sinks]` that get the messages as events: webhooks, Pub/Sub; none gets none."
    )
