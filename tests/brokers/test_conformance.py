"""What every broker does, whichever it is."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trunkline.brokers import Broker, GroupCommit, Message
from trunkline.errors import InputError, UnavailableError


def texts(broker: Broker, topic: str, *, after: int = 0) -> list[bytes]:
    return [record.value for record in broker.read(topic, after=after, limit=1_000_000)]


def messages(*values: str) -> list[Message]:
    return [Message(value.encode()) for value in values]


def test_what_was_published_is_read_in_order_by_everybody(broker: Broker, open_broker: Callable[[], Broker]) -> None:
    ends = broker.publish({"a": messages("1", "2"), "b": messages("x")})
    assert ends == {"a": 2, "b": 1}
    assert broker.publish({"a": [Message(b"3", key=b"k")]}) == {"a": 3}
    for reader in (broker, open_broker()):
        records = reader.read("a", after=0, limit=10)
        assert [record.value for record in records] == [b"1", b"2", b"3"]
        assert [record.offset for record in records] == [1, 2, 3]
        assert [record.key for record in records] == [None, None, b"k"]
        assert reader.end("a") == 3


def test_reading_starts_after_an_offset_and_stops_at_a_limit(broker: Broker) -> None:
    broker.publish({"a": messages(*"12345")})
    assert [record.value for record in broker.read("a", after=2, limit=2)] == [b"3", b"4"]
    assert broker.read("a", after=5, limit=2) == []


def test_reading_stops_at_a_size_but_gives_one_record_at_least(broker: Broker) -> None:
    broker.publish({"a": messages("x" * 100, "y" * 100, "z" * 100)})
    assert [record.value[:1] for record in broker.read("a", after=0, limit=9, max_bytes=150)] == [b"x", b"y"]
    assert [record.value[:1] for record in broker.read("a", after=0, limit=9, max_bytes=1)] == [b"x"]


def test_a_topic_nobody_wrote_to_is_empty(broker: Broker) -> None:
    assert broker.read("nothing", after=0, limit=10) == []
    assert broker.end("nothing") == 0
    assert broker.committed("nothing", group="g") == 0


@pytest.mark.parametrize("topic", ["", "A", "1a", "a b", 'a"; DROP TABLE log', "a" * 81, "../a"])
def test_a_malformed_topic_is_refused(broker: Broker, topic: str) -> None:
    with pytest.raises(InputError, match="cannot be a topic"):
        broker.publish({topic: messages("1")})
    with pytest.raises(InputError, match="cannot be a topic"):
        broker.read(topic, after=0, limit=1)


def test_a_batch_is_stored_whole_or_not_at_all(broker: Broker) -> None:
    broker.publish({"a": messages("1")})
    with pytest.raises(Exception):  # noqa: B017, PT011 - each broker says in its own way that None is no content
        broker.publish({"a": messages("2"), "b": [Message(None)]})  # type: ignore[arg-type]  # on purpose
    assert texts(broker, "a") == [b"1"]
    assert texts(broker, "b") == []
    assert broker.publish({"a": messages("2")}) == {"a": 2}


def test_groups_keep_their_place_and_never_go_back(broker: Broker, open_broker: Callable[[], Broker]) -> None:
    broker.publish({"a": messages(*"123")})
    broker.commit("a", group="one", offset=2)
    broker.commit("a", group="one", offset=1)
    broker.commit("a", group="two", offset=3)
    for reader in (broker, open_broker()):
        assert reader.committed("a", group="one") == 2
        assert reader.committed("a", group="two") == 3
        assert reader.committed("b", group="one") == 0


def test_a_partition_keeps_its_name_and_others_have_another(broker: Broker, open_broker: Callable[[], Broker]) -> None:
    assert broker.source_id("a") == open_broker().source_id("a")
    assert broker.source_id("a") != broker.source_id("b")


def test_retention_takes_what_is_old_and_consumed_but_never_the_newest(
    broker: Broker, clock: Callable[[], datetime]
) -> None:
    broker.publish({"a": messages(*"1234"), "b": messages("x", "y")})
    broker.commit("a", group="one", offset=4)
    broker.commit("a", group="two", offset=2)
    assert broker.trim(now=clock() + timedelta(hours=1)).removed == 0
    assert broker.trim(now=clock() + timedelta(days=2)).removed == 3
    assert texts(broker, "a") == [b"3", b"4"]
    assert texts(broker, "b") == [b"y"]
    broker.commit("a", group="two", offset=4)
    broker.trim(now=clock() + timedelta(days=2))
    assert texts(broker, "a") == [b"4"]
    assert broker.publish({"a": messages("5")}) == {"a": 5}


def test_threads_publish_at_once_and_nothing_is_lost(broker: Broker) -> None:
    def produce(name: int) -> None:
        for number in range(50):
            broker.publish({"a": messages(f"{name}:{number}")})

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [value.decode() for value in texts(broker, "a")]
    assert len(found) == len(set(found)) == 200
    for name in range(4):
        own = [value for value in found if value.startswith(f"{name}:")]
        assert own == [f"{name}:{number}" for number in range(50)]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(batches=st.lists(st.lists(st.binary(max_size=40), max_size=5), max_size=8))
@example(batches=[[b"\x00TS1"], [b"\x00TC1"], [b"\x00TC1\x00TS1", b"\x00"]])
def test_any_bytes_come_back_as_they_were(broker: Broker, batches: Sequence[Sequence[bytes]]) -> None:
    start = broker.end("a")
    for batch in batches:
        broker.publish({"a": [Message(value) for value in batch]})
    assert texts(broker, "a", after=start) == [value for batch in batches for value in batch]


# Group commit, over any broker


class Counting:
    """A broker that counts commits, and fails on demand."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.capabilities = broker.capabilities
        self.commits = 0
        self.failure: Exception | None = None

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        self.commits += 1
        if self.failure is not None:
            raise self.failure
        return self.broker.publish(batches)


async def appended(group: GroupCommit, names: Sequence[str]) -> None:
    async def one(name: str) -> None:
        await group.append("a", messages(name))

    await asyncio.gather(*(one(name) for name in names))


def test_appends_are_durable_when_done_and_share_commits_that_wait(broker: Broker) -> None:
    counting = Counting(broker)

    async def scene() -> None:
        group = GroupCommit(counting, max_waiting=1000)  # type: ignore[arg-type]  # only publish is called
        await appended(group, [str(number) for number in range(100)])
        assert texts(broker, "a") == [str(number).encode() for number in range(100)]
        await group.append("a", messages("last"))
        assert texts(broker, "a", after=100) == [b"last"]
        await group.close()

    asyncio.run(scene())
    assert counting.commits == (101 if broker.capabilities.quick_commit else 2)


def test_a_failed_commit_fails_exactly_those_who_shared_it(broker: Broker) -> None:
    counting = Counting(broker)

    async def scene() -> None:
        group = GroupCommit(counting, max_waiting=1000)  # type: ignore[arg-type]  # only publish is called
        counting.failure = UnavailableError("no room")
        waiting = [group.append("a", messages(str(number))) for number in range(3)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in done] == [UnavailableError] * 3
        counting.failure = None
        await group.append("a", messages("after"))
        await group.close()

    asyncio.run(scene())
    assert texts(broker, "a") == [b"after"]


def test_a_cancelled_request_takes_nobody_with_it(broker: Broker) -> None:
    async def scene() -> None:
        group = GroupCommit(broker, max_waiting=1000)
        first, second = (asyncio.create_task(group.append("a", messages(name))) for name in "12")
        await asyncio.sleep(0)
        first.cancel()
        await second
        await group.close()

    asyncio.run(scene())
    assert texts(broker, "a") == [b"1", b"2"]


@pytest.mark.parametrize("bounds", [{"max_waiting": 10}, {"max_waiting": 1000, "max_waiting_bytes": 10}])
def test_too_many_waiting_are_refused_and_the_rest_is_stored(broker: Broker, bounds: dict[str, int]) -> None:
    async def scene() -> list[BaseException | None]:
        group = GroupCommit(broker, **bounds)
        done = await asyncio.gather(*(group.append("a", messages(*"12345")) for _ in range(3)), return_exceptions=True)
        await group.append("a", messages("6"))
        await group.close()
        return done

    refused = [error for error in asyncio.run(scene()) if error is not None]
    if broker.capabilities.quick_commit:  # nobody ever waits
        assert refused == []
    else:
        assert len(refused) == 1
        assert isinstance(refused[0], UnavailableError)
    assert broker.end("a") == 16 - 5 * len(refused)


def test_closing_waits_for_what_was_handed_over(broker: Broker) -> None:
    async def scene() -> None:
        group = GroupCommit(broker, max_waiting=10)
        handed_over = asyncio.create_task(group.append("a", messages("1")))
        await asyncio.sleep(0)
        await group.close()
        await handed_over

    asyncio.run(scene())
    assert texts(broker, "a") == [b"1"]
