"""A watched MQTT subscription: messages come into the durable log first, and from there into the lake.

MQTT has no places to go back to, so a message is written to the workspace's log and acknowledged then; a repeat of one
that the log holds is left out. From the log the way is that of every topic: each chunk is a batch with a receipt.
Several processes of one workspace share a shared subscription; one of them moves the log into the lake.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from trunkline.brokers import Message, keep_bounded
from trunkline.brokers.mqtt_address import MqttAddress, mqtt_address
from trunkline.brokers.once import Marked, OnceLog
from trunkline.contracts.records import Receipt
from trunkline.errors import BusyError, InputError, UnavailableError
from trunkline.ingest import Target
from trunkline.ingest.derived import refresh_tables
from trunkline.ingest.own_device import OwnDevice
from trunkline.ingest.streams import TopicIntake, topic_of
from trunkline.ingest.unfolding import unfolded
from trunkline.run.resolving import dataset_of
from trunkline.run.topic_notes import Looked
from trunkline.settings.drills import point
from trunkline.spec.sources import TopicSource

if TYPE_CHECKING:
    from trunkline.brokers.mqtt import MqttReceiver, Received
    from trunkline.run.workspace import Workspace
    from trunkline.spec import Unwrap, UseCase

__all__ = ["CRASH_POINTS", "mqtt_topic", "watch_mqtt"]

CRASH_POINTS: Final = ("mqtt.before_log", "mqtt.after_log", "mqtt.after_acknowledgement")
"""Points at which a drill kills a consumer, beside those of the log and of the intake."""

_EVERY_S: Final = 1.0
_QUIET_S: Final = 2.0
_LOOK_S: Final = 0.2
_AT_ONCE: Final = 1_000
_MOST_PROCESSES: Final = 64
_FORGET_EVERY: Final = 60


def watch_mqtt(
    workspace: "Workspace",
    usecase: "UseCase",
    declared: TopicSource,
    *,
    run_id: str,
    stop: threading.Event,
    once: bool,
    looked: Looked,
) -> Iterator[Receipt]:
    """Take in the messages of a subscription, about once a second what is there by then.

    Args:
        workspace: The workspace.
        usecase: The use case that takes the records in.
        declared: The subscription, and what is said of it.
        run_id: The run that derived tables carry.
        stop: Ends the watch when it is set, after what is durable here has been taken in.
        once: End when nothing more comes, and all has been taken in.
        looked: Told of each turn of the one process that moves messages into the lake.

    Yields:
        The receipt of each chunk.

    Raises:
        InputError: The address is malformed, or the broker refuses this client.
        UnknownNameError: There is no such dataset.
        MissingExtraError: The extra ``mqtt`` is not installed.
        BusyError: Another process reads this subscription, and it is not shared.
        WorldError: Lake, log or broker did not work; start the watch again, nothing is lost.
    """
    from trunkline.brokers.mqtt import MqttReceiver
    from trunkline.serve import DEVICES
    from trunkline.serve.devices import DeviceRegistry

    address = mqtt_address(declared.url.get_secret_value(), declared.options)
    dataset = dataset_of(usecase, declared.dataset)
    name = _name(address, usecase=usecase.name, dataset=dataset)
    topic = mqtt_topic(address, usecase=usecase.name, dataset=dataset)
    with ExitStack() as closing:
        slot = closing.enter_context(_slot(workspace.folder("locks"), name, address))
        log = _log(workspace)
        closing.callback(log.close)
        intake = TopicIntake(
            log,
            Target(usecase.name, dataset, usecase.datasets[dataset]),
            clock=workspace.clock,
            mapping=declared.columns,
            limits=workspace.settings.ingest,
            topic=topic,
        )
        receiver = MqttReceiver(
            address, client_id=address.client_id or f"trunkline-{name}-{slot}", timeout_s=declared.timeout_s
        )
        registry = DeviceRegistry(workspace.root / DEVICES, clock=workspace.clock)
        closing.callback(registry.close)
        own = OwnDevice(usecase.datasets[dataset], mapping=declared.columns)
        _refuse_level(address, own)
        unwrap = usecase.envelopes.get(dataset)
        hop = _Hop(
            receiver,
            log,
            topic,
            lines=partial(_lines, unwrap=unwrap, level=address.device_level, own=own, saw=registry.saw),
        )
        receiver.start()
        closing.callback(receiver.close)
        hop.start()
        closing.callback(hop.stop)
        mine = closing.enter_context(ExitStack())
        is_mine = False
        for turn in count():
            begun = monotonic()
            ending = stop.is_set() or (once and hop.is_quiet)
            if once and hop.away_s > declared.timeout_s:
                raise UnavailableError("the MQTT broker has gone", where=address.where, next_step="start it again")
            if ending:
                hop.stop()  # what came before is in the log now
            is_mine = is_mine or _take_over(mine, workspace.folder("locks") / f"mqtt-{name}.lake.lock")
            taken = False
            if is_mine:
                for one in intake.drain(workspace.lake):
                    taken = True
                    yield one.receipt
                    hop.refuse_broken()
                    keep_bounded(log, now=workspace.clock())
            if taken:
                refresh_tables(
                    usecase,
                    lake=workspace.lake,
                    locks=workspace.folder("locks"),
                    run_id=run_id,
                    clock=workspace.clock,
                )
            hop.refuse_broken()
            if is_mine and receiver.is_connected:
                looked(leads=True)
            if ending:
                return
            if not taken:
                keep_bounded(log, now=workspace.clock())
            if turn % _FORGET_EVERY == 0:
                log.forget(now=workspace.clock())
            stop.wait(_LOOK_S if once else max(0.0, _EVERY_S - (monotonic() - begun)))


def mqtt_topic(address: MqttAddress, *, usecase: str, dataset: str) -> str:
    """Name the topic of the durable log that messages of a subscription wait in.

    Args:
        address: The subscription.
        usecase: The use case that takes it in.
        dataset: Its dataset.
    """
    return f"{topic_of(usecase, dataset)[:60]}.mqtt-{_name(address, usecase=usecase, dataset=dataset)}"


class _Hop(threading.Thread):
    """Brings messages from a subscription into the log, and acknowledges them."""

    def __init__(
        self, receiver: "MqttReceiver", log: OnceLog, topic: str, *, lines: "Callable[[Received], bytes]"
    ) -> None:
        super().__init__(name="mqtt", daemon=True)
        self._receiver = receiver
        self._log = log
        self._topic = topic
        self._lines = lines
        self._ending = threading.Event()
        self._idle_turns = 0
        self._failure: Exception | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came for a while, from a broker that answers."""
        return self._receiver.is_connected and self._idle_turns * _LOOK_S >= _QUIET_S

    @property
    def away_s(self) -> float:
        """For how long the broker has not answered, seconds."""
        return 0.0 if self._receiver.is_connected else self._idle_turns * _LOOK_S

    def refuse_broken(self) -> None:
        """Raise what ended the thread."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Write down what was taken, and end."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Take, write, acknowledge, until told to stop."""
        try:
            while not self._ending.is_set():
                messages = self._receiver.take(limit=_AT_ONCE, wait_s=_LOOK_S)
                self._idle_turns = 0 if messages else self._idle_turns + 1
                if messages:
                    self._keep(messages)
        except Exception as error:  # noqa: BLE001 - raised in the thread that watches
            self._failure = error

    def _keep(self, messages: "Sequence[Received]") -> None:
        point("mqtt.before_log")
        marked = [Marked(Message(self._lines(one), one.topic.encode()), one.marks) for one in messages if one.payload]
        while marked:
            try:
                self._log.publish_once(self._topic, marked)
                break
            except UnavailableError:  # a full disk or log: the broker keeps what is not acknowledged
                if self._ending.wait(_EVERY_S):
                    return
        point("mqtt.after_log")
        self._receiver.done(messages)
        point("mqtt.after_acknowledgement")


def _log(workspace: "Workspace") -> OnceLog:
    """The durable log of the workspace, sealed where any contract protects personal data, as a server opens it."""
    contracts = [contract for one in workspace.installed().usecases.values() for contract in one.contracts.values()]
    return OnceLog(
        workspace.folder("log") / "log.db",
        settings=workspace.settings.broker,
        clock=workspace.clock,
        keys=workspace.keys,
        seals=workspace.keys.is_encrypted(*contracts),
    )


def _lines(
    message: "Received", *, unwrap: "Unwrap | None", level: int, own: OwnDevice, saw: Callable[[str], None]
) -> bytes:
    """The records of a message, a line each; those of another device than its topic names are none."""
    found = unfolded(message.payload, unwrap=unwrap)
    levels = message.topic.split("/")
    if not 0 < level <= len(levels):
        return found
    saw(levels[level - 1])
    return own.kept(found, levels[level - 1])


def _name(address: MqttAddress, *, usecase: str, dataset: str) -> str:
    """Name a subscription among those of a workspace; the group and the secrets do not make it another one."""
    wanted = address.filter.split("/", 2)[2] if address.group else address.filter
    whole = f"{address.host}:{address.port}/{wanted} {usecase}.{dataset}"
    return hashlib.sha256(whole.encode()).hexdigest()[:10]


@contextmanager
def _slot(locks: Path, name: str, address: MqttAddress) -> Iterator[int]:
    """Hold one of the numbers under which processes read a subscription; one that went on after another gets its own.

    Raises:
        BusyError: Another process reads it, and it is not shared.
    """
    from trunkline.lake import held

    holder = ""
    for number in range(_MOST_PROCESSES if address.group else 1):
        with ExitStack() as stack:
            try:
                stack.enter_context(held(locks / f"mqtt-{name}-{number}.lock", what="an MQTT subscription"))
            except BusyError as error:
                holder = error.holder
                continue
            yield number
            return
    raise BusyError(
        "another process of this workspace reads this subscription",
        holder=holder,
        where=address.where,
        next_step=f"share it between several: $share/GROUP/{address.filter}",
    )


def _refuse_level(address: MqttAddress, own: OwnDevice) -> None:
    """Refuse to compare a level with a field that the contract does not have.

    Raises:
        InputError: It has none.
    """
    if address.device_level and not own.field:
        raise InputError("records of this dataset are of no device", where="option device_level", allowed=("0",))


def _take_over(stack: ExitStack, path: Path) -> bool:
    """Become the process that moves the log into the lake, if none is."""
    from trunkline.lake import held

    try:
        stack.enter_context(held(path, what="moving MQTT messages into the lake"))
    except BusyError:
        return False
    return True
