"""Who of an audience is sent a message: each reason, their order, and the sums against a plain reading of the rules."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trunkline.checks import arrow_schema
from trunkline.contracts.records import AudienceMember
from trunkline.notify import decided, message_id

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def members(*keys: str, holdout: Sequence[str] = (), days_old: float = 0) -> pa.Table:
    rows = [
        {
            "member_id": f"run-1-{key}", "usecase": "upgrade", "campaign": "run-1", "entity_key": key,
            "segment": "families", "offer": "bundle", "score": 0.5, "stays": None, "expected_value": 10.0, "cost": 1.0,
            "holdout": key in holdout, "model_version": "1", "companion_version": None,
            "decided_at": NOW - timedelta(days=days_old),
        }
        for key in keys
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=arrow_schema(AudienceMember))


def said(**given: bool | None) -> pa.Table:
    return pa.table(
        {"entity_key": pa.array(list(given), pa.string()), "given": pa.array(list(given.values()), pa.bool_())}
    )


def sent(*keys: str) -> pa.Table:
    return pa.table({"entity_key": pa.array(keys, pa.string())})


def decide(rows: pa.Table, consents: pa.Table | None, history: pa.Table | None = None, *, cap: int = 2) -> pa.Table:
    history = sent() if history is None else history
    return decided(rows, consents=consents, sent=history, channel="push", cap=cap, valid_days=14, now=NOW)


def reasons(rows: pa.Table) -> dict[str, str | None]:
    return dict(zip(rows.column("entity_key").to_pylist(), rows.column("reason").to_pylist(), strict=True))


def test_who_has_agreed_is_sent_a_message_and_nobody_else() -> None:
    found = decide(members("a", "b", "c", "d"), said(a=True, b=False, c=None))
    assert reasons(found) == {"a": None, "b": "no_consent", "c": "no_consent", "d": "no_consent"}
    assert found.column("state").to_pylist() == ["sent", "withheld", "withheld", "withheld"]
    assert found.column("message_id")[0].as_py() == message_id("upgrade", "run-1", "push", "a")
    assert found.column("valid_until")[0].as_py() == NOW + timedelta(days=14)


def test_without_any_consent_nobody_is_contacted() -> None:
    assert set(reasons(decide(members("a", "b"), None)).values()) == {"no_consent"}
    assert set(reasons(decide(members("a", "b"), said())).values()) == {"no_consent"}


def test_who_is_held_out_is_never_contacted_whatever_else_holds() -> None:
    found = decide(members("a", "b", holdout=["a"]), said(a=True, b=True), sent("a", "a", "a"))
    assert reasons(found) == {"a": "holdout", "b": None}


def test_who_has_had_enough_waits() -> None:
    found = decide(members("a", "b", "c"), said(a=True, b=True, c=True), sent("a", "b", "a", "z"), cap=2)
    assert reasons(found) == {"a": "capped", "b": None, "c": None}


def test_who_is_a_member_twice_is_sent_one_message() -> None:
    found = decide(members("a", "b", "a", "a"), said(a=True, b=True), cap=1)
    assert found.column("reason").to_pylist() == [None, None, "repeated", "repeated"]


def test_an_old_audience_is_left_alone() -> None:
    assert reasons(decide(members("a", days_old=14), said(a=True))) == {"a": None}
    assert reasons(decide(members("a", days_old=14.01), said(a=True))) == {"a": "expired"}


NAMES = st.sampled_from(["a", "b", "c", "d", "e", "", "é|x"])


@given(
    keys=st.lists(NAMES, unique=True, max_size=7),
    holdout=st.sets(NAMES),
    agreed=st.dictionaries(NAMES, st.none() | st.booleans()),
    history=st.lists(NAMES, max_size=12),
    cap=st.integers(1, 3),
    days_old=st.sampled_from([0.0, 20.0]),
)
def test_it_is_what_a_plain_reading_of_the_rules_gives(
    keys: list[str],
    holdout: set[str],
    agreed: dict[str, bool | None],
    history: list[str],
    cap: int,
    days_old: float,
) -> None:
    def plain(key: str) -> str | None:
        if key in holdout:
            return "holdout"
        if agreed.get(key) is not True:
            return "no_consent"
        if days_old > 14:
            return "expired"
        return "capped" if history.count(key) >= cap else None

    rows = members(*keys, holdout=list(holdout), days_old=days_old)
    consents = pa.table(
        {"entity_key": pa.array(list(agreed), pa.string()), "given": pa.array(agreed.values(), pa.bool_())}
    )
    assert reasons(decide(rows, consents, sent(*history), cap=cap)) == {key: plain(key) for key in keys}
