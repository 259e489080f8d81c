"""How far the declared topics are ahead of the lake: asked of their brokers, whoever consumes them, or nobody.

Each topic is asked in a thread of its own and at most every so often; who looks gets what was answered last and waits
for no broker. Of Kafka it is the records between the group's place and the end of each partition; of MQTT, which has no
places, the messages that are durable here and not in the lake yet. What an MQTT broker still keeps nobody but it knows.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trunkline.brokers import Broker, EmbeddedLog
from trunkline.brokers.kafka_address import kafka_address
from trunkline.brokers.mqtt_address import MQTT_SCHEMES, mqtt_address
from trunkline.errors import TrunklineError
from trunkline.ingest.streams import GROUP
from trunkline.run.declared_topics import group_of
from trunkline.run.mqtt_watch import mqtt_topic
from trunkline.run.resolving import dataset_of
from trunkline.settings.brokers import BrokerSettings
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    from trunkline.run.workspace import Workspace
    from trunkline.spec import UseCase

__all__ = ["TopicLag", "TopicLags"]

_LONGEST_S: Final = 5.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TopicLag:
    """How a declared topic stands.

    Attributes:
        source: Its name in the settings.
        usecase: The use case that takes it in.
        dataset: The dataset.
        waiting: Records that the lake does not hold yet; None where nobody has answered yet.
        asked_at: When that was asked, UTC; what came since may not be counted.
        problem: Why the last question was not answered; empty where it was.
    """

    source: str
    usecase: str
    dataset: str
    waiting: int | None = None
    asked_at: datetime | None = None
    problem: str = ""


class TopicLags:
    """Asks the brokers of the declared topics.

    Args:
        workspace: Declares the topics; its durable log holds messages of MQTT.
        usecases: Those that are installed; a topic of another one is left out.
        every_s: Least time between two questions about a topic, in seconds.
    """

    def __init__(self, workspace: "Workspace", usecases: "Mapping[str, UseCase]", *, every_s: float = 1.0) -> None:
        self._workspace = workspace
        self._every_s = every_s
        self._lock = threading.Lock()
        self._topics = {
            name: (usecases[one.usecase], one)
            for name, one in workspace.settings.sources.items()
            if isinstance(one, TopicSource) and one.usecase in usecases
        }
        self._known: dict[str, TopicLag] = {}
        for name, (usecase, declared) in self._topics.items():
            with suppress(TrunklineError):  # the doctor tells of a dataset that does not exist
                self._known[name] = TopicLag(name, usecase.name, dataset_of(usecase, declared.dataset))
        self._asked_s = dict.fromkeys(self._known, -every_s)
        self._under_way: dict[str, Future[None]] = {}
        self._counts: dict[str, tuple[Broker, Callable[[], int]]] = {}
        self._threads = ThreadPoolExecutor(max(1, len(self._known)), "topic-lags")

    def look(self) -> tuple[TopicLag, ...]:
        """Say what was answered last, and ask again."""
        with self._lock:
            now_s = time.monotonic()
            for name in self._known:
                running = self._under_way.get(name)
                if (running is None or running.done()) and now_s - self._asked_s[name] >= self._every_s:
                    self._asked_s[name] = now_s
                    self._under_way[name] = self._threads.submit(self._ask, name)
            return tuple(self._known.values())

    def close(self) -> None:
        """Let go of the brokers, when the questions that are under way are answered."""
        self._threads.shutdown(cancel_futures=True)
        for broker, _ in self._counts.values():
            broker.close()
        self._counts.clear()

    def _ask(self, name: str) -> None:
        """Ask about one topic, in its thread."""
        said = replace(self._known[name], problem="")
        try:
            if name not in self._counts:
                self._counts[name] = self._opened(name)
            asked_at = self._workspace.clock()
            said = replace(said, waiting=self._counts[name][1](), asked_at=asked_at)
        except TrunklineError as error:
            said = replace(said, problem=error.what)
        except Exception as error:  # whatever it is, it is shown and logged, and asked again
            _logger.exception("the lag of a topic could not be asked")
            said = replace(said, problem=type(error).__name__)
        with self._lock:
            self._known[name] = said

    def _opened(self, name: str) -> tuple[Broker, Callable[[], int]]:
        """Open the broker of a topic; gives it, and what counts the topic's waiting records."""
        usecase, declared = self._topics[name]
        dataset, url = self._known[name].dataset, declared.url.get_secret_value()
        if url.startswith(MQTT_SCHEMES):
            topic = mqtt_topic(mqtt_address(url, declared.options), usecase=usecase.name, dataset=dataset)
            settings = self._workspace.settings.broker
            log = EmbeddedLog(self._workspace.folder("log") / "log.db", settings=settings, clock=self._workspace.clock)
            return log, lambda: _waiting(log, topic)
        from trunkline.brokers.kafka import KafkaBroker

        topic = kafka_address(url, declared.options).topic
        broker = KafkaBroker(
            BrokerSettings(url=declared.url, options=declared.options, timeout_s=min(declared.timeout_s, _LONGEST_S)),
            any_name=True,
            groups=f"{group_of(declared, usecase=usecase.name, dataset=dataset)}.",
        )
        return broker, lambda: _waiting(broker, topic)


def _waiting(broker: Broker, topic: str) -> int:
    """Records of a topic that the lake does not hold yet."""
    return sum(
        max(0, broker.end(topic, partition=one) - broker.committed(topic, group=GROUP, partition=one))
        for one in range(broker.partitions(topic))
    )
