"""A declared topic of Kafka, opened for one of its readers: the built-in one, of which many share it, or Spark's."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from trunkline.brokers.kafka_address import kafka_address
from trunkline.errors import InputError
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake
from trunkline.ingest.unfolding import Unfold
from trunkline.lake.locks import held, shared
from trunkline.run.resolving import dataset_of
from trunkline.settings.brokers import BrokerSettings
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    from trunkline.brokers.kafka import KafkaBroker
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["DeclaredTopic", "group_of", "opened_topic"]


@dataclass(frozen=True)
class DeclaredTopic:
    """A declared topic whose cluster answers.

    Attributes:
        name: The topic.
        dataset: The dataset that its records go to.
        settings: How its cluster is spoken to.
        group: The group whose members take each record once.
        broker: Its cluster.
        name_here: Names topic and table among all there are; short, fit for a file.
        intake: Opens the intake of a partition.
    """

    name: str
    dataset: str
    settings: BrokerSettings
    group: str
    broker: "KafkaBroker"
    name_here: str
    intake: Callable[[int], TopicIntake]


def group_of(declared: TopicSource, *, usecase: str, dataset: str) -> str:
    """Name the group whose members take each record of a topic once.

    Args:
        declared: The topic.
        usecase: The use case that takes it in.
        dataset: Its dataset.
    """
    return declared.group or f"trunkline.{usecase}.{dataset}"


@contextmanager
def opened_topic(
    workspace: "Workspace", usecase: "UseCase", declared: TopicSource, *, alone: bool
) -> Iterator[DeclaredTopic]:
    """Open a declared topic for a ``with`` block.

    Args:
        workspace: The workspace.
        usecase: The use case that takes the records in.
        declared: The topic, and what is said of it.
        alone: Whether its reader takes all partitions itself; the others share them as members of the group.

    Raises:
        InputError: The address is malformed or names no topic, or the cluster refuses this client.
        UnknownNameError: There is no such topic or dataset.
        MissingExtraError: The extra ``kafka`` is not installed.
        BusyError: One reads it alone, or another has to.
        UnavailableError: The cluster does not answer.
    """
    from trunkline.brokers.kafka import KafkaBroker

    dataset = dataset_of(usecase, declared.dataset)
    name = kafka_address(declared.url.get_secret_value(), declared.options).topic
    if not name:
        raise InputError(
            "the address names no topic", where="the source", allowed=("kafka://host:9092/TOPIC",), next_step="add it"
        )
    settings = BrokerSettings(url=declared.url, options=declared.options, timeout_s=declared.timeout_s)
    group = group_of(declared, usecase=usecase.name, dataset=dataset)
    with closing(KafkaBroker(settings, any_name=True, groups=f"{group}.")) as broker:
        place = f"{broker.source_id(name)} {usecase.table_name(dataset)}"  # refused where there is no such topic
        name_here = hashlib.sha256(place.encode()).hexdigest()[:24]
        lock = workspace.folder("locks") / f"topic-{name_here}.lock"
        with (held if alone else shared)(lock, what=f"topic {name}, which Spark reads alone or processes share"):
            intake = partial(
                TopicIntake,
                broker,
                Target(usecase.name, dataset, usecase.datasets[dataset]),
                clock=workspace.clock,
                mapping=declared.columns,
                limits=workspace.settings.ingest,
                topic=name,
                unfold=Unfold(usecase.envelopes.get(dataset)),
                dead_letters=declared.dead_letters,
            )
            yield DeclaredTopic(
                name, dataset, settings, group, broker, name_here, lambda partition: intake(partition=partition)
            )
