"""The suite of ``trunkline.testing`` over every broker there is, and over one that breaks its promises."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from trunkline.brokers import Broker, EmbeddedLog, Message
from trunkline.settings.brokers import BrokerSettings
from trunkline.testing import BROKER_CHECKS, BrokerCheck, BrokerStage


class EmbeddedStage:
    """A log in a folder; each of its topics goes when the file does."""

    def __init__(self, folder: Path, clock: object, *, made_by: type[EmbeddedLog] = EmbeddedLog) -> None:
        self._path = folder / "log.db"
        self._folder = folder
        self._clock = clock
        self._class = made_by
        self._opened: list[Broker] = []

    def open(self) -> Broker:
        self._opened.append(self._class(self._path, settings=BrokerSettings(), clock=self._clock))  # type: ignore[arg-type]  # a clock
        return self._opened[-1]

    def topic(self, name: str) -> str:
        return f"suite.{name}"

    def remake(self, topic: str) -> None:  # noqa: ARG002 - all topics go at once
        self._path.unlink()

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def unavailable(self) -> Broker:
        return self._class(self._folder, settings=BrokerSettings(), clock=self._clock)  # type: ignore[arg-type]  # a folder is no file


checked = pytest.mark.parametrize("check", BROKER_CHECKS, ids=lambda check: check.__name__)


@checked
def test_the_embedded_log_keeps_every_promise(check: BrokerCheck, tmp_path: Path, clock: object) -> None:
    stage: BrokerStage = EmbeddedStage(tmp_path, clock)
    try:
        check(stage)
    finally:
        stage.close()


class Forgetful(EmbeddedLog):
    """A broker that breaks a promise in every check but the last."""

    def publish(self, batches: Mapping[str, Sequence[Message]]) -> Mapping[str, int]:
        known = {topic if topic.isascii() and topic[:1].islower() else "a": batches[topic] for topic in batches}
        return super().publish({topic: list(reversed(messages))[:1] for topic, messages in known.items()})

    def source_id(self, topic: str, *, partition: int = 0) -> str:  # noqa: ARG002 - on purpose
        return "always the same"

    def committed(self, topic: str, *, group: str, partition: int = 0) -> int:  # noqa: ARG002 - on purpose
        return 7


@pytest.mark.parametrize(
    "name",
    [
        "reads_after_an_offset_up_to_a_limit",
        "gives_back_any_bytes",
        "makes_a_topic_by_its_first_message",
        "commits_only_forward",
        "names_a_partition_for_as_long_as_its_offsets_count",
        "refuses_malformed_names",
    ],
)
def test_the_suite_finds_a_broken_promise(name: str, tmp_path: Path, clock: object) -> None:
    [check] = [check for check in BROKER_CHECKS if check.__name__ == name]
    stage = EmbeddedStage(tmp_path, clock, made_by=Forgetful)
    try:
        with pytest.raises(AssertionError):
            check(stage)
    finally:
        stage.close()
