"""A topic of Kafka as a stream of Spark: read, and worked on, where Spark's workers are.

Spark Structured Streaming cuts a topic into micro-batches and notes in its checkpoint how far each goes before it
begins, so that one that was interrupted is the same again. Each partition of the topic is a task, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Final, cast

from trunkline.engine.protocol import MapBatches
from trunkline.engine.spark.arrow import spark_schema
from trunkline.errors import InputError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["StreamedTopic", "streamed_topic"]

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


def streamed_topic(
    session: SparkSession, topic: StreamedTopic, work: MapBatches, schema: pa.Schema, *, stop: Event, once: bool
) -> Iterator[pa.Table]:
    """Work on the records of a topic, micro-batch by micro-batch.

    Args:
        session: The session.
        topic: The topic.
        work: Takes the records of one partition in order, as batches of ``partition`` (int32), ``offset`` (int64) and
            ``value`` (binary); gives batches of ``schema``. It travels to the workers. Spark calls it again with the
            same records where a task or the process was interrupted.
        schema: Of what it gives.
        stop: Ends the stream when it is set.
        once: End when all that is there now has been read.

    Yields:
        What the tasks of a micro-batch gave.

    Raises:
        InputError: Spark lacks the connector.
        UnavailableError: The stream ended by a fault; begun again it goes on.
    """
    done: SimpleQueue[pa.Table] = SimpleQueue()
    kind = spark_schema(schema)

    def take(frame: DataFrame, _number: int) -> None:
        done.put(frame.select("partition", "offset", "value").mapInArrow(work, schema=kind).toArrow())

    with _told(topic.name):
        reader = session.readStream.format("kafka").options(
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
    try:
        while True:
            with _told(topic.name):
                has_ended = query.awaitTermination(cast("int", _LOOK_S))  # takes parts of seconds
            while not done.empty():
                yield done.get()
            if has_ended or stop.is_set():
                return
    finally:
        query.stop()


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
