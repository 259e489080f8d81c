"""A topic of Kafka as a stream of Spark: read, and worked on, where Spark's workers are.

Spark Structured Streaming cuts a topic into micro-batches and notes in its checkpoint how far each goes before it
begins, so that one that was interrupted is the same again. Each partition of the topic is a task, in its order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Final, TypeVar, cast

from trunkline.engine.protocol import Engine, MapBatches
from trunkline.engine.spark import Spark
from trunkline.engine.spark.arrow import spark_schema
from trunkline.errors import InputError, TrunklineError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

__all__ = ["MicroBatch", "StreamedTopic", "streamed_topic"]

Given = TypeVar("Given")

_LOOK_S: Final = 0.2


@dataclass(frozen=True)
class StreamedTopic:
    """What is read, and how.

    Attributes:
        name: The topic.
        options: Of Java's client of Kafka; they may hold secrets.
        starts: Where each partition begins, Kafka's offset of the first record, as JSON of Spark; counts where there is
            no checkpoint yet.
        checkpoint: Folder, or URL, in which Spark keeps how far it is; on a cluster all drivers reach it.
        most_records: Records of all partitions that a micro-batch has at most.
        every_s: Least time between two micro-batches, in seconds.
    """

    name: str
    options: Mapping[str, str] = field(repr=False)
    starts: str
    checkpoint: Path
    most_records: int
    every_s: float


@dataclass(frozen=True)
class MicroBatch:
    """Records of a topic that are worked on together.

    Attributes:
        ends: Kafka's offset after the last record, by partition; the same when Spark repeats the micro-batch.
        frame: The records.
    """

    ends: Mapping[int, int]
    frame: DataFrame = field(repr=False)

    def mapped(self, work: MapBatches, schema: pa.Schema) -> pa.Table:
        """Work on the records where Spark's workers are; gives what all partitions gave.

        Args:
            work: Takes the records of one partition in order, as batches of ``partition`` (int32), ``offset`` (int64)
                and ``value`` (binary); gives batches of ``schema``. It travels to the workers. Spark calls it again
                with the same records where a task was interrupted.
            schema: Of what it gives.
        """
        named = self.frame.select("partition", "offset", "value")
        found: pa.Table = named.mapInArrow(work, schema=spark_schema(schema)).toArrow()
        return found


def streamed_topic(
    engine: Engine, topic: StreamedTopic, work: Callable[[MicroBatch], Given], *, stop: Event, once: bool
) -> Iterator[Given | None]:
    """Work on the records of a topic, micro-batch by micro-batch.

    Args:
        engine: One that streams topics, see its capabilities.
        topic: The topic.
        work: Called in this process, on another thread. Spark notes a micro-batch as done when it has returned, and
            calls it again with the same micro-batch where it did not.
        stop: Ends the stream when it is set.
        once: End when all that is there now has been read.

    Yields:
        What the work gave, of each micro-batch; None after a look at the topic that had nothing new.

    Raises:
        InputError: Spark lacks the connector.
        UnavailableError: The stream ended by a fault; begun again it goes on.
        TrunklineError: What the work raised.
    """
    assert isinstance(engine, Spark)
    done: SimpleQueue[Given] = SimpleQueue()
    faults: list[TrunklineError] = []

    def take(frame: DataFrame, number: int) -> None:
        try:
            done.put(work(MicroBatch(_ends(topic, number), frame)))
        except TrunklineError as error:
            faults.append(error)
            raise

    with _told(topic.name):
        reader = engine.session.readStream.format("kafka").options(
            **{f"kafka.{name}": value for name, value in topic.options.items()},
            subscribe=topic.name,
            startingOffsets=topic.starts,
            failOnDataLoss="false",  # what retention removed is left out
            maxOffsetsPerTrigger=str(topic.most_records),
        )
        writer = reader.load().writeStream.foreachBatch(take).option("checkpointLocation", str(topic.checkpoint))
        writer = (
            writer.trigger(availableNow=True) if once else writer.trigger(processingTime=f"{topic.every_s} seconds")
        )
        query = writer.start()
    has_ended, looked_at = False, ""
    try:
        while not has_ended and not stop.is_set():
            try:
                with _told(topic.name):
                    has_ended = bool(query.awaitTermination(cast("int", _LOOK_S)))  # takes parts of seconds
            except TrunklineError as error:
                faults.append(error)
                has_ended = True
            while not done.empty():
                yield done.get()
            progress = None if has_ended else query.lastProgress  # of a look that the cluster has answered
            if progress is not None and progress["timestamp"] != looked_at:
                looked_at = progress["timestamp"]
                yield None
        query.stop()
        while not done.empty():  # what was done while it stopped
            yield done.get()
    finally:
        query.stop()
    if faults and not stop.is_set():  # a stop interrupts the work, which is done again
        raise faults[0]


def _ends(topic: StreamedTopic, number: int) -> Mapping[int, int]:
    """Where a micro-batch ends, as Spark noted it before it began the micro-batch: the last line is of the source."""
    noted = (topic.checkpoint / "offsets" / str(number)).read_text(encoding="utf-8").splitlines()[-1]
    return {int(partition): int(end) for partition, end in json.loads(noted)[topic.name].items()}


@contextmanager
def _told(topic: str) -> Iterator[None]:
    """Tell a missing connector from other troubles; texts of Spark may hold what nobody should read."""
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        if "Failed to find data source: kafka" in str(error):
            raise InputError(
                "this Spark cannot read Kafka: its connector is missing",
                where="engine.options",
                next_step="name the archives that `scripts/maven.sh spark_kafka` fetches by the option spark.jars",
            ) from error
        raise UnavailableError(
            f"the stream of Spark ended ({type(error).__name__})",
            where=f"topic {topic}",
            next_step="see Spark's log, then start it again; nothing is lost",
        ) from error
