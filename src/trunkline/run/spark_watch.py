"""A watched topic that Spark takes in: where one machine ends, each partition is a task on Spark's workers.

The workers read Kafka, judge and commit by the same code as ``trunkline watch`` does in its own process, and this
process keeps the same places in the topic's group: where the chunk of each partition ends is noted before the workers
begin, that it is done after its dead letters were sent, all before Spark notes the micro-batch as done. So a chunk that
was interrupted is the same batch whoever takes it further, and the lake's transactions make a task that runs twice, or
beside its double, count once. Workers need Trunkline, and reach the workspace and the user's own use cases under the
same paths as this process. Spark's checkpoint, in the workspace, says which records a micro-batch has. Windows are
refreshed on Spark.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Event
from typing import TYPE_CHECKING, Final

from trunkline.brokers import Record
from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.kafka_java import java_options
from trunkline.contracts.records import Receipt
from trunkline.errors import InputError
from trunkline.ingest import Target
from trunkline.ingest.chunks import MOST_RECORDS, Chunks
from trunkline.ingest.derived import refresh_tables
from trunkline.ingest.unfolding import Unfold
from trunkline.run.declared_topics import opened_topic
from trunkline.run.topic_notes import Looked
from trunkline.settings import Settings, load_settings
from trunkline.settings.engine import EngineSettings
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["SentSettings", "SparkTask", "watch_by_spark"]

_EVERY_S: Final = 1.0
_SENT: Final = ("lake", "ingest", "privacy", "usecases")
_SECRETS: Final = (("lake", "lease_url"), ("privacy", "master_key"), ("privacy", "previous_master_key"))


@dataclass(frozen=True)
class SentSettings:
    """What workers need of the settings, without the secrets: Spark stores and shows what it is sent.

    Attributes:
        shown: The settings; they name the workspace and the folder of use cases by absolute paths.
        secrets: Group and name of those that workers find in their own environment, because this process has them.
    """

    shown: Settings = field(repr=False)
    secrets: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, settings: Settings) -> "SentSettings":
        """Leave out of the settings what workers do not need or may not be sent."""
        secrets = tuple(one for one in _SECRETS if getattr(getattr(settings, one[0]), one[1]) is not None)
        kept = {name: getattr(settings, name) for name in _SENT}
        for group, name in secrets:
            kept[group] = kept[group].model_copy(update={name: None})
        for folder in ("workspace", "plugin_dir"):
            kept[folder] = getattr(settings, folder).absolute()
        return cls(Settings.model_construct(threads=1, engine=EngineSettings(), **kept), secrets)

    def completed(self) -> Settings:
        """Add the secrets of this process's own settings.

        Raises:
            InputError: They lack one.
        """
        if not self.secrets:
            return self.shown
        own, found = load_settings(), self.shown
        for group, name in self.secrets:
            secret = getattr(getattr(own, group), name)
            if secret is None:
                raise InputError(
                    f"{group}.{name} is not set where a worker of Spark runs",
                    where="the workers' environment",
                    next_step=f"set TRUNKLINE_{group.upper()}__{name.upper()} for them, as it is set for this command",
                )
            found = found.model_copy(update={group: getattr(found, group).model_copy(update={name: secret})})
        return found


@dataclass(frozen=True)
class SparkTask:
    """Takes the records of one partition in, on a worker: one chunk.

    Attributes:
        settings: What workers need of the settings.
        usecase: The use case.
        dataset: Its dataset.
        topic: The topic.
        source: Begins the name of each partition among all there are.
        columns: Name in the messages to field name.
        done: Offset up to which the lake holds each partition; later records are the chunk.
    """

    settings: SentSettings
    usecase: str
    dataset: str
    topic: str
    source: str
    columns: dict[str, str]
    done: Mapping[int, int]

    def __call__(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Take the chunk in; gives a row of partition and receipt as JSON, also if the lake had the chunk."""
        partition, records = _records(batches)
        records = [one for one in records if one.offset > self.done[partition]]
        if not records:
            return
        from trunkline.run.workspace import Workspace

        settings = self.settings.completed()
        with Workspace(settings) as workspace:
            usecase = workspace.usecase(self.usecase)
            chunks = Chunks(
                Target(self.usecase, self.dataset, usecase.datasets[self.dataset]),
                topic=self.topic,
                partition=partition,
                clock=workspace.clock,
                mapping=self.columns,
                limits=settings.ingest,
                unfold=Unfold(usecase.envelopes.get(self.dataset)),
            )
            taken = chunks.take(records, workspace.lake, source=f"{self.source}{partition}")
        if taken is not None:
            yield _row(partition, taken.receipt.model_dump_json())


def watch_by_spark(
    workspace: "Workspace",
    usecase: "UseCase",
    declared: TopicSource,
    *,
    run_id: str,
    stop: Event,
    once: bool,
    looked: Looked,
) -> Iterator[Receipt]:
    """Take in the records of a topic on Spark; else as :func:`~trunkline.run.topic_watch.watch_topic`.

    Raises:
        InputError: The engine is not Spark, Spark lacks the connector, or the address is malformed or names no topic.
        UnknownNameError: There is no such topic or dataset.
        BusyError: Another process of this host, or of those that share the workspace's locks, reads the topic.
        WorldError: Lake, cluster or Spark did not work; start the watch again, nothing is lost.
    """
    from trunkline.run.workspace import Workspace

    if not workspace.engine.capabilities.streams_topics:
        raise InputError(
            "the source is to be read by Spark, and the engine is another",
            where="sources, reader",
            next_step='set engine.name = "spark", or leave reader out',
        )
    from trunkline.engine.spark.streams import MicroBatch, StreamedTopic, streamed_topic

    options = java_options(kafka_address(declared.url.get_secret_value(), declared.options))
    near = workspace.settings.model_copy(update={"workspace": workspace.root, "engine": EngineSettings()})
    # another engine for the thread that micro-batches come on
    with opened_topic(workspace, usecase, declared, alone=True) as topic, Workspace(near) as beside:
        intakes = {at: topic.intake(at) for at in range(topic.broker.partitions(topic.name))}
        for intake in intakes.values():
            for begun in intake.resume(beside.lake):  # of a process, or a micro-batch, that was interrupted
                yield begun.receipt
        source = topic.broker.source_id(topic.name)
        task = SparkTask(
            settings=SentSettings.of(workspace.settings),
            usecase=usecase.name,
            dataset=topic.dataset,
            topic=topic.name,
            source=source[: source.rindex(":") + 1],
            columns=dict(declared.columns),
            done={},
        )

        def take(batch: MicroBatch) -> list[Receipt]:
            for at in batch.ends.keys() - intakes.keys():  # partitions that the topic got later
                intakes[at] = topic.intake(at)
            done = {at: intakes[at].done(beside.lake) for at in batch.ends}
            ends = {at: end for at, end in batch.ends.items() if end > done[at]}
            if not ends:
                return []
            for at, end in ends.items():
                intakes[at].begin(end)
            taken = batch.mapped(replace(task, done=done), _given()).to_pylist()
            receipts = {one["partition"]: Receipt.model_validate_json(one["receipt"]) for one in taken}
            for at, end in ends.items():
                intakes[at].finish(end, receipts.get(at), beside.lake)
            return list(receipts.values())

        stream = StreamedTopic(
            name=topic.name,
            options=options,
            starts=json.dumps({topic.name: {str(at): one.done(beside.lake) or -2 for at, one in intakes.items()}}),
            checkpoint=workspace.folder("spark") / topic.name_here,
            most_records=MOST_RECORDS * len(intakes),
            every_s=_EVERY_S,
        )
        for receipts in streamed_topic(workspace.engine, stream, take, stop=stop, once=once):
            yield from receipts or ()
            if receipts:
                refresh_tables(
                    usecase, lake=workspace.lake, locks=workspace.folder("locks"), run_id=run_id, clock=workspace.clock
                )
            looked(leads=True)
        if once:
            looked(leads=True)


def _given() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("partition", pa.int32()), ("receipt", pa.string())])


def _row(partition: int, receipt: str) -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([{"partition": partition, "receipt": receipt}], schema=_given())


def _records(batches: "Iterable[pa.RecordBatch]") -> tuple[int, list[Record]]:
    """All records of a task, with offsets as brokers count them: the first is 1."""
    partition, records = 0, list[Record]()
    for batch in batches:
        for at, offset, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            partition = at
            records.append(Record(offset + 1, value or b"", None, 0))
    return partition, records
