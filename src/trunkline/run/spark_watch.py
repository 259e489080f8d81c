"""A watched topic that Spark takes in: where one machine ends, each partition is a task on Spark's workers.

The workers read Kafka, judge and commit by the same code as ``trunkline watch`` does in its own process, under the same
batch of each chunk: the lake's transactions make a task that runs twice, or beside its double, count once. So workers
need Trunkline, and reach the workspace under the same path as this process. Spark's checkpoint, in the workspace, says
which records a micro-batch has. Windows are refreshed on Spark by the same expressions.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from trunkline.brokers import Record
from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.kafka_java import java_options
from trunkline.contracts.records import Receipt
from trunkline.errors import InputError
from trunkline.ingest import Target
from trunkline.ingest.chunks import MOST_RECORDS, Chunks
from trunkline.ingest.dead_letters import send_dead_letters
from trunkline.ingest.derived import refresh_tables
from trunkline.ingest.streams import GROUP
from trunkline.ingest.unfolding import unfolded
from trunkline.settings import Settings
from trunkline.settings.engine import EngineSettings
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    import pyarrow as pa

    from trunkline.brokers.kafka import KafkaBroker
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["SparkTask", "watch_by_spark"]

_EVERY_S: Final = 1.0
_SENT: Final = ("lake", "ingest", "privacy", "usecases")
"""Settings that the workers need; no others are sent, because they hold secrets."""


@dataclass(frozen=True)
class SparkTask:
    """Takes the records of one partition in, on a worker.

    Attributes:
        settings: What workers need of the settings; names the workspace by its absolute path.
        usecase: The use case.
        dataset: Its dataset.
        topic: The topic.
        source: Begins the name of each partition among all there are.
        columns: Name in the messages to field name.
    """

    settings: Settings = field(repr=False)
    usecase: str
    dataset: str
    topic: str
    source: str
    columns: dict[str, str]

    def __call__(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Take records in, chunk by chunk; gives a row per chunk: partition, last offset and receipt as JSON."""
        partition, records = _records(batches)
        if not records:
            return
        from trunkline.run.workspace import Workspace

        with Workspace(self.settings) as workspace:
            usecase = workspace.usecase(self.usecase)
            chunks = Chunks(
                Target(self.usecase, self.dataset, usecase.datasets[self.dataset]),
                topic=self.topic,
                partition=partition,
                clock=workspace.clock,
                mapping=self.columns,
                limits=self.settings.ingest,
                unfold=partial(unfolded, unwrap=usecase.envelopes.get(self.dataset)),
            )
            source = f"{self.source}{partition}"
            known = chunks.newest_offset(workspace.lake, source=source)
            records = [one for one in records if one.offset > known]  # an earlier call took the others, or a process
            for begin in range(0, len(records), MOST_RECORDS):
                chunk = records[begin : begin + MOST_RECORDS]
                taken = chunks.take(chunk, workspace.lake, source=source)
                yield _row(partition, chunk[-1].offset, None if taken is None else taken.receipt.model_dump_json())
            if not records:
                yield _row(partition, known, None)


def watch_by_spark(
    workspace: "Workspace", usecase: "UseCase", declared: TopicSource, *, run_id: str, stop: Event, once: bool = False
) -> Iterator[Receipt]:
    """Take in the records of a topic on Spark; else as :func:`~trunkline.run.topic_watch.watch_topic`.

    Raises:
        InputError: The engine is not Spark, Spark lacks the connector, or the address is malformed.
        UnknownNameError: There is no such topic or dataset.
        WorldError: Lake, cluster or Spark did not work; start the watch again, nothing is lost.
    """
    from trunkline.engine.spark import Spark
    from trunkline.run.resolving import dataset_of
    from trunkline.run.topic_watch import group_of, settings_of

    engine = workspace.engine
    if not isinstance(engine, Spark):
        raise InputError(
            "the source is to be read by Spark, and the engine is another",
            where="sources, reader",
            next_step='set engine.name = "spark", or leave reader out',
        )
    from trunkline.brokers.kafka import KafkaBroker
    from trunkline.engine.spark.streams import StreamedTopic, streamed_topic

    dataset = dataset_of(usecase, declared.dataset)
    address = kafka_address(declared.url.get_secret_value(), declared.options)
    options = java_options(address)
    broker = KafkaBroker(settings_of(declared), any_name=True, groups=f"{group_of(declared, usecase.name, dataset)}.")
    try:
        source = broker.source_id(address.topic)
        task = SparkTask(
            settings=_sent(workspace),
            usecase=usecase.name,
            dataset=dataset,
            topic=address.topic,
            source=source[: source.rindex(":") + 1],
            columns=dict(declared.columns),
        )
        topic = StreamedTopic(
            name=address.topic,
            options=options,
            starts=_starts(broker, address.topic),
            checkpoint=_checkpoint(workspace, f"{source} {usecase.table_name(dataset)}"),
            most_records=MOST_RECORDS * broker.partitions(address.topic),
            every_s=_EVERY_S,
        )
        for done in streamed_topic(engine.session, topic, task, _given(), stop=stop, once=once):
            for partition, last, receipt in zip(*(column.to_pylist() for column in done.columns), strict=True):
                told = None if receipt is None else Receipt.model_validate_json(receipt)
                if told is not None and declared.dead_letters:
                    send_dead_letters(
                        broker, declared.dead_letters, of=address.topic, receipt=told, lake=workspace.lake
                    )
                broker.commit(address.topic, group=GROUP, offset=last, partition=partition)
                if told is not None:
                    yield told
            if done.num_rows:
                refresh_tables(
                    usecase, lake=workspace.lake, locks=workspace.folder("locks"), run_id=run_id, clock=workspace.clock
                )
    finally:
        broker.close()


def _given() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("partition", pa.int32()), ("last", pa.int64()), ("receipt", pa.string())])


def _row(partition: int, last: int, receipt: str | None) -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([{"partition": partition, "last": last, "receipt": receipt}], schema=_given())


def _records(batches: "Iterable[pa.RecordBatch]") -> tuple[int, list[Record]]:
    """All records of a task, with offsets as brokers count them: the first is 1."""
    partition, records = 0, list[Record]()
    for batch in batches:
        for at, offset, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            partition = at
            records.append(Record(offset + 1, value or b"", None, 0))
    return partition, records


def _sent(workspace: "Workspace") -> Settings:
    kept = {name: getattr(workspace.settings, name) for name in _SENT}
    return Settings.model_construct(workspace=workspace.root, threads=1, engine=EngineSettings(), **kept)


def _starts(broker: "KafkaBroker", topic: str) -> str:
    """Where Spark begins without a checkpoint: after what the group has done; Kafka's offsets are one less."""
    places = range(broker.partitions(topic))
    return json.dumps({topic: {str(at): broker.committed(topic, group=GROUP, partition=at) or -2 for at in places}})


def _checkpoint(workspace: "Workspace", name: str) -> Path:
    return workspace.folder("spark") / hashlib.sha256(name.encode()).hexdigest()[:24]
