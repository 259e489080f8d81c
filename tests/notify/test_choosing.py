"""Who is told what, now: a rule at a time, and together that nobody is told twice."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from trunkline.contracts.records import Alert, Notification, RunRecord
from trunkline.notify import Notice, choose, cloud_event, notice_of_alert, notice_of_run, words_of
from trunkline.settings.notify import NotifySettings, NotifyTarget, NotifyTemplate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def alert(
    number: int, *, title: str = "late", minutes: float = 0, usecase: str = "churn", severity: str = "major"
) -> Notice:
    said = {"alert_id": f"{number:03d}", "run_id": "run-1", "usecase": usecase, "severity": severity, "title": title}
    raised_at = NOW - timedelta(minutes=minutes)
    return notice_of_alert(Alert.model_validate({**said, "text": "why", "raised_at": raised_at}))


def run(state: str, document: str = "{}") -> Notice | None:
    began = NOW - timedelta(seconds=42)
    return notice_of_run(
        RunRecord.model_validate(
            {"run_id": "r1", "usecase": "churn", "state": state, "started_at": began, "changed_at": NOW,
             "code_version": "1", "document": document}
        )
    )  # fmt: skip


def target(**changes: object) -> NotifyTarget:
    return NotifyTarget.model_validate({"url": "json://127.0.0.1", **changes})


def settings(**targets: NotifyTarget) -> NotifySettings:
    return NotifySettings.model_validate({"targets": targets})


def ledger(notice: Notice, state: str, *, minutes: float = 0, to: str = "team") -> Notification:
    return Notification.model_validate(
        {"notice_id": notice.notice_id, "target": to, "subject": notice.subject, "state": state, "attempts": 3,
         "changed_at": NOW - timedelta(minutes=minutes)}
    )  # fmt: skip


def test_runs_are_told_by_how_they_ended() -> None:
    assert run("started") is None
    finished, refused, failed = run("finished"), run("refused", '{"failed": ["calibration"]}'), run("failed", "{}")
    assert finished is not None
    assert refused is not None
    assert failed is not None
    assert (finished.kind, finished.severity, finished.text) == ("run.finished", "info", "It took 42 s.")
    assert (refused.kind, refused.severity) == ("gate.refused", "warning")
    assert "calibration" in refused.text
    assert (failed.kind, failed.severity) == ("run.failed", "major")


def test_the_text_of_a_foreign_error_is_not_told() -> None:
    ours = run("failed", '{"error": "SourceError", "text": "the file is missing", "ours": true}')
    foreign = run("failed", '{"error": "KeyError", "text": "1 error for +49 170 1234567", "ours": false}')
    assert ours is not None
    assert foreign is not None
    assert ours.text == "the file is missing"
    assert "170" not in foreign.text
    assert "KeyError" in foreign.text


def test_targets_are_told_what_they_want() -> None:
    grave, slight, other = alert(1), alert(2, title="b", severity="minor"), alert(3, title="c", usecase="towers")
    finished = run("finished")
    assert finished is not None
    wanted = settings(
        grave=target(least="major"),
        towers=target(usecases=["towers"]),
        runs=target(kinds=["run.finished"], least="info"),
        team=target(),
    )
    found = {
        (one.target, one.notice.notice_id)
        for one in choose([grave, slight, other, finished], [], settings=wanted, now=NOW)
    }
    assert found == {
        ("grave", "alert:001"), ("grave", "alert:003"),
        ("towers", "alert:003"),
        ("runs", "run:r1:finished"),
        ("team", "alert:001"), ("team", "alert:002"), ("team", "alert:003"),
    }  # fmt: skip


def test_what_was_told_is_not_told_again_and_what_failed_is() -> None:
    told, failed = alert(1, title="a"), alert(2, title="b")
    known = [ledger(told, "failed", minutes=9), ledger(told, "sent", minutes=8), ledger(failed, "failed", minutes=3)]
    (choice,) = choose([told, failed], known, settings=settings(team=target()), now=NOW)
    assert (choice.notice, choice.verdict, choice.attempts) == (failed, "send", 3)


def test_an_alert_that_says_the_same_is_repeated_only_after_a_while() -> None:
    first, again, later = alert(1, minutes=60), alert(2, minutes=30), alert(3)
    (one, two, three) = choose([later, again, first], [], settings=settings(team=target()), now=NOW)
    assert [one.verdict, two.verdict, three.verdict] == ["send", "repeated", "repeated"]
    known = [ledger(first, "sent", minutes=60 * 25)]
    (choice,) = choose([later], known, settings=settings(team=target()), now=NOW)
    assert choice.verdict == "send"


def test_a_flood_waits_for_the_hour_to_pass() -> None:
    flood = [alert(number, title=str(number), minutes=number) for number in range(30)]
    first = choose(flood, [], settings=settings(team=target(at_most_per_hour=5)), now=NOW)
    assert [one.verdict for one in first] == ["send"] * 5 + ["waits"] * 25
    assert first[0].notice == flood[-1], "the oldest first"
    known = [ledger(one.notice, "sent" if one.verdict == "send" else "waits") for one in first]
    soon = choose(flood, known, settings=settings(team=target(at_most_per_hour=5)), now=NOW + timedelta(minutes=30))
    assert {one.verdict for one in soon} == {"waits"}
    later = choose(flood, known, settings=settings(team=target(at_most_per_hour=5)), now=NOW + timedelta(minutes=61))
    assert [one.verdict for one in later].count("send") == 5


def test_what_nobody_took_is_a_dead_letter_and_what_is_old_is_no_news() -> None:
    tried, never = alert(1, title="a", minutes=60 * 25), alert(2, title="b", minutes=60 * 25)
    (choice,) = choose([tried, never], [ledger(tried, "failed", minutes=5)], settings=settings(team=target()), now=NOW)
    assert (choice.notice, choice.verdict) == (tried, "dead")
    assert choose([tried], [ledger(tried, "dead")], settings=settings(team=target()), now=NOW) == ()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.integers(0, 3000)), max_size=12),
    st.integers(1, 4),
    st.lists(st.integers(1, 90), max_size=6),
    st.data(),
)
def test_nobody_is_told_twice_and_never_more_than_is_allowed(
    alerts: list[tuple[int, str, int]], most: int, pauses: list[int], data: st.DataObject
) -> None:
    notices = {f"{number}": alert(number, title=title, minutes=minutes) for number, title, minutes in alerts}
    wanted, now = settings(team=target(at_most_per_hour=most)), NOW
    known: list[Notification] = []
    sent: list[tuple[str, datetime]] = []
    for pause in [0, *pauses]:
        now += timedelta(minutes=pause)
        for one in choose(notices.values(), known, settings=wanted, now=now):
            state = data.draw(st.sampled_from(["sent", "failed"])) if one.verdict == "send" else one.verdict
            if state == "sent":
                sent.append((one.notice.notice_id, now))
            known.append(ledger(one.notice, state).model_copy(update={"changed_at": now}))
    assert len({name for name, _ in sent}) == len(sent)
    for _, at in sent:
        assert sum(at - timedelta(hours=1) < other <= at for _, other in sent) <= most


def test_words_are_those_of_the_template() -> None:
    own = NotifyTemplate(title="[{{ severity }}] {{ title }}", text="{{ usecase }}: {{ text }} {{ link }}")
    wanted = NotifySettings(templates={"alert": own}, console_url="http://console:1/")
    assert words_of(alert(1), settings=wanted) == (
        "[major] late",
        "churn: why http://console:1/console/runs/run-1",
    )
    plain = words_of(alert(1), settings=NotifySettings(), waiting=3)
    assert plain.title == "late"
    assert "3 more notices wait" in plain.text


def test_a_template_that_cannot_be_used_costs_nobody_a_notice() -> None:
    broken = NotifySettings(templates={"alert": NotifyTemplate(title="{{ nothing }}", text="x")})
    words = words_of(alert(1), settings=broken)
    assert words.title == "late"
    assert "notify.templates.alert cannot be used" in words.text
    for raising in ("{{ severity + 1 }}", "{{ 1 / 0 }}", "{{ at + 1 }}"):
        odd = NotifySettings(templates={"alert": NotifyTemplate(title=raising, text="x")})
        assert words_of(alert(1), settings=odd).title == "late"
    sly = NotifySettings(templates={"alert": NotifyTemplate(title="{{ title.__class__.__mro__ }}", text="x")})
    assert "cannot be used" in words_of(alert(1), settings=sly).text


@pytest.mark.parametrize("wrong", [{"title": "{{ title"}, {"text": "{% if %}"}])
def test_a_template_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="no Jinja template"):
        NotifyTemplate.model_validate(wrong)


def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValidationError, match="Apprise"):
        NotifyTarget(url=SecretStr("ops@example.org"))


def test_a_notice_is_a_cloud_event() -> None:
    event = cloud_event(alert(7))
    assert {"specversion", "id", "source", "type", "time", "data"} <= event.keys()
    assert (event["specversion"], event["type"], event["id"]) == ("1.0", "trunkline.alert", "alert:007")
    assert event["source"] == "urn:trunkline:usecase:churn"
