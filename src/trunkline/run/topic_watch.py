"""A watched topic that others write to: its records come into the lake, shared between processes of one group."""

from collections.abc import Iterator
from contextlib import closing
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Final

from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.mqtt_address import MQTT_SCHEMES
from trunkline.contracts.records import Receipt
from trunkline.errors import InputError
from trunkline.ingest.derived import refresh_tables
from trunkline.ingest.streams import TopicIntakes
from trunkline.run.declared_topics import opened_topic
from trunkline.run.mqtt_watch import watch_mqtt
from trunkline.run.spark_watch import watch_by_spark
from trunkline.run.topic_notes import Looked, TopicNotes
from trunkline.run.watch_events import TOPIC_EVERY_S, watch_events
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["watch_topic"]

_EVERY_S: Final = 1.0
_AT_ONCE_S: Final = 0.05


def watch_topic(
    workspace: "Workspace", usecase: "UseCase", declared: TopicSource, *, run_id: str, stop: Event, once: bool = False
) -> Iterator[Receipt]:
    """Take in the records of a topic, those that are there and those that come: once a second what there is by then.

    Args:
        workspace: The workspace.
        usecase: The use case that takes the records in.
        declared: The topic, and what is said of it.
        run_id: The run that derived tables carry.
        stop: Ends the watch when it is set, after the chunk at hand.
        once: End when all that is there, of the partitions that are this process's, has been taken in.

    Yields:
        The receipt of each chunk.

    Raises:
        InputError: The address is malformed or names no topic, or the cluster refuses this client.
        UnknownNameError: There is no such topic or dataset.
        MissingExtraError: The extra ``kafka``, ``mqtt`` or, for lineage events, ``lineage`` is not installed.
        BusyError: Another process reads the same MQTT subscription, and it is not shared; or Spark reads the topic.
        WorldError: Lake or cluster did not work; start the watch again, nothing is lost.
    """
    with (
        TopicNotes(workspace, usecase, declared, run_id=run_id) as notes,
        watch_events(workspace, usecase, run_id=run_id) as events,
    ):

        def looked(*, leads: bool) -> None:
            notes.looked(leads=leads)
            events.end(after_s=TOPIC_EVERY_S)

        _refuse_contradictions(declared)
        watch = _watch_kafka if declared.reader == "process" else watch_by_spark
        if declared.url.get_secret_value().startswith(MQTT_SCHEMES):
            watch = watch_mqtt
        for receipt in watch(workspace, usecase, declared, run_id=run_id, stop=stop, once=once, looked=looked):
            notes.took(receipt)
            events.took(receipt)
            yield receipt


def _watch_kafka(
    workspace: "Workspace",
    usecase: "UseCase",
    declared: TopicSource,
    *,
    run_id: str,
    stop: Event,
    once: bool,
    looked: Looked,
) -> Iterator[Receipt]:
    """Share the partitions of a topic of Kafka with the other processes of the group."""
    from trunkline.brokers.kafka import KafkaMembership

    mine: frozenset[int] = frozenset()
    with opened_topic(workspace, usecase, declared, alone=False) as topic:
        intakes = TopicIntakes(topic.broker, topic.name, topic.intake, partitions=lambda: mine)
        membership = KafkaMembership(topic.settings, topic=topic.name, group=f"{topic.group}.members")
        with closing(membership):
            took_s = 0.0
            while not stop.is_set():
                given = membership.partitions(wait_s=_AT_ONCE_S if once else max(0.0, _EVERY_S - took_s))
                begun = monotonic()
                mine = given or frozenset()
                taken = False
                for one in intakes.drain(workspace.lake):
                    taken = True
                    yield one.receipt
                    if stop.is_set():
                        break
                    mine = membership.partitions(wait_s=0) or frozenset()
                if taken:
                    refresh_tables(
                        usecase,
                        lake=workspace.lake,
                        locks=workspace.folder("locks"),
                        run_id=run_id,
                        clock=workspace.clock,
                    )
                looked(leads=0 in mine)  # the first partition is always somebody's
                took_s = monotonic() - begun
                if once and given is not None and mine == given:
                    return  # what was there when the turn began; who sends on is not waited for


def _refuse_contradictions(declared: TopicSource) -> None:
    url = declared.url.get_secret_value()
    if url.startswith(MQTT_SCHEMES):
        for name, usual in (("reader", "process"), ("dead_letters", None)):
            if getattr(declared, name) != usual:
                raise InputError(f"{name} is for topics of Kafka, and this one is MQTT's", where="the source")
    elif declared.dead_letters is not None and declared.dead_letters == kafka_address(url, declared.options).topic:
        raise InputError(
            "the dead-letter topic is the topic itself: what is refused would come again for ever",
            where="the source, dead_letters",
            next_step="name another topic",
        )
