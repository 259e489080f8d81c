"""Pages of a REST API: every row of every page, each way of paging, and on from where a pull was cut."""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from tests.ingest.rest.loopback import Api, Reply, Seen

from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest.sources.protocol import Position, Source

OpenRest = Callable[..., Source]
Pull = Callable[..., list[tuple[bytes, Position]]]

ROWS = [{"call_id": f"c{number}", "seconds": number} for number in range(23)]
PAGE = {"kind": "page", "size_param": "size", "size": 5}


def rows_of(pieces: list[tuple[bytes, Position]]) -> list[object]:
    return [row for content, _ in pieces for row in json.loads(content)]


def by_page(seen: Seen) -> Reply:
    first, size = (int(seen.query["page"]) - 1) * int(seen.query["size"]), int(seen.query["size"])
    return Reply({"rows": ROWS[first : first + size], "total": len(ROWS)})


def by_offset(seen: Seen) -> Reply:
    first = int(seen.query["offset"])
    return Reply({"rows": ROWS[first : first + min(4, int(seen.query["limit"]))]})  # fewer than were asked for


def by_cursor(seen: Seen) -> Reply:
    first = int(seen.query.get("cursor", "0"))
    return Reply({"rows": ROWS[first : first + 7], "next_cursor": str(first + 7) if first + 7 < len(ROWS) else None})


def by_last_row(seen: Seen) -> Reply:
    names = [row["call_id"] for row in ROWS]
    first = names.index(seen.query["after"]) + 1 if "after" in seen.query else 0
    return Reply(ROWS[first : first + 7])


def by_link_header(seen: Seen) -> Reply:
    first = int(seen.query.get("from", "0"))
    link = {"Link": f'</calls?from={first + 7}>; rel="next"'} if first + 7 < len(ROWS) else {}
    return Reply(ROWS[first : first + 7], headers=link)


def by_link_in_body(seen: Seen) -> Reply:
    first = int(seen.query.get("from", "0"))
    link = {"@odata.nextLink": f"calls?from={first + 7}"} if first + 7 < len(ROWS) else {}
    return Reply({"value": ROWS[first : first + 7], **link})


WAYS: dict[str, tuple[Callable[[Seen], Reply], dict[str, object], int]] = {
    "page": (by_page, PAGE, 6),
    "page, short": (by_page, {**PAGE, "stop": "short"}, 5),
    "page, total": (by_page, {**PAGE, "total": "total"}, 5),
    "offset": (by_offset, {"kind": "offset", "size": 6}, 7),
    "cursor": (by_cursor, {"kind": "cursor"}, 4),
    "last row": (by_last_row, {"kind": "cursor", "param": "after", "last_field": "call_id"}, 5),
    "link header": (by_link_header, {"kind": "link"}, 4),
    "link in the body": (by_link_in_body, {"kind": "link", "next": "@odata.nextLink"}, 4),
}
ways = pytest.mark.parametrize(("answer", "paging", "requests"), WAYS.values(), ids=WAYS.keys())


@ways
def test_every_way_of_paging_gives_every_row(
    api: Api,
    open_rest: OpenRest,
    pull: Pull,
    answer: Callable[[Seen], Reply],
    paging: Mapping[str, object],
    requests: int,
) -> None:
    api.answer = answer
    assert rows_of(pull(open_rest(paging=paging))) == ROWS
    assert len(api.seen) == requests


@ways
def test_a_pull_that_is_cut_goes_on_at_the_next_page(
    api: Api,
    open_rest: OpenRest,
    pull: Pull,
    answer: Callable[[Seen], Reply],
    paging: Mapping[str, object],
    requests: int,
) -> None:
    api.answer = answer
    whole = pull(open_rest(paging=paging))
    for number, (_, position) in enumerate(whole[:-1], start=1):
        api.seen.clear()
        rest = pull(open_rest(paging=paging), json.loads(json.dumps(position)))
        assert rest == whole[number:]
        assert len(api.seen) == requests - number


def test_positions_are_flat_and_hold_no_key(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    def answer(seen: Seen) -> Reply:
        assert seen.query["key"] == "s3cret"
        first = int(seen.query.get("from", "0"))
        link = {"Link": f'</calls?key=s3cret&from={first + 10}>; rel="next"'} if first < 20 else {}
        return Reply(ROWS[first : first + 10], headers=link)

    api.answer = answer
    auth = {"kind": "api_key", "place": "query", "name": "key", "value": "s3cret"}
    pieces = pull(open_rest(paging={"kind": "link"}, auth=auth))
    assert rows_of(pieces) == ROWS
    assert "s3cret" not in json.dumps([position for _, position in pieces])
    assert all(not isinstance(value, dict | list) for _, position in pieces for value in position.values())


def test_positions_hold_no_declared_parameter_that_a_link_repeats(
    api: Api, open_rest: OpenRest, pull: Pull, tmp_path: Path
) -> None:
    def answer(seen: Seen) -> Reply:
        assert (seen.query["token"], seen.query["k"]) == ("t0p s3cret+", "in-the-address")
        first = int(seen.query.get("from", "0"))
        echo = f"from={first + 10}&token=t0p%20s3cret%2B&k=in-the-address&plain=1&sort=b%2Ca"
        link = {"Link": f'</calls?{echo}&again=he4der&too=p4ss>; rel="next"'} if first < 20 else {}
        return Reply(ROWS[first : first + 10], headers=link)

    api.answer = answer
    source = open_rest(
        url=f"{api.url}/calls?k=in-the-address",
        params={"token": "t0p s3cret+", "limit": 10},
        headers={"X-Other": "he4der"},
        auth={"kind": "basic", "user": "me", "password": "p4ss"},
        paging={"kind": "link"},
    )
    first, *_ = source.pull(None, folder=tmp_path)
    pieces = pull(source)
    assert rows_of(pieces) == ROWS
    landed = unquote_plus(json.dumps([position for _, position in pieces]))
    assert [word for word in ("s3cret", "in-the-address", "he4der", "p4ss") if word in landed] == []
    assert "plain=1" in landed
    assert all(seen.query.get("sort") == "b,a" for seen in api.seen if "from" in seen.query)
    assert "limit" not in api.seen[-1].query  # what the server left out of its link stays out
    assert rows_of(pull(source, first.position)) == ROWS[10:]  # a pull that was cut goes on with the credentials


def test_a_link_to_its_own_page_is_seen_although_its_credentials_are_taken_out(
    api: Api, open_rest: OpenRest, pull: Pull
) -> None:
    link = {"Link": '</calls?token=s3cret&from=5>; rel="next"'}
    api.then(Reply(ROWS[:5], headers=link), Reply([], headers=link))
    source = open_rest(params={"token": "s3cret"}, paging={"kind": "link"}, max_pages=5)
    assert rows_of(pull(source)) == ROWS[:5]
    assert len(api.seen) == 2
    api.then(Reply(ROWS[:5], headers=link))
    with pytest.raises(SourceError, match="names itself"):
        pull(source)


def test_a_window_whose_page_size_was_changed_begins_again(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = by_page
    (_, position), *_ = pull(open_rest(paging=PAGE))
    assert rows_of(pull(open_rest(paging={**PAGE, "size": 7}), position)) == ROWS


def by_time(rows: list[dict[str, object]]) -> Callable[[Seen], Reply]:
    """A server that gives what is at least as new as asked for, two rows a page."""

    def answer(seen: Seen) -> Reply:
        since, page = seen.query.get("since", ""), int(seen.query["page"])
        found = sorted((row for row in rows if str(row["at"]) >= since), key=lambda row: str(row["at"]))
        return Reply({"rows": found[2 * page - 2 : 2 * page]})

    return answer


SINCE = {"param": "since", "field": "at"}
TIMED: list[dict[str, object]] = [{"call_id": f"c{hour}", "at": f"2026-03-01T0{hour}:00:00Z"} for hour in range(5)]


def test_the_next_pull_asks_for_what_is_newer(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    source = open_rest(paging={"kind": "page"}, since={**SINCE, "first": "2026-03-01"})
    rows = list(TIMED)
    api.answer = by_time(rows)
    first = pull(source)
    assert rows_of(first) == TIMED
    assert {seen.query["since"] for seen in api.seen} == {"2026-03-01"}
    api.seen.clear()
    rows.append({"call_id": "c9", "at": "2026-03-01T09:00:00Z"})
    second = pull(source, first[-1][1])
    assert rows_of(second) == [TIMED[-1], rows[-1]]  # the server's "since" includes the time itself
    assert "2026-03-01T04:00:00Z" in {seen.query["since"] for seen in api.seen}


def test_nothing_new_is_no_piece(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    source = open_rest(paging={"kind": "page"}, since=SINCE)
    api.answer = by_time(TIMED[:1])
    first = pull(source)
    assert len(first) == 1
    assert pull(source, first[-1][1]) == []  # the row of the same time comes again, and is known


def test_a_cut_window_is_finished_before_the_next(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    source = open_rest(paging={"kind": "page"}, since=SINCE)
    rows = list(TIMED)
    api.answer = by_time(rows)
    whole = pull(source)
    rows.append({"call_id": "c9", "at": "2026-03-01T09:00:00Z"})
    api.seen.clear()
    rest = pull(source, whole[0][1])
    asked = [(seen.query.get("since"), seen.query["page"]) for seen in api.seen]
    assert asked[:3] == [(None, "2"), (None, "3"), (None, "4")]
    assert asked[3] == ("2026-03-01T09:00:00Z", "1")
    assert [row for row in rows_of(rest) if row in TIMED] == TIMED[2:]
    assert rows[-1] in rows_of(rest)


def test_the_overlap_goes_back_behind_the_newest(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    source = open_rest(paging={"kind": "page"}, since={**SINCE, "overlap": "PT1H30M"})
    api.answer = by_time(TIMED)
    first = pull(source)
    late: dict[str, object] = {"call_id": "late", "at": "2026-03-01T02:45:00Z"}
    api.answer = by_time([*TIMED, late])
    assert late in rows_of(pull(source, first[-1][1]))


@pytest.mark.parametrize(
    ("form", "stamps", "asked"),
    [("epoch_s", [1772000000, "1772000007.5"], "1772000007"), ("epoch_ms", [1772000000123, 5], "1772000000123")],
)
def test_times_as_numbers(
    api: Api, open_rest: OpenRest, pull: Pull, form: str, stamps: list[object], asked: str
) -> None:
    source = open_rest(since={**SINCE, "format": form})
    api.then(Reply([{"at": at} for at in stamps]), Reply([]))
    ((_, position),) = pull(source)
    assert pull(source, position) == []
    assert api.seen[-1].query == {"since": asked}


def test_a_row_from_the_future_hides_nothing(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    source = open_rest(since=SINCE)
    api.then(Reply([{"at": "2999-01-01T00:00:00Z"}]), Reply([]))
    ((_, position),) = pull(source)
    pull(source, position)
    assert api.seen[-1].query == {"since": "2026-03-01T12:00:00Z"}  # when it was read


def test_no_time_in_any_row_is_said(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply([{"at": "soon"}, {"other": 1}]))
    with pytest.raises(SourceError, match="no record has a time"):
        pull(open_rest(since=SINCE))


def test_a_feed_goes_on_at_its_cursor(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    rows = list(ROWS)

    def answer(seen: Seen) -> Reply:
        first = int(seen.query.get("cursor", "0"))
        given = rows[first : first + 10]
        return Reply({"rows": given, "next_cursor": first + len(given)})

    api.answer = answer
    source = open_rest(paging={"kind": "cursor", "keep": True})
    first = pull(source)
    assert rows_of(first) == ROWS
    assert pull(source, first[-1][1]) == []
    rows.append({"call_id": "new", "seconds": 1})
    assert rows_of(pull(source, first[-1][1])) == [rows[-1]]


def test_the_last_page_of_a_feed_without_successor_is_read_again_for_more(
    api: Api, open_rest: OpenRest, pull: Pull
) -> None:
    api.answer = by_cursor
    source = open_rest(paging={"kind": "cursor", "keep": True})
    first = pull(source)
    assert rows_of(first) == ROWS
    assert pull(source, first[-1][1]) == []  # the same page is known
    assert api.seen[-1].query == {"cursor": "21"}


def test_parameters_in_the_body(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    def answer(seen: Seen) -> Reply:
        asked = json.loads(seen.body)
        assert (seen.method, asked["filter"], seen.query) == ("POST", {"kind": "voice"}, {"v": "2"})
        first = asked["page"]["offset"]
        return Reply({"rows": ROWS[first : first + asked["page"]["limit"]]})

    api.answer = answer
    paging = {"kind": "offset", "param": "page.offset", "size_param": "page.limit", "size": 10}
    body = {"filter": {"kind": "voice"}}
    source = open_rest(method="POST", params={"v": 2}, params_in="body", body=body, paging=paging)
    assert rows_of(pull(source)) == ROWS


def test_404_after_the_last_page(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    def answer(seen: Seen) -> Reply:
        return by_page(seen) if int(seen.query["page"]) <= 5 else Reply(b"<html>", status=404)

    api.answer = answer
    assert rows_of(pull(open_rest(paging={**PAGE, "missing_ends": True}))) == ROWS
    with pytest.raises(SourceError, match="status 404"):
        pull(open_rest(paging=PAGE))


def test_404_at_the_first_page_is_a_wrong_address(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(status=404))
    with pytest.raises(SourceError, match="status 404"):
        pull(open_rest(paging={**PAGE, "missing_ends": True}))


def test_rows_that_are_inserted_while_pages_are_read_come_twice_and_none_is_lost(
    api: Api, open_rest: OpenRest, pull: Pull
) -> None:
    rows = list(ROWS)

    def answer(seen: Seen) -> Reply:
        first = int(seen.query["offset"])
        found = rows[first : first + 10]
        if len(api.seen) <= 4:
            rows.insert(0, {"call_id": f"new{len(rows)}", "seconds": 0})  # every row moves down by one
        return Reply(found)

    api.answer = answer
    given = rows_of(pull(open_rest(paging={"kind": "offset", "size": 10})))
    assert [row for row in ROWS if row not in given] == []
    assert len(given) == len(ROWS) + 3  # one a boundary of pages; the key of the contract tells


def test_endless_pages_end(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = lambda seen: Reply([{"call_id": seen.query["page"]}])
    with pytest.raises(SourceError, match="more than 8 pages"):
        pull(open_rest(paging={"kind": "page"}, max_pages=8))
    assert len(api.seen) == 8


def test_a_server_that_does_not_know_the_page_parameter_is_found_out(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(ROWS))
    with pytest.raises(SourceError, match="are the same"):
        pull(open_rest(paging={"kind": "page"}))
    assert len(api.seen) == 4


def test_a_cursor_that_stands_still_is_found_out(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = lambda _: Reply({"rows": [{"n": len(api.seen)}], "next_cursor": "again"})
    with pytest.raises(SourceError, match="names itself"):
        pull(open_rest(paging={"kind": "cursor"}))


def test_a_next_page_on_another_server_is_not_asked(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(ROWS, headers={"Link": '<http://127.0.0.1:1/calls>; rel="next"'}))
    with pytest.raises(SourceError, match="another server"):
        pull(open_rest(paging={"kind": "link"}))


def test_an_empty_page_with_a_cursor_is_not_the_end(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(
        Reply({"rows": ROWS[:3], "next_cursor": "a"}),
        Reply({"rows": [], "next_cursor": "b"}),
        Reply({"rows": ROWS[3:], "next_cursor": ""}),
    )
    assert rows_of(pull(open_rest(paging={"kind": "cursor"}))) == ROWS


def test_pages_before_a_fault_are_given(
    api: Api, open_rest: OpenRest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def answer(seen: Seen) -> Reply:
        return by_page(seen) if seen.query["page"] != "3" else Reply(status=503)

    api.answer = answer
    given: list[Position] = []
    with pytest.raises(UnavailableError):
        given.extend(part.position for part in open_rest(paging=PAGE).pull(None, folder=tmp_path_factory.mktemp("d")))
    assert [position["page"] for position in given] == [2, 3]


def test_the_last_page_that_got_more_rows_meanwhile(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    rows: list[object] = list(TIMED)

    def answer(seen: Seen) -> Reply:
        page = int(seen.query["page"])
        return Reply({"rows": rows[2 * page - 2 : 2 * page] if "since" not in seen.query else []})

    api.answer = answer
    source = open_rest(paging={"kind": "page"}, since=SINCE)
    first = pull(source)
    assert rows_of(first) == TIMED  # the last page has one row of two
    rows.append({"call_id": "new", "at": "2026-03-01T00:30:00Z"})
    assert pull(source, first[-1][1]) == []  # that window is over
    assert "since" in api.seen[-1].query


def test_a_last_page_of_which_nobody_knows_is_asked_for_again(
    api: Api, open_rest: OpenRest, pull: Pull, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows: list[object] = list(TIMED)
    broken = True

    def answer(seen: Seen) -> Reply:
        page = int(seen.query["page"])
        found = rows[2 * page - 2 : 2 * page] if "since" not in seen.query else []
        return Reply(status=503) if broken and not found else Reply({"rows": found})

    api.answer = answer
    source = open_rest(paging={"kind": "page"}, since=SINCE)
    given: list[Position] = []
    with pytest.raises(UnavailableError):
        given.extend(part.position for part in source.pull(None, folder=tmp_path_factory.mktemp("d")))
    assert [position["page"] for position in given] == [2, 3, 3]
    broken = False
    assert pull(source, given[-1]) == []  # the same page is known
    rows.append({"call_id": "new", "at": "2026-03-01T00:30:00Z"})
    assert rows_of(pull(source, given[-1])) == [TIMED[-1], rows[-1]]


def test_without_since_everything_is_read_each_time(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.answer = by_page
    first = pull(open_rest(paging=PAGE))
    assert rows_of(pull(open_rest(paging=PAGE), first[-1][1])) == ROWS
    assert all(int(b.query["page"]) in (1, int(a.query["page"]) + 1, 6) for a, b in pairwise(api.seen))


def test_a_whole_read_that_ended_in_a_fault_is_followed_by_a_new_one(
    api: Api, open_rest: OpenRest, pull: Pull, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = open_rest(paging={"kind": "page"})
    api.then(Reply(ROWS[:3]), Reply(status=404))
    given: list[Position] = []
    with pytest.raises(SourceError):
        given.extend(part.position for part in source.pull(None, folder=tmp_path_factory.mktemp("d")))
    assert [position["page"] for position in given] == [1]
    api.answer = lambda seen: Reply(ROWS[:3] if seen.query["page"] == "1" else [])
    assert pull(source, given[-1]) == []
    assert [seen.query["page"] for seen in api.seen[2:]] == ["1", "2", "1", "2"]


def test_the_same_single_answer_is_no_news(api: Api, open_rest: OpenRest, pull: Pull) -> None:
    api.then(Reply(ROWS))
    ((_, position),) = pull(open_rest())
    assert pull(open_rest(), position) == []
    api.then(Reply(ROWS[:3]))
    assert rows_of(pull(open_rest(), position)) == ROWS[:3]
