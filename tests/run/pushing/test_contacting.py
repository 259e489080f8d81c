"""Who of an audience is contacted, by the real command over a real lake."""

import csv
import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pyarrow as pa
import pytest

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract, Flag, Instant, Integer, Table, Text, field
from trunkline.run.contacting import consents_of
from trunkline.run.pushing import LEDGER, PushLedger

if TYPE_CHECKING:
    from tests.run.pushing.conftest import Campaigns, PushService

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def contact(campaigns: "Campaigns", *options: str, code: int = 0) -> dict[str, Any]:
    found_code, out, err = campaigns.trunkline("contact", "upgrade", *options, "--workspace", campaigns.root, "--json")
    assert found_code == code, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_campaign_is_decided_once_and_a_dry_run_decides_nothing(campaigns: "Campaigns", tmp_path: Path) -> None:
    campaigns.audience("run-1", ["a", "b", "c", "d"], holdout=["d"])
    campaigns.consents(tmp_path, ("a", True), ("b", False), ("d", True))
    would = contact(campaigns, "--dry-run", "--out", str(tmp_path / "who.csv"))
    assert (would["sent"], would["withheld"], would["known"]) == (1, {"holdout": 1, "no_consent": 2}, False)
    rows = {row["entity_key"]: row["reason"] for row in csv.DictReader((tmp_path / "who.csv").read_text().splitlines())}
    assert rows == {"a": "", "b": "no_consent", "c": "no_consent", "d": "holdout"}
    with campaigns.open() as workspace:
        assert not workspace.lake.exists("platform.messages")
    first = contact(campaigns)
    assert (first["sent"], first["known"]) == (1, False)
    campaigns.consents(tmp_path, ("b", True), at="2026-02-01T00:00:00Z")
    again = contact(campaigns)
    assert (again["sent"], again["known"]) == (1, True), "decided once, whatever is said later"
    with campaigns.open() as workspace:
        assert workspace.lake.arrow("platform.messages").num_rows == 4


def test_the_newest_word_on_the_channel_counts(campaigns: "Campaigns", tmp_path: Path) -> None:
    campaigns.audience("run-1", ["a", "b"])
    campaigns.consents(tmp_path, ("a", True), ("b", True))
    campaigns.consents(tmp_path, ("a", False), at="2026-02-01T00:00:00Z")
    campaigns.consents(tmp_path, ("b", False), channel="sms", at="2026-03-01T00:00:00Z")
    assert contact(campaigns)["withheld"] == {"no_consent": 1}


def test_a_word_of_tomorrow_does_not_stand_against_one_of_today(campaigns: "Campaigns", tmp_path: Path) -> None:
    campaigns.audience("run-1", ["a"])
    campaigns.consents(tmp_path, ("a", True), at="2062-01-01T00:00:00Z")
    campaigns.consents(tmp_path, ("a", False))
    assert contact(campaigns)["withheld"] == {"no_consent": 1}


class Word(Contract):
    """What a customer says of a channel; a later version may say that it is taken back."""

    table: ClassVar[Table] = Table(key=("subscriber_id",), event_at="said_at", ordered_by="version", deleted="gone")

    subscriber_id: Text = field()
    channel: Text | None = field()
    given: Flag | None = field()
    said_at: Instant | None = field()
    version: Integer = field()
    gone: Flag | None = field()


@pytest.mark.parametrize("channel", ["push", None])
@pytest.mark.parametrize("at", [NOW, None])
def test_a_word_that_is_taken_back_permits_nothing(
    channel: str | None, at: datetime | None, campaigns: "Campaigns"
) -> None:
    rows = [
        ("a", "push", True, NOW, 1, False),
        ("a", channel, True, at, 2, True),
        ("b", "push", True, NOW, 1, None),
        ("c", "push", True, NOW, 3, False),
        ("c", "push", False, NOW, 2, True),
    ]
    schema = arrow_schema(Word)
    with campaigns.open() as workspace:
        usecase = workspace.usecase("upgrade")
        usecase = replace(usecase, datasets={**usecase.datasets, "consents": Word})
        made = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
        made = made.append_column("_ingested_at", pa.array([NOW] * len(rows), pa.timestamp("us", "UTC")))
        made = made.append_column("_row", pa.array(range(len(rows)), pa.int64()))
        workspace.lake.append("upgrade.consents", made)
        found = consents_of(workspace, usecase)
    assert found is not None
    assert sorted(found.to_pylist(), key=str) == [
        {"entity_key": "b", "given": True},
        {"entity_key": "c", "given": True},
    ]


def test_sinks_that_take_no_messages_are_refused_before_anything_is_decided(
    campaigns: "Campaigns", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns.audience("run-1", ["a"])
    campaigns.consents(tmp_path, ("a", True))
    monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__ALL__URL", f"sqlite:///{tmp_path / 'all.db'}")
    for sinks, said in (
        ('["nobody"]', "there is no sink 'nobody'"),
        ('["all"]', "does not take the table of messages"),
    ):
        monkeypatch.setenv("TRUNKLINE_MESSAGES__SINKS", sinks)
        code, _, err = campaigns.trunkline("contact", "upgrade", "--workspace", campaigns.root)
        assert (code, said in " ".join(err.split())) == (2, True), err
    monkeypatch.setenv("TRUNKLINE_MESSAGES__SINKS", "all")
    code, _, err = campaigns.trunkline("contact", "upgrade", "--workspace", campaigns.root)
    assert (code, "cannot be read" in err) == (2, True), err
    monkeypatch.delenv("TRUNKLINE_MESSAGES__SINKS")
    assert contact(campaigns)["known"] is False
    _, out, _ = campaigns.trunkline("publish", "upgrade", "--workspace", campaigns.root, "--json")
    published = re.findall(r'"publication": ?"(\w+)"', out)
    assert published
    assert "messages" not in published


def test_the_cap_holds_over_campaigns(campaigns: "Campaigns", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_MESSAGES__CAP", "1")
    campaigns.audience("run-1", ["a", "b"], days_old=1)
    campaigns.audience("run-2", ["b", "c"])
    campaigns.consents(tmp_path, ("a", True), ("b", True), ("c", True))
    assert contact(campaigns, "--campaign", "run-1")["sent"] == 2
    newest = contact(campaigns)
    assert (newest["campaign"], newest["sent"], newest["withheld"]) == ("run-2", 1, {"capped": 1})


def test_a_folder_that_is_not_there_is_refused_before_anything_is_decided(
    campaigns: "Campaigns", tmp_path: Path
) -> None:
    campaigns.audience("run-1", ["a"])
    campaigns.consents(tmp_path, ("a", True))
    out = tmp_path / "nowhere" / "who.csv"
    code, _, err = campaigns.trunkline("contact", "upgrade", "--out", str(out), "--workspace", campaigns.root)
    assert code == 2
    assert "the folder of the file does not exist" in err
    assert not out.parent.exists()
    with campaigns.open() as workspace:
        assert not workspace.lake.exists("platform.messages")


def test_what_cannot_be_is_said(campaigns: "Campaigns") -> None:
    for asked, said in (
        (("contact", "upgrade"), "has no audience yet"),
        (("contact", "house_prices"), "has no audience"),
        (("contact", "nothing"), "no use case"),
    ):
        code, _, err = campaigns.trunkline(*asked, "--workspace", campaigns.root)
        assert code == 2
        assert said in " ".join(err.split())


@pytest.mark.slow
def test_messages_leave_to_the_sinks_and_become_pushes(
    campaigns: "Campaigns", tmp_path: Path, service: "PushService", monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the decision over a webhook to the push service: all parts are the real ones, on loopback."""
    campaigns.audience("run-1", ["a", "b", "c"], holdout=["c"])
    campaigns.consents(tmp_path, ("a", True), ("b", True), ("c", True))
    monkeypatch.setenv("TRUNKLINE_MESSAGES__PUSH__PORT", "0")
    command = [sys.executable, "-m", "trunkline", "push", "--workspace", str(campaigns.root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            url = server.stderr.readline().split()[-1]
            assert url.startswith("http://127.0.0.1:")
            monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__PUSH__URL", url)
            monkeypatch.setenv("TRUNKLINE_PUBLISH__SINKS__PUSH__TABLES", "messages")
            monkeypatch.setenv("TRUNKLINE_MESSAGES__SINKS", '["push"]')
            service.refuses.add("b")
            monkeypatch.setenv("TRUNKLINE_PUBLISH__ATTEMPTS", "1")
            (owed,) = contact(campaigns, code=1)["published"]
            assert owed["state"] == "owed"
            assert [customer for customer, _ in service.pushed] == ["a"]
            service.refuses.clear()
            (delivered,) = contact(campaigns)["published"]
            assert (delivered["state"], delivered["rows"]) == ("delivered", 2)
            (unchanged,) = contact(campaigns)["published"]
            assert unchanged["state"] == "unchanged"
            assert sorted(customer for customer, _ in service.pushed) == ["a", "b"], (
                "each once, and not who is held out"
            )
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def test_an_audience_that_is_ready_is_told(
    campaigns: "Campaigns", service: "PushService", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__TEAM__URL", f"json://127.0.0.1:{service.port}/team")
    monkeypatch.setenv("TRUNKLINE_NOTIFY__TARGETS__TEAM__LEAST", "info")
    campaigns.audience("run-1", ["a", "b", "c"], holdout=["c"])
    for _ in range(2):
        assert campaigns.trunkline("notify", "--workspace", campaigns.root)[0] == 0
    assert service.pushed == [("team", "upgrade: an audience of 3 is ready")]


@pytest.mark.slow
def test_what_was_decided_and_pushed_of_a_person_goes_with_the_person(campaigns: "Campaigns", tmp_path: Path) -> None:
    campaigns.audience("run-1", ["a", "b"])
    campaigns.consents(tmp_path, ("a", True), ("b", True))
    assert contact(campaigns)["sent"] == 2
    with campaigns.open() as workspace:
        ledger = PushLedger(workspace.folder("push").parent / LEDGER)
    now = datetime.now(UTC)
    for key in ("a", "b"):
        ledger.settle(f"m-{key}", key, "pushed", now=now)
    code, out, err = campaigns.trunkline("maintain", "--erase", "subscriber=a", "--workspace", campaigns.root, "--json")
    assert code == 0, err
    (tables,) = re.findall(r'"tables": (\{[^{}]*\})', out)
    erased = json.loads(tables)
    assert {name: erased[name] for name in ("platform.messages", "upgrade.messages", "platform.audiences", LEDGER)} == {
        "platform.messages": 1, "upgrade.messages": 1, "platform.audiences": 1, LEDGER: 1,
    }  # fmt: skip
    with campaigns.open() as workspace:
        assert workspace.lake.arrow("platform.messages").column("entity_key").to_pylist() == ["b"]
    assert ledger.outcome("m-a") is None
    assert ledger.outcome("m-b") == "pushed"
    ledger.close()
