"""Gaps of regular times are asked for again, and records that hold several rows are taken apart."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from pydantic import ValidationError
from tests.ingest.rest.loopback import NOON, Api, Reply, Seen, Times

from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest.sources.protocol import Position, Source
from trunkline.ingest.sources.rest import open_source
from trunkline.ingest.sources.rest.steps import Steps
from trunkline.spec.rest import Since
from trunkline.spec.sources import RestSource

OpenRest = Callable[..., Source]
Pull = Callable[..., list[tuple[bytes, Position]]]

HOUR = timedelta(hours=1)
SINCE = {"param": "since", "field": "at"}


HOURLY = {**SINCE, "step": "PT1H", "reach": "P2D"}


def hourly(*hours: int, per_hour: int = 2) -> list[dict[str, object]]:
    """Rows of some hours of the first of March, so many an hour."""
    return [
        {"call_id": f"{hour}-{number}", "at": f"2026-03-01T{hour:02d}:{number:02d}:00Z"}
        for hour in hours
        for number in range(per_hour)
    ]


def by_time(rows: list[dict[str, object]]) -> Callable[[Seen], Reply]:
    """A server that gives what is at least as new as asked for, three rows a page."""

    def answer(seen: Seen) -> Reply:
        since, until, page = seen.query.get("since", ""), seen.query.get("until", "9"), int(seen.query["page"])
        found = [row for row in rows if since <= str(row["at"]) <= until]
        return Reply({"rows": found[3 * page - 3 : 3 * page]})

    return answer


def rows_of(pieces: list[tuple[bytes, Position]]) -> list[dict[str, object]]:
    return [row for content, _ in pieces for row in json.loads(content)]


def begins(api: Api) -> list[str]:
    """From when each question asked, without those of further pages."""
    found = [seen.query["since"] for seen in api.seen if seen.query["page"] == "1"]
    api.seen.clear()
    return found


def test_a_gap_is_asked_for_again_ever_more_seldom_until_it_is_filled(
    api: Api, open_rest: OpenRest, pull: Pull
) -> None:
    source = open_rest(paging={"kind": "page"}, since={**HOURLY, "first": "0"})
    position, asked = None, []
    for newest in range(4, 11):
        api.answer = by_time(hourly(*(one for one in range(newest + 1) if one != 2)))
        position = pull(source, position)[-1][1]
        asked += begins(api)
    gap, own = "2026-03-01T02:00:00Z", [f"2026-03-01T{hour:02d}:00:00Z" for hour in range(4, 10)]
    # what is known when a pull begins: the gap is then 2, 3, 4, 5, 6, 7 hours old
    assert asked == ["0", gap, own[1], gap, own[3], own[4], own[5]]
    api.answer = by_time(hourly(*range(12)))
    position = pull(source, position)[-1][1]
    assert begins(api) == [gap], "eight hours old by now"
    api.answer = by_time(hourly(*range(13)))
    pull(source, position)
    assert begins(api) == ["2026-03-01T11:00:00Z"]


BOTH_ENDS = {**HOURLY, "until_param": "until"}


def ranges(api: Api) -> list[tuple[int, int]]:
    """First hour and end of each question, without those of further pages; the first pull's begin is hour 0."""
    asked = [(seen.query.get("since", ""), seen.query["until"]) for seen in api.seen if seen.query["page"] == "1"]
    api.seen.clear()
    return [(int(since[11:13] or 0), int(until[11:13])) for since, until in asked]


def test_where_the_server_takes_an_end_each_gap_is_asked_for_alone(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times
) -> None:
    source = open_rest(paging={"kind": "page"}, since=BOTH_ENDS)
    api.answer = by_time(hourly(0, 4, 5, 6, 7, 8, 9, 10, 12))
    first = pull(source)
    api.answer = by_time(hourly(*(one for one in range(14) if one != 2)))
    times.passed_s = 3600
    api.seen.clear()
    second = pull(source, first[-1][1])
    assert ranges(api) == [(1, 4), (11, 12), (12, 13)], "both gaps, and then what is new"
    assert [str(row["call_id"])[:-2] for row in rows_of(second)] == [
        *("1", "1", "3", "3", "4"),  # the server gives the end too
        *("11", "11", "12"),
        *("12", "12", "13"),
    ]
    times.passed_s = 7 * 3600
    api.answer = by_time(hourly(*range(20)))
    third = pull(source, second[-1][1])
    assert ranges(api) == [(13, 19)], "hour 2 was asked for when it was 10 hours old, and is not 16 yet"
    times.passed_s = 8 * 3600
    assert {"2-0", "2-1"} <= {str(row["call_id"]) for row in rows_of(pull(source, third[-1][1]))}
    assert ranges(api) == [(2, 3), (19, 20)]


def test_a_pull_that_is_cut_in_a_gap_goes_on_there_and_asks_for_the_gaps_that_are_left(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times, tmp_path: Path
) -> None:
    source = open_rest(paging={"kind": "page", "size_param": "size", "size": 3}, since=BOTH_ENDS, attempts=1)
    api.answer = by_time(hourly(0, 4, 5, 6, 7, 8, 9, 10, 12))
    first = pull(source)
    times.passed_s = 3600
    whole = by_time(hourly(*range(14)))
    api.answer = lambda seen: Reply(status=503) if len(api.seen) > 1 else whole(seen)  # it goes down after a page
    api.seen.clear()
    landed: list[Position] = []
    with pytest.raises(UnavailableError):
        landed.extend(part.position for part in source.pull(first[-1][1], folder=tmp_path))
    api.seen.clear()
    api.answer = whole
    rest = pull(source, landed[-1])
    assert [seen.query["page"] for seen in api.seen][:2] == ["2", "3"]
    assert ranges(api) == [(11, 12), (12, 13)]
    assert {f"{hour}-0" for hour in (3, 11, 13)} <= {str(row["call_id"]) for row in rows_of(rest)}
    times.passed_s = 7200
    api.answer = by_time(hourly(*range(15)))
    pull(source, rest[-1][1])
    assert ranges(api) == [(13, 14)], "nothing is lacking any more"


def test_a_gap_that_the_server_refuses_does_not_hide_what_is_new(
    api: Api, open_rest: OpenRest, times: Times, pull: Pull, tmp_path: Path
) -> None:
    source = open_rest(paging={"kind": "page"}, since=BOTH_ENDS)
    api.answer = by_time(hourly(0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
    first = pull(source)
    times.passed_s = 3600
    whole = by_time(hourly(*range(14)))
    api.answer = lambda seen: Reply(status=400) if seen.query.get("since", "") < "2026-03-01T02" else whole(seen)
    landed: list[bytes] = []
    with pytest.raises(SourceError, match="400"):
        landed.extend(part.path.read_bytes() for part in source.pull(first[-1][1], folder=tmp_path))
    assert [str(row["call_id"]) for part in landed for row in json.loads(part)] == ["12-0", "12-1", "13-0"]


def test_an_hour_with_far_fewer_rows_than_usual_is_a_gap_where_it_is_said(
    api: Api, open_rest: OpenRest, pull: Pull
) -> None:
    source = open_rest(paging={"kind": "page"}, since={**HOURLY, "gap_share": 0.5})
    api.answer = by_time([row for row in hourly(*range(6)) if row["call_id"] != "3-1"])
    first = pull(source)
    api.seen.clear()
    api.answer = by_time(hourly(*range(7)))
    assert {"3-1", "6-0"} <= {str(row["call_id"]) for row in rows_of(pull(source, first[-1][1]))}
    assert begins(api) == ["2026-03-01T03:00:00Z"]


def test_a_gap_beyond_reach_is_let_be(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    source = open_rest(paging={"kind": "page"}, since={**HOURLY, "reach": "PT4H"})
    api.answer = by_time(hourly(0, 2, 3, 4, 5, 6))
    first = pull(source)
    api.seen.clear()
    pull(source, first[-1][1])
    assert begins(api) == ["2026-03-01T06:00:00Z"]


def test_counts_that_vary_are_no_gaps() -> None:
    steps, asked = Steps.read(None, width=HOUR, reach=336 * HOUR), 0
    before: datetime | None = None
    for number, count in enumerate(np.random.default_rng(7).poisson(9, 504)):
        at = NOON + number * HOUR
        steps = steps.counted([at] * (1 + int(count)))
        asked += len(steps.due(before))
        before = at
    assert asked == 0


def test_a_reach_of_too_many_steps_is_refused() -> None:
    with pytest.raises(ValidationError, match="more than 5,000 times `step`"):
        Since.model_validate({**SINCE, "step": "PT1M"})


def test_all_pages_of_a_window_ask_up_to_the_same_instant_also_after_a_fault(
    api: Api, open_rest: OpenRest, pull: Pull, times: Times, tmp_path: Path
) -> None:
    answers = [Reply({"rows": hourly(1)}), Reply({"rows": hourly(2)}), Reply(status=400), Reply({"rows": hourly(3)})]

    def answer(_: Seen) -> Reply:
        times.passed_s += 60
        return answers.pop(0) if answers else Reply({"rows": []})

    api.answer = answer
    asked = {**SINCE, "until_param": "until", "param_format": "epoch_s"}
    source = open_rest(paging={"kind": "page", "size_param": "size", "size": 2}, since=asked, attempts=1)
    landed: list[Position] = []
    with pytest.raises(SourceError):
        landed.extend(part.position for part in source.pull(None, folder=tmp_path))
    pull(source, landed[-1])
    untils = [int(seen.query["until"]) - int(NOON.timestamp()) for seen in api.seen]
    assert untils == [0, 0, 0, 0, 0, 300]


def test_both_ends_in_a_form_of_their_own(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = by_time(hourly(4, per_hour=1))
    asked = {**SINCE, "until_param": "end", "param_format": "epoch_s"}
    source = open_rest(paging={"kind": "page"}, since=asked)
    first = pull(source)
    pull(source, first[-1][1])
    assert api.seen[0].query["end"] == str(int(NOON.timestamp()))
    assert [seen.query.get("since") for seen in api.seen if seen.query["page"] == "1"] == [None, "1772337600"]


def test_a_record_that_holds_several_rows_is_taken_apart(
    api: Api, times: Times, pull: Pull, open_rest: OpenRest
) -> None:
    def apart(message: object) -> list[object] | None:
        return cast("list[object]", message["calls"]) if isinstance(message, dict) and "calls" in message else None

    api.answer = lambda seen: Reply(
        [{"calls": hourly(0)}, hourly(2)[0], {"calls": []}] if seen.query["page"] == "1" else []
    )
    declared = {"kind": "rest", "usecase": "calls", "url": f"{api.url}/calls", "paging": {"kind": "page"}}
    source = open_source(
        "calls", RestSource.model_validate({**declared, "since": SINCE}), timing=times.timing, unwrap=apart
    )
    (piece,) = pull(source)
    assert rows_of([piece]) == [*hourly(0), hourly(2)[0]]
    assert piece[1]["newest"] == "2026-03-01T02:00:00+00:00"
    api.answer = lambda seen: Reply([{"calls": []}] if seen.query["page"] == "1" else [])
    assert pull(source, piece[1]) == [], "nothing but empty envelopes is nothing new"


def pulled(
    source: Source, position: Position, folder: Path
) -> tuple[list[tuple[bytes, Position]], type[Exception] | None]:
    """What a pull gave, and with what error it ended."""
    landed: list[tuple[bytes, Position]] = []
    try:
        landed.extend((part.path.read_bytes(), part.position) for part in source.pull(position, folder=folder))
    except (SourceError, UnavailableError) as error:
        return landed, type(error)
    return landed, None


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(Reply({"rows": []}), None), (Reply(status=410), SourceError), (Reply(status=504), UnavailableError)],
)
def test_gaps_that_cannot_be_had_do_not_keep_what_is_new_away(
    api: Api, open_rest: OpenRest, times: Times, tmp_path: Path, fault: Reply, expected: type[Exception] | None
) -> None:
    rows = hourly(0, 2, 4, 6, 8, 10, 12, per_hour=1)
    source = open_rest(paging={"kind": "page"}, since=BOTH_ENDS, attempts=1, max_pages=4)
    api.answer = by_time(rows)
    position = list(source.pull(None, folder=tmp_path))[-1].position
    errors: set[type[Exception] | None] = set()
    for later in range(13, 17):
        rows += hourly(later, per_hour=1)
        whole = by_time(list(rows))
        times.passed_s = 3600 * (later - 12)
        newest = f"2026-03-01T{later - 1:02d}"
        api.answer = lambda seen, whole=whole, newest=newest: whole(seen) if seen.query["since"] >= newest else fault  # type: ignore[misc]  # of this round
        landed, error = pulled(source, position, tmp_path)
        errors |= {error}
        assert f"{later}-0" in {str(row["call_id"]) for row in rows_of(landed)}, later
        position = landed[-1][1]
    assert errors - {None} == {expected} - {None}
