"""Health of sources: what is late, empty, small or over its budget, and what is not."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.records import Receipt, SourceAttempt
from trunkline.monitor import SourceHealth, Window, health_of, source_alerts, source_of, source_readings
from trunkline.monitor.schedules import due_after
from trunkline.spec.sources import AnySource, FolderSource, RestSource, Schedule, TopicSource

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def receipt(at: datetime, *, rows: int = 1000, refused: int = 0, **more: object) -> Receipt:
    said: dict[str, object] = {
        "batch_id": f"b-{at.isoformat()}-{more.get('source')}-{more.get('piece')}",
        "run_id": f"r-{at.isoformat()}",
        "usecase": "leaving",
        "dataset": "customers",
        "source": f"/in/customers-{at:%Y-%m-%d}.csv",
        "piece": None,
        "content_sha256": "ab",
        "contract_fingerprint": "cd",
        "read": rows,
        "accepted": rows - refused,
        "quarantined": refused,
        "duplicates": 0,
        "reasons": json.dumps({"age.minimum": refused} if refused else {}),
        "absent_columns": "[]",
        "extra_columns": "[]",
        "mapping": None,
        "table_version": 0,
        "started_at": at - timedelta(seconds=2),
        "finished_at": at,
    }
    return Receipt.model_validate({**said, **more})


def attempt(at: datetime, **more: object) -> SourceAttempt:
    said: dict[str, object] = {
        "attempt_id": f"{more.get('source')}-{at.isoformat()}",
        "run_id": "r",
        "usecase": "leaving",
        "dataset": "customers",
        "source": "/in/customers-*.csv",
        "outcome": "taken",
        "taken": int(bool(more.get("read"))),
        "read": 0,
        "refused": 0,
        "error": None,
        "said": None,
        "passed_over": 0,
        "refused_rows": None,
        "refused_read": None,
        "budget": None,
        "attempted_at": at,
    }
    return SourceAttempt.model_validate({**said, **more})


def daily(days: int, *, rows: Sequence[int] = (1000,)) -> list[Receipt]:
    return [receipt(START + number * DAY, rows=rows[number % len(rows)]) for number in range(days)]


def health(
    receipts: Sequence[Receipt],
    *,
    now: datetime,
    declared: dict[str, AnySource] | None = None,
    budget: float | None = None,
    attempts: Sequence[SourceAttempt] = (),
) -> tuple[SourceHealth, ...]:
    return health_of(
        receipts,
        attempts=attempts,
        declared=declared or {},
        mains={"leaving": "customers"},
        budgets={("leaving", "customers"): budget},
        now=now,
    )


def problems(found: SourceHealth) -> list[str]:
    return [finding.problem for finding in found.findings]


def folder(schedule: Schedule | None) -> FolderSource:
    return FolderSource(kind="folder", usecase="leaving", path=Path("/in"), schedule=schedule)


def test_files_of_all_days_are_one_source() -> None:
    (found,) = health(daily(5), now=START + 4 * DAY)
    assert found.key.source == "/in/customers-*.csv"
    assert found.key.label == "customers-*.csv"
    assert len(found.arrivals) == 5
    assert problems(found) == []


@pytest.mark.parametrize(
    ("source", "piece", "name"),
    [
        ("/in/a_20260301T0600.csv.gz", None, "/in/a_*.csv.gz"),
        ("/in/part-1.of-7.csv", None, "/in/part-*.of-7.csv"),
        ("a.csv", "files/abcdef", "a.csv"),
        ("https://x/api?page=1", "billing/7", "billing"),
        ("/drop/x.csv", None, "drop"),
        ("/tree/2026/x.csv", None, "tree"),
        ("/tree/near/x.csv", None, "near"),
        ("/drop/below/x.csv", None, "/drop/below/x.csv"),
        pytest.param(f"{Path.cwd()}/here/x.zip#y.csv", None, "here", id="relative"),
        ("s3 without a path", None, "s* without a path"),
    ],
)
def test_names_of_sources(source: str, piece: str | None, name: str) -> None:
    declared: dict[str, AnySource] = {
        "drop": FolderSource(kind="folder", usecase="leaving", path=Path("/drop")),
        "tree": FolderSource(kind="folder", usecase="leaving", path=Path("/tree"), recursive=True),
        "near": FolderSource(kind="folder", usecase="leaving", path=Path("/tree/near")),
        "here": FolderSource(kind="folder", usecase="leaving", path=Path("here")),
        "elsewhere": FolderSource(kind="folder", usecase="other", path=Path("/in")),
    }
    assert source_of("leaving", "customers", source=source, piece=piece, declared=declared).source == name


def test_without_a_schedule_three_usual_gaps_make_late() -> None:
    receipts = daily(6)
    last = START + 5 * DAY
    (on_time,) = health(receipts, now=last + 3 * DAY)
    assert problems(on_time) == []
    assert on_time.due_at == last + 3 * DAY
    (late,) = health(receipts, now=last + 3 * DAY + timedelta(seconds=1))
    assert problems(late) == ["late"]
    assert late.findings[0].limit == 3 * 86400
    assert "3.0 days ago" in late.findings[0].text


def test_few_batches_and_batches_of_one_run_have_no_usual_gap() -> None:
    far = START + 400 * DAY
    (few,) = health(daily(3), now=far)
    assert (problems(few), few.due_at) == ([], None)
    at_once = [receipt(START + timedelta(seconds=number), run_id="r", batch_id=f"b{number}") for number in range(20)]
    (together,) = health(at_once, now=far)
    assert problems(together) == []


def arrived(name: str, at: datetime, *, run_id: str = "", started_at: datetime | None = None) -> Receipt:
    return receipt(at, run_id=run_id or name, batch_id=name, started_at=started_at or at)


def expected_after(receipts: Sequence[Receipt]) -> timedelta | None:
    """How long after the last batch the next one is expected."""
    last = max(one.finished_at for one in receipts)
    (found,) = health(receipts, now=last)
    return None if found.due_at is None else found.due_at - last


def test_files_taken_in_by_hand_one_after_another_have_no_usual_gap() -> None:
    by_hand = [arrived(f"r{number}", START + timedelta(seconds=3 * number)) for number in range(40)]
    (found,) = health(by_hand, now=START + 400 * DAY)
    assert (problems(found), found.due_at) == ([], None)


def test_a_run_without_a_pause_came_once_however_long_it_took() -> None:
    def loaded(day: int) -> list[Receipt]:  # a file takes three quarters of an hour
        ends = [START + day * DAY + number * timedelta(minutes=45) for number in range(12)]
        return [arrived(f"{day}-{end}", end, run_id=f"r{day}", started_at=end - timedelta(minutes=44)) for end in ends]

    assert expected_after(loaded(0)) is None
    assert expected_after([one for day in range(4) for one in loaded(day)]) == 3 * DAY


@pytest.mark.parametrize("files", [2, 7, 100])
def test_several_files_each_night_come_once_a_day(files: int) -> None:
    receipts = [
        arrived(f"r{night}-{number}", START + night * DAY + timedelta(seconds=5 * number))
        for night in range(5)
        for number in range(files)
    ]
    assert expected_after(receipts) == 3 * DAY
    last = START + 4 * DAY + timedelta(seconds=5 * (files - 1))
    (late,) = health(receipts, now=last + 3 * DAY + timedelta(seconds=1))
    assert problems(late) == ["late"]


def test_a_watch_that_goes_on_for_days_has_a_usual_gap() -> None:
    assert expected_after([arrived(f"b{day}", START + day * DAY, run_id="w") for day in range(5)]) == 3 * DAY


@pytest.mark.parametrize(
    ("before", "every", "number"),
    [
        ([timedelta(days=-59)], DAY, 50),  # a file to try it out, and nothing for two months
        ([timedelta(hours=-52), timedelta(hours=-51), timedelta(hours=-50)], timedelta(hours=2), 40),  # an outage
    ],
)
def test_one_long_pause_changes_no_usual_gap(before: list[timedelta], every: timedelta, number: int) -> None:
    times = [START + pause for pause in before] + [START + place * every for place in range(number)]
    assert expected_after([arrived(f"r{place}", at) for place, at in enumerate(times)]) == 3 * every


def test_what_comes_more_often_than_each_half_hour_is_late_after_an_hour_and_a_half() -> None:
    times = [START + number * timedelta(minutes=15) for number in range(40)]
    assert expected_after([arrived(f"r{number}", at) for number, at in enumerate(times)]) == timedelta(minutes=90)


def test_a_new_rhythm_is_known_after_two_months_of_it() -> None:
    monthly = [arrived(f"m{month}", START + 30 * DAY * month) for month in range(10)]
    since = START + 300 * DAY
    assert expected_after([*monthly, *(arrived(f"d{day}", since + day * DAY) for day in range(62))]) == 3 * DAY


def test_a_schedule_says_when_a_source_is_late() -> None:
    declared: dict[str, AnySource] = {"drop": folder(Schedule(every=timedelta(hours=10)))}
    (fine,) = health([receipt(START)], now=START + timedelta(hours=11), declared=declared)
    assert (fine.key.source, fine.is_declared, problems(fine)) == ("drop", True, [])
    (late,) = health([receipt(START)], now=START + timedelta(hours=11, seconds=1), declared=declared)
    assert problems(late) == ["late"]
    declared = {"drop": folder(Schedule(cron="0 6 * * *"))}
    due = START + DAY + DAY * 0.1
    assert problems(health([receipt(START)], now=due, declared=declared)[0]) == []
    assert problems(health([receipt(START)], now=due + timedelta(seconds=1), declared=declared)[0]) == ["late"]


def test_a_declared_source_that_never_delivered_is_listed() -> None:
    api = RestSource(kind="rest", usecase="leaving", url="https://127.0.0.1/x", schedule=Schedule(every=DAY))
    (found,) = health([], now=START, declared={"api": api})
    assert (found.key.source, found.newest, problems(found)) == ("api", None, [])
    assert source_readings([found], window=Window("r", "leaving", "1", START)) == ()


REFUSED = {"outcome": "refused", "refused": 1}
OVER = {**REFUSED, "error": "RowsRefusedError", "refused_rows": 12, "refused_read": 40, "budget": 0.1}


def api(schedule: Schedule | None) -> dict[str, AnySource]:
    return {"api": RestSource(kind="rest", usecase="leaving", url="https://127.0.0.1/x", schedule=schedule)}


def test_a_source_that_never_delivered_is_late_from_when_it_was_first_seen() -> None:
    seen = attempt(START, source="api", outcome="declared")
    declared = api(Schedule(every=DAY))
    (found,) = health([], attempts=[seen], now=START + 1.1 * DAY, declared=declared)
    assert (found.newest, problems(found), found.is_known) == (None, [], True)
    (late,) = health([], attempts=[seen], now=START + 1.2 * DAY, declared=declared)
    assert problems(late) == ["late"]
    assert late.findings[0].text.startswith("it was first seen 28.8 hours ago and nothing has come")
    refused = attempt(START + DAY, source="api", **REFUSED, error="UnavailableError")
    (failing,) = health([], attempts=[refused, seen], now=START + 1.2 * DAY, declared=declared)
    assert problems(failing) == ["late", "failed"]
    assert problems(health([], attempts=[seen], now=START + 900 * DAY, declared=api(None))[0]) == []


def test_a_source_that_answers_with_nothing_is_empty_and_not_late() -> None:
    declared = api(Schedule(every=DAY))
    brought = [
        one
        for day in range(3)
        for one in (
            receipt(START + day * DAY, piece=f"api/{day + 1}"),
            attempt(START + day * DAY + timedelta(seconds=1), source="api", read=1000),
        )
    ]
    receipts = [one for one in brought if isinstance(one, Receipt)]
    attempts = [one for one in brought if isinstance(one, SourceAttempt)]
    attempts.append(attempt(START + 3 * DAY, source="api"))
    (quiet,) = health(receipts, attempts=attempts, now=START + 3.5 * DAY, declared=declared)
    assert problems(quiet) == ["empty"]
    assert quiet.findings[0].text == "it answered and had no new row"
    (silent,) = health(receipts, attempts=attempts, now=START + 5 * DAY, declared=declared)
    assert problems(silent) == ["late", "empty"]
    assert "it last answered 2.0 days ago" in silent.findings[0].text
    alerts = source_alerts([silent, quiet], run_id="r", raised_at=START)
    assert len({alert.alert_id for alert in alerts}) == 2
    known = attempt(START + 3 * DAY, source="api", read=1000, taken=1)
    assert (
        problems(health(receipts, attempts=[*attempts[:-1], known], now=START + 3.5 * DAY, declared=declared)[0]) == []
    )


def test_a_source_that_is_asked_more_often_than_it_has_news_is_empty_after_three_usual_gaps() -> None:
    hour = timedelta(hours=1)
    receipts = [receipt(START + day * DAY, piece=f"api/{day + 1}") for day in range(5)]
    attempts = [
        attempt(START + n * hour, source="api", read=1000 if n in range(0, 97, 24) else 0) for n in range(4 * 24 + 73)
    ]
    declared = api(Schedule(every=hour))
    for asked, said in ((4 * 24 + 23, []), (4 * 24 + 72, []), (4 * 24 + 73, ["empty"])):
        now = START + asked * hour
        attempts.append(attempt(now, source="api"))
        (found,) = health(
            receipts, attempts=[one for one in attempts if one.attempted_at <= now], now=now, declared=declared
        )
        assert problems(found) == said, asked


def test_a_batch_stopped_over_its_budget_is_found_though_it_left_no_receipt() -> None:
    over = attempt(START + DAY, **OVER)
    (found,) = health([receipt(START)], attempts=[over], now=START + DAY)
    assert problems(found) == ["over_budget"]
    assert (found.findings[0].value, found.findings[0].limit) == (0.3, 0.1)
    assert found.findings[0].text.endswith("nothing of the batch was written")
    (alone,) = health([], attempts=[over], now=START + DAY)
    assert problems(alone) == ["over_budget"]
    (mended,) = health([receipt(START), receipt(START + 2 * DAY)], attempts=[over], now=START + 2 * DAY)
    assert problems(mended) == []


def test_a_refusal_is_failing_until_something_comes() -> None:
    refused = attempt(START + DAY, taken=3, read=30, **{**REFUSED, "refused": 2}, error="SchemaError")
    (found,) = health([receipt(START)], attempts=[refused], now=START + DAY)
    assert problems(found) == ["failed"]
    assert found.findings[0].text == "2 of 5 files or pieces of the last attempt ended with SchemaError"
    gone = attempt(START + 2 * DAY, **REFUSED, error="InputError", said="the folder of 'drop' is not there")
    (told,) = health([], attempts=[gone], now=START + 2 * DAY)
    assert told.findings[0].text == "the last attempt ended with InputError: the folder of 'drop' is not there"
    again = attempt(START + 2 * DAY, taken=1, read=10)
    assert problems(health([receipt(START)], attempts=[again, refused], now=START + 2 * DAY)[0]) == []


def test_a_source_of_several_datasets_is_judged_by_those_that_came() -> None:
    declared: dict[str, AnySource] = {"drop": folder(Schedule(every=DAY))}
    other = receipt(START, source="/in/payments.csv", dataset="payments")
    seen = attempt(START - DAY, source="drop", outcome="declared", dataset=None)
    refused = attempt(START + timedelta(hours=1), source="drop", dataset=None, **REFUSED, error="SchemaError")
    (found,) = health([other], attempts=[seen, refused], now=START + timedelta(hours=2), declared=declared)
    assert (found.key.dataset, problems(found)) == ("payments", ["failed"])


def test_an_arrival_of_which_nothing_was_taken_in_is_empty() -> None:
    (found,) = health([receipt(START, rows=12, refused=12)], now=START, budget=0.5)
    assert problems(found) == ["empty", "over_budget"]
    again = receipt(START, rows=12, accepted=0, duplicates=12)
    (known,) = health([again], now=START)
    assert problems(known) == [], "a file handed in again is no empty file"


def test_unusually_small_needs_history_and_a_real_difference() -> None:
    sizes = (1000, 1100, 950, 1020, 1080, 990, 1010, 1040, 970)
    before = daily(9, rows=sizes)
    at = START + 9 * DAY
    for rows, said in ((720, []), (500, ["small"]), (5000, [])):
        (found,) = health([*before, receipt(at, rows=rows)], now=at)
        assert problems(found) == said, rows
    (short,) = health([*before[:7], receipt(START + 7 * DAY, rows=10)], now=START + 7 * DAY)
    assert problems(short) == [], "seven earlier batches are no history"


def test_the_limit_of_small_agrees_with_an_oracle() -> None:
    sizes = [100, 200, 150, 400, 130, 170, 220, 180, 260]
    at = START + 9 * DAY
    logs = np.log1p(sizes)
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle)))
    limit = float(np.expm1(middle - 3.5 * spread))
    for rows, said in ((int(limit), ["small"]), (int(limit) + 1, [])):
        (found,) = health([*daily(9, rows=sizes), receipt(at, rows=rows)], now=at)
        assert problems(found) == said
    (found,) = health([*daily(9, rows=sizes), receipt(at, rows=1)], now=at)
    assert found.findings[0].limit == pytest.approx(limit)


def test_pieces_of_a_pull_count_together() -> None:
    receipts = []
    for day in range(10):
        at = START + day * DAY
        for number in range(2):  # the last piece of a pull is always small
            rows = 1000 if number == 0 else 3
            piece = f"api/{2 * day + number + 1}"
            receipts.append(receipt(at, rows=rows, piece=piece, source="https://x", run_id=f"r{day}"))
    (found,) = health(receipts, now=START + 9 * DAY)
    assert [arrival.read for arrival in found.arrivals] == [1003] * 10
    assert problems(found) == []


def test_the_budget_is_a_share_of_the_newest_batch() -> None:
    receipts = [receipt(START, refused=900), receipt(START + DAY, refused=50)]
    assert problems(health(receipts, now=START + DAY, budget=0.05)[0]) == []
    (found,) = health(receipts, now=START + DAY, budget=0.049)
    assert problems(found) == ["over_budget"]
    assert "50 of 1,000 rows (5.00%) broke the contract, the budget is 4.90%" in found.findings[0].text
    assert problems(health(receipts, now=START + DAY)[0]) == []


def test_readings_and_alerts_say_the_same() -> None:
    now = START + 40 * DAY
    found = health([*daily(9), receipt(START + 9 * DAY, rows=100, refused=20)], now=now, budget=0.1)
    window = Window("run", "leaving", "4", now)
    readings = {reading.metric: reading for reading in source_readings(found, window=window)}
    assert {name: reading.crossed for name, reading in readings.items()} == {
        "hours_since_batch": True,
        "accepted_rows": True,
        "refused_share": True,
    }
    assert readings["hours_since_batch"].value == pytest.approx(31 * 24)
    assert readings["hours_since_batch"].limit == pytest.approx(3 * 24)
    assert readings["refused_share"].value == pytest.approx(0.2)
    assert {reading.subject for reading in readings.values()} == {"customers from customers-*.csv"}
    assert source_readings(found, window=Window("run", "other", "4", now)) == ()
    alerts = source_alerts(found, run_id="run", raised_at=now)
    assert [(alert.severity, alert.title.rpartition(" is ")[2]) for alert in alerts] == [
        ("major", "late"),
        ("minor", "unusually small"),
        ("major", "over its reject budget"),
    ]
    later = health([*daily(9), receipt(START + 9 * DAY, rows=100, refused=20)], now=now + DAY, budget=0.1)
    again = source_alerts(later, run_id="next", raised_at=now + DAY)
    assert [alert.alert_id for alert in again] == [alert.alert_id for alert in alerts], "what lasts is one alert"


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_receipts_means_nothing(sizes: list[int], random: object) -> None:
    receipts = [receipt(START + number * DAY, rows=rows) for number, rows in enumerate(sizes)]
    shuffled = list(receipts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis gives a random.Random
    now = START + len(sizes) * DAY
    assert health(shuffled, now=now) == health(receipts, now=now)


# Schedules


@pytest.mark.parametrize(
    ("cron", "zone", "at", "due"),
    [
        ("5 * * * *", "UTC", "2026-03-01T06:05:00", "2026-03-01T07:05:00"),
        ("*/15 * * * *", "UTC", "2026-03-01T06:44:59", "2026-03-01T06:45:00"),
        ("0 0 1 * *", "UTC", "2026-03-01T00:00:00", "2026-04-01T00:00:00"),
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 12 13 * 5", "UTC", "2026-03-01T00:00:00", "2026-03-06T12:00:00"),
        ("0 12 */13 * 5", "UTC", "2026-03-01T00:00:00", "2026-03-27T12:00:00"),
        ("0 12 31 2 5", "UTC", "2026-03-01T00:00:00", "2027-02-05T12:00:00"),
        ("0 0 29 2 */7", "UTC", "2088-03-01T00:00:00", "2128-02-29T00:00:00"),
        ("0 12 * * 0,7", "UTC", "2026-03-02T00:00:00", "2026-03-08T12:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-29T01:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:00", "2026-03-30T00:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", "2026-10-25T01:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00", "2026-10-26T01:30:00"),
        ("30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00", "2026-03-29T01:30:00"),
        ("30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),
        ("10-20/5 8-9 * * *", "UTC", "2026-03-01T08:20:00", "2026-03-01T09:10:00"),
    ],
)
def test_the_next_time_of_a_cron_line(cron: str, zone: str, at: str, due: str) -> None:
    found = due_after(Schedule(cron=cron, zone=zone), datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 6 30,31 2 */2", "* * 31 4,6,9,11 *"])
def test_a_day_that_never_comes_is_refused_when_it_is_declared(cron: str) -> None:
    with pytest.raises(ValueError, match="a day that never comes: say a day of the month that one of its months has"):
        Schedule(cron=cron)


@pytest.mark.parametrize("cron", ["60 * * * *", "* 24 * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "a * * * *"])
def test_cron_lines_that_cannot_be_read(cron: str) -> None:
    with pytest.raises(ValueError, match="of a cron line cannot be read"):
        Schedule(cron=cron)


@given(st.integers(0, 10 * 365 * 86400), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_what_is_due_lies_ahead_and_fits_the_line(seconds: int, zone: str) -> None:
    at = START + timedelta(seconds=seconds)
    due = due_after(Schedule(cron="*/20 3,15 * * 1-5", zone=zone), at)
    local = due.astimezone(ZoneInfo(zone))
    assert timedelta(0) < due - at <= timedelta(days=3, hours=1)
    assert (local.hour in (3, 15), local.minute % 20, local.isoweekday() <= 5) == (True, 0, True)


def topic_problems(notes: Sequence[tuple[float, str, int]], *, now: float, **said: object) -> list[str]:
    """What is wrong with a topic at a minute, by notes: at which minute, of which watch, how many records."""
    source = TopicSource.model_validate({"kind": "topic", "usecase": "leaving", "url": "kafka://k:9092/calls", **said})
    minute = timedelta(minutes=1)
    attempts = [attempt(START + at * minute, source="calls", run_id=run, read=read) for at, run, read in notes]
    (found,) = health([], attempts=attempts, declared={"calls": source}, now=START + now * minute)
    return problems(found)


@pytest.mark.parametrize("watches", [1, 2, 4])
def test_a_topic_is_late_when_all_its_watches_are_silent_for_three_notes(watches: int) -> None:
    notes = [(5 * turn + watch, f"w{watch}", 9) for turn in range(8) for watch in range(watches)]
    last = notes[-1][0]
    assert topic_problems(notes, now=last + 14.9) == []
    assert topic_problems(notes, now=last + 15.1) == ["late"]


def test_a_topic_of_which_nothing_has_come_yet_is_empty_by_its_schedule_alone() -> None:
    listening = [(5.0 * turn, "w", 0) for turn in range(30)]
    assert topic_problems(listening[:1], now=1) == []
    assert topic_problems(listening, now=146) == []
    assert topic_problems(listening[:12], now=56, schedule=Schedule(every=timedelta(hours=1))) == []
    assert topic_problems(listening[:15], now=71, schedule=Schedule(every=timedelta(hours=1))) == ["empty"]
    assert topic_problems([*listening, (150.0, "w", 9)], now=151) == []


def test_a_watch_of_a_shared_topic_that_has_nothing_says_nothing_of_the_others() -> None:
    shared = [note for turn in range(6) for note in ((5.0 * turn, "taking", 9), (5.0 * turn + 2, "leading", 0))]
    assert topic_problems(shared, now=28) == []
    assert topic_problems([*shared, (32.0, "leading", 0)], now=33) == ["empty"]
