"""Dead letters: rows of persons stay where an erasure finds them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.brokers import EmbeddedLog, Message
from trunkline.contracts import Contract, Integer, Text, field
from trunkline.ingest import Target
from trunkline.ingest.streams import TopicIntake
from trunkline.lake import Lake
from trunkline.run.erasing.person import brokers_of
from trunkline.settings import load_settings
from trunkline.settings.brokers import BrokerSettings


class Calls(Contract):
    """Calls, with the number in clear."""

    number: Text = field("Who called", pii="msisdn")
    seconds: Integer = field("How long", minimum=0)


class Cells(Contract):
    """No person's."""

    number: Text = field("Which")
    seconds: Integer = field("How long", minimum=0)


@pytest.mark.parametrize(("contract", "row"), [(Calls, None), (Cells, {"number": "0049", "seconds": "-1"})])
def test_a_dead_letter_has_no_row_of_a_person(
    lake: Lake, tmp_path: Path, contract: type[Contract], row: dict[str, object] | None
) -> None:
    log = EmbeddedLog(tmp_path / "log.db", settings=BrokerSettings(), clock=lambda: datetime.now(UTC))
    log.publish({"calls": [Message(b'{"number": "0049", "seconds": -1}')]})
    intake = TopicIntake(
        log,
        Target("phone", "calls", contract),
        clock=lambda: datetime.now(UTC),
        topic="calls",
        dead_letters="dead",
    )
    [taken] = intake.drain(lake)
    assert taken.receipt.quarantined == 1
    [letter] = log.read("dead", after=0, limit=9)
    assert json.loads(letter.value)["row"] == row
    log.close()


def test_an_erasure_names_dead_letter_topics_as_out_of_reach() -> None:
    phones = {"kind": "topic", "usecase": "sensors", "url": "kafka://one/phones", "dead_letters": "dead"}
    assert brokers_of(load_settings(sources={"phones": phones})) == ("sources.phones.dead_letters",)
