"""What every broker must do: one body of checks over all of them, for authors of brokers and for Trunkline's own.

Takes a stage, which opens the broker as often as a check asks, and raises ``AssertionError`` with what does not hold::

    @pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)
    def test_broker(check: BrokerCheck, stage: BrokerStage) -> None:
        check(stage)

Each check uses topics of its own, named by ``stage.topic``, so that one server can serve all of them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from trunkline.brokers import Broker, Capabilities, Message, Record
from trunkline.errors import InputError, TrunklineError, UnavailableError

__all__ = ["BROKER_CHECKS", "BrokerCheck", "BrokerStage"]

_MALFORMED: Final = ("", "A", "1a", "a b", 'a"; DROP TABLE log', "a" * 81, "../a", "ä")
_GROUP: Final = "checks"


class BrokerStage(Protocol):
    """What an author brings along."""

    def open(self) -> Broker:
        """Open the broker once more, as another process would; the stage closes what it opened."""
        ...

    def topic(self, name: str) -> str:
        """Give a topic that nobody has written to, and the same one for the same name."""
        ...

    def remake(self, topic: str) -> None:
        """Remove a topic with its records, behind the broker's back; called while nothing is open."""
        ...

    def close(self) -> None:
        """Close everything that was opened."""
        ...

    def unavailable(self) -> Broker:
        """Give a broker that cannot be reached, or raise as opening it does."""
        ...


BrokerCheck = Callable[[BrokerStage], None]
"""Checks one promise; raises ``AssertionError`` where it is not kept."""


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)


def _messages(*values: str, key: bytes | None = None) -> list[Message]:
    return [Message(value.encode(), key) for value in values]


def _all(broker: Broker, topic: str) -> list[Sequence[Record]]:
    """Every record of a topic by partition."""
    return [
        broker.read(topic, after=0, limit=1_000_000, partition=partition)
        for partition in range(broker.partitions(topic))
    ]


def _raised(attempt: Callable[[], object]) -> BaseException | None:
    try:
        attempt()
    except TrunklineError as error:
        return error
    return None


def keeps_order_within_a_partition(stage: BrokerStage) -> None:
    """What was published is read by everybody, whole, once, and in order where it has one key."""
    broker, topic = stage.open(), stage.topic("order")
    for number in range(20):
        for key in (b"one", b"two", b"three"):
            broker.publish({topic: _messages(f"{number}", key=key)})
    for reader in (broker, stage.open()):
        found = _all(reader, topic)
        for key in (b"one", b"two", b"three"):
            own = [[record.value for record in records if record.key == key] for records in found]
            held = [values for values in own if values]
            _hold(len(held) == 1, f"records of one key lie in {len(held)} partitions")
            _hold(held[0] == [str(number).encode() for number in range(20)], "records of one key are out of order")
        for records in found:
            offsets = [record.offset for record in records]
            _hold(offsets == sorted(set(offsets)), "offsets do not grow")
            _hold(all(offset >= 1 for offset in offsets), "the first offset is 1")
            _hold(all(record.at_us > 0 for record in records), "a record has no instant")


def reads_after_an_offset_up_to_a_limit(stage: BrokerStage) -> None:
    """``read`` gives what follows an offset, no more than the limit or the size, and one record at least."""
    broker, topic = stage.open(), stage.topic("limits")
    broker.publish({topic: _messages(*(letter * 100 for letter in "abcde"), key=b"k")})
    partition = next(at for at, records in enumerate(_all(broker, topic)) if records)
    whole = broker.read(topic, after=0, limit=9, partition=partition)
    _hold([record.value[:1] for record in whole] == [b"a", b"b", b"c", b"d", b"e"], "not all records are read")
    second = whole[1].offset
    cases = (
        (broker.read(topic, after=second, limit=2, partition=partition), b"cd", "a limit is not kept"),
        (broker.read(topic, after=0, limit=9, max_bytes=150, partition=partition), b"ab", "a size is not kept"),
        (broker.read(topic, after=0, limit=9, max_bytes=1, partition=partition), b"a", "one record at least is read"),
        (broker.read(topic, after=second, limit=1, partition=partition), b"c", "a place cannot be read again"),
        (
            broker.read(topic, after=whole[-1].offset, limit=9, partition=partition),
            b"",
            "there is nothing after the end",
        ),
    )
    for records, firsts, otherwise in cases:
        _hold(b"".join(record.value[:1] for record in records) == firsts, otherwise)
    _hold(broker.end(topic, partition=partition) == whole[-1].offset, "the end is not the newest offset")


def gives_back_any_bytes(stage: BrokerStage) -> None:
    """Values and keys come back as they were: all bytes, none, many."""
    broker, topic = stage.open(), stage.topic("bytes")
    values = [bytes(range(256)), b"", b"\0", b"x" * 500_000]
    broker.publish({topic: [Message(value, b"k") for value in values]})
    found = [record for records in _all(broker, topic) for record in records]
    _hold([record.value for record in found] == values, "values do not come back as they were")
    _hold({record.key for record in found} == {b"k"}, "keys do not come back as they were")


def never_uses_an_offset_again(stage: BrokerStage) -> None:
    """Offsets go on growing across openings."""
    topic = stage.topic("offsets")
    ends: list[int] = []
    for round_ in range(3):
        broker = stage.open()
        ends.append(broker.publish({topic: _messages(f"{round_}", key=b"k")})[topic])
        stage.close()
    _hold(ends == sorted(set(ends)), "an offset was used again")
    found = [record.offset for records in _all(stage.open(), topic) for record in records]
    _hold(found == ends, "`publish` gave other offsets than `read`")


def makes_a_topic_by_its_first_message(stage: BrokerStage) -> None:
    """A topic nobody wrote to is empty, and is there once somebody did."""
    broker, topic = stage.open(), stage.topic("first")
    _hold(broker.partitions(topic) >= 1, "a topic has a partition")
    _hold(list(broker.read(topic, after=0, limit=10)) == [], "a topic nobody wrote to holds a record")
    _hold(broker.end(topic) == 0, "a topic nobody wrote to has an end")
    _hold(broker.committed(topic, group=_GROUP) == 0, "a group has a place in a topic nobody wrote to")
    broker.commit(topic, group=_GROUP, offset=0)
    broker.publish({topic: _messages("x"), stage.topic("second"): _messages("y", "z")})
    _hold(sum(map(len, _all(broker, topic))) == 1, "the first message is not there")
    _hold(sum(map(len, _all(broker, stage.topic("second")))) == 2, "the second topic's messages are not there")


def commits_only_forward(stage: BrokerStage) -> None:
    """A group keeps its place for each partition, across openings, and never goes back."""
    broker, topic = stage.open(), stage.topic("commits")
    broker.publish({topic: _messages(*"12345", key=b"k")})
    partition = next(at for at, records in enumerate(_all(broker, topic)) if records)
    others = set(range(broker.partitions(topic))) - {partition}
    broker.commit(topic, group="one", offset=2, partition=partition)
    broker.commit(topic, group="one", offset=1, partition=partition)
    broker.commit(topic, group="two", offset=5, partition=partition)
    stage_again = stage.open()
    stage_again.commit(topic, group="two", offset=4, partition=partition)
    stage.close()
    reader = stage.open()
    _hold(reader.committed(topic, group="one", partition=partition) == 2, "a commit was lost, or went back")
    _hold(reader.committed(topic, group="two", partition=partition) == 5, "another process took a commit back")
    for other in others:
        _hold(reader.committed(topic, group="one", partition=other) == 0, "a commit reached another partition")


def names_a_partition_for_as_long_as_its_offsets_count(stage: BrokerStage) -> None:
    """``source_id`` is the same for all who open, differs between partitions, and is new for a topic made anew."""
    broker, topic = stage.open(), stage.topic("named")
    broker.publish({topic: _messages("x"), stage.topic("other"): _messages("x")})
    first = broker.source_id(topic)
    _hold(stage.open().source_id(topic) == first, "two processes know one partition by two names")
    broker.publish({topic: _messages("y")})
    _hold(broker.source_id(topic) == first, "a message changed the name of its partition")
    _hold(broker.source_id(stage.topic("other")) != first, "two topics have one name")
    count = broker.partitions(topic)
    names = {broker.source_id(topic, partition=partition) for partition in range(count)}
    _hold(len(names) == count, "two partitions have one name")
    stage.close()
    stage.remake(topic)
    again = stage.open()
    again.publish({topic: _messages("z")})
    _hold(again.source_id(topic) != first, "a topic made anew has its old name")
    _hold(sum(map(len, _all(again, topic))) == 1, "a topic made anew has old records")


def declares_what_it_can(stage: BrokerStage) -> None:
    """Capabilities are said, and kept: partitions, and who removes old records."""
    broker, topic = stage.open(), stage.topic("declared")
    said = broker.capabilities
    _hold(isinstance(said, Capabilities), "capabilities are no `Capabilities`")
    broker.publish({topic: _messages("x")})
    count = broker.partitions(topic)
    _hold(said.partitions is None or count <= said.partitions, "a topic has more partitions than declared")
    beyond = _raised(lambda: broker.read(topic, after=0, limit=1, partition=count))
    _hold(isinstance(beyond, InputError), "a partition that is not there was read")


def refuses_malformed_names(stage: BrokerStage) -> None:
    """Names that are no topic's are refused by all that take one, and nothing is stored."""
    broker = stage.open()
    for name in _MALFORMED:
        attempts: tuple[Callable[[], object], ...] = (
            partial(broker.publish, {name: _messages("x")}),
            partial(broker.read, name, after=0, limit=1),
            partial(broker.end, name),
            partial(broker.commit, name, group=_GROUP, offset=1),
            partial(broker.committed, name, group=_GROUP),
            partial(broker.partitions, name),
        )
        for attempt in attempts:
            error = _raised(attempt)
            _hold(isinstance(error, InputError), f"{name[:20]!r} was taken for a topic")
            _hold("cannot be a topic" in str(error), f"the refusal of {name[:20]!r} does not say why")


def says_when_it_cannot_be_reached(stage: BrokerStage) -> None:
    """A broker that is away raises ``UnavailableError``, and says where and what to do."""
    topic = stage.topic("away")

    def attempt() -> None:
        broker = stage.unavailable()
        try:
            broker.publish({topic: _messages("x")})
        finally:
            broker.close()

    error = _raised(attempt)
    _hold(isinstance(error, UnavailableError), f"a broker that is away raised {type(error).__name__}")
    _hold(isinstance(error, UnavailableError) and bool(error.next_step), "nothing is said that could be done")


def may_be_closed_twice(stage: BrokerStage) -> None:
    """``close`` may be called again."""
    broker = stage.open()
    broker.publish({stage.topic("closed"): _messages("x")})
    broker.close()
    broker.close()


BROKER_CHECKS: Final[tuple[BrokerCheck, ...]] = (
    keeps_order_within_a_partition,
    reads_after_an_offset_up_to_a_limit,
    gives_back_any_bytes,
    never_uses_an_offset_again,
    makes_a_topic_by_its_first_message,
    commits_only_forward,
    names_a_partition_for_as_long_as_its_offsets_count,
    declares_what_it_can,
    refuses_malformed_names,
    says_when_it_cannot_be_reached,
    may_be_closed_twice,
)
"""All checks, each with a stage of its own."""
