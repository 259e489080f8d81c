"""Records in all kinds of envelopes, and what they say of time."""

from datetime import UTC, datetime

import pytest

from trunkline.errors import SourceError
from trunkline.ingest.sources.rest.records import ABSENT, as_document, at_path, list_in, time_text

ROW = {"a": 1}


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        ([ROW], None, [ROW]),
        ({"anything": [ROW], "total": 1}, None, [ROW]),
        ({"anything": [], "total": 0}, None, []),
        ({"result": {"items": [ROW]}}, "result.items", [ROW]),
        ({"result.items": [ROW]}, "result.items", [ROW]),
        ({"a": {"b.c": {"d": [ROW]}}}, "a.b.c.d", [ROW]),
        ({"data": ROW}, "data", [ROW]),
        ({"data": None}, "data", []),
        (ROW, ".", [ROW]),
        ([ROW, 7, {}], ".", [ROW, 7, {}]),
        (None, "data", []),
    ],
)
def test_where_records_stand(document: object, path: str | None, found: list[object]) -> None:
    assert list_in(document, path, where="here") == found


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        ({"rows": [ROW], "links": []}, None, "has 2 lists"),
        ({"error": "x"}, None, "has 0 lists"),
        ({"rows": [ROW]}, "data", "no list at 'data'"),
        ({"data": "x"}, "data", "no list at 'data'"),
        ("text", None, "no list"),
        ([1, 2], None, "no objects"),
        ([{}], None, "no objects"),
    ],
)
def test_answers_without_records(document: object, path: str | None, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        list_in(document, path, where="here")


def test_a_list_that_is_left_out_when_it_is_empty() -> None:
    assert list_in({"total": 0}, "items", where="here", omitted_is_empty=True) == []


def test_a_path_that_leads_nowhere() -> None:
    assert at_path({"a": {"b": 1}}, "a.c") is ABSENT
    assert at_path({"a": [1]}, "a.0") is ABSENT


def test_records_are_written_as_they_came() -> None:
    rows = [{"b": 1, "a": {"x": None}}, {"ü": "\n", "n": 1.10}]
    assert as_document(rows) == '[{"b":1,"a":{"x":null}},\n{"ü":"\\n","n":1.1}]\n'.encode()


def test_a_time_is_never_written_later_than_it_is() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)
    assert time_text(at, "iso") == "2026-03-01T12:00:00.999999Z"
    assert time_text(at, "epoch_ms") == 1772366400999
