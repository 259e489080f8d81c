"""Which members of an audience are contacted: consent, holdout, frequency and age, decided for all at once. Pure.

Takes members, what customers said of a channel, and what they were sent; gives one row per member, those who get
nothing included, each with the reason. The first reason that holds is told, in the order of :data:`REASONS`.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.checks import arrow_schema
from trunkline.contracts.records import CustomerMessage

__all__ = ["REASONS", "decided", "message_id"]

REASONS: Final = ("repeated", "holdout", "no_consent", "expired", "capped")
"""Why a member gets nothing: is a member once more; is held out to measure what contacts bring; has not agreed to the
channel, or has taken it back; the audience is too old; has had enough messages."""


def message_id(usecase: str, campaign: str, channel: str, entity_key: str) -> str:
    """Name the message of a member: the same however often it is decided.

    >>> message_id("upgrade", "run-1", "push", "7") == message_id("upgrade", "run-1", "push", "7")
    True
    """
    said = f"{usecase}\x00{campaign}\x00{channel}\x00{entity_key}"
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def decided(
    members: pa.Table,
    *,
    consents: pa.Table | None,
    sent: pa.Table,
    channel: str,
    cap: int,
    valid_days: float,
    now: datetime,
) -> pa.Table:
    """Decide for every member.

    Args:
        members: Rows of ``platform.audiences``, of one use case and campaign.
        consents: ``entity_key`` and ``given``, one row per customer: the newest word on the channel; None where nothing
            is known, which is no consent.
        sent: ``entity_key``, a row per message within the span of the cap, of any use case.
        channel: The channel.
        cap: Messages that a customer may have had to get one more, less one.
        valid_days: Age of the audience from which nobody is contacted.
        now: UTC.

    Returns:
        Rows of ``platform.messages``, in the order of the members; who is a member more than once is so by the first.
    """
    keys = members.column("entity_key").combine_chunks()
    reasons = np.full(members.num_rows, "", dtype=object)
    counted = sent.group_by("entity_key").aggregate([("entity_key", "count")])
    had = _looked_up(keys, counted.column("entity_key"), counted.column("entity_key_count"))
    reasons[np.nan_to_num(had, nan=0.0) >= cap] = "capped"
    too_old = pc.less(
        members.column("decided_at"), pa.scalar(now - timedelta(days=valid_days), pa.timestamp("us", "UTC"))
    )
    reasons[_flags(too_old)] = "expired"
    agreed = np.zeros(members.num_rows, dtype=bool)
    if consents is not None and consents.num_rows:
        said = consents.column("given").cast(pa.int64())
        agreed = np.nan_to_num(_looked_up(keys, consents.column("entity_key"), said), nan=0.0) == 1.0
    reasons[~agreed] = "no_consent"
    reasons[_flags(members.column("holdout"))] = "holdout"
    first = pc.index_in(keys, value_set=keys).to_numpy()
    reasons[first != np.arange(members.num_rows)] = "repeated"
    columns = {name: members.column(name) for name in ("usecase", "campaign", "entity_key", "segment", "offer")}
    names = zip(*(columns[name].to_pylist() for name in ("usecase", "campaign", "entity_key")), strict=True)
    schema = arrow_schema(CustomerMessage)
    made = {
        "message_id": [message_id(usecase, campaign, channel, key) for usecase, campaign, key in names],
        **columns,
        "channel": [channel] * members.num_rows,
        "state": np.where(reasons == "", "sent", "withheld").tolist(),
        "reason": [reason or None for reason in reasons],
        "valid_until": pc.add(members.column("decided_at"), pa.scalar(timedelta(days=valid_days), pa.duration("us"))),
        "decided_at": [now] * members.num_rows,
    }
    return pa.table([pa.chunked_array([_array(made[field.name], field.type)]) for field in schema], schema=schema)


def _looked_up(
    keys: pa.Array, known: pa.ChunkedArray, values: pa.ChunkedArray
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The value of each key; NaN where it is not known."""
    place = pc.index_in(keys, value_set=known.combine_chunks())
    found = values.combine_chunks().cast(pa.float64()).take(place)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)


def _flags(values: pa.ChunkedArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.asarray(values.to_numpy(), dtype=bool)


def _array(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks().cast(kind)
    return pa.array(values, kind)
