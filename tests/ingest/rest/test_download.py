"""One file behind an address: streamed to disk, and again only when it changed."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.ingest.rest.loopback import Api, Reply, Seen, Times

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest.sources import declared_from_url
from trunkline.ingest.sources.protocol import Position, Source
from trunkline.ingest.sources.rest import open_source
from trunkline.ingest.sources.rest.download import file_suffix
from trunkline.spec.sources import RestSource

OpenRest = Callable[..., Source]
Pull = Callable[..., list[tuple[bytes, Position]]]

CSV = b"call_id,seconds\nc1,7\n"


@pytest.fixture
def open_file(api: Api, open_rest: OpenRest) -> OpenRest:
    def opened(name: str = "calls.csv", **declared: object) -> Source:
        return open_rest(url=f"{api.url}/{name}", answer="file", **declared)

    return opened


def test_a_file_is_fetched_once(api: Api, open_file: OpenRest, pull: Pull, tmp_path: Path) -> None:
    def answer(seen: Seen) -> Reply:
        is_known = seen.headers.get("If-None-Match") == '"v1"'
        return Reply(status=304) if is_known else Reply(CSV, headers={"ETag": '"v1"'})

    api.answer = answer
    ((content, position),) = pull(open_file())
    assert content == CSV
    assert pull(open_file(), position) == []
    assert api.seen[-1].headers["If-None-Match"] == '"v1"'


def test_the_same_bytes_under_another_tag_are_no_news(api: Api, open_file: OpenRest, pull: Pull) -> None:
    api.answer = lambda _: Reply(CSV, headers={"ETag": f'"{len(api.seen)}"'})
    ((_, position),) = pull(open_file())
    assert pull(open_file(), position) == []
    api.answer = lambda _: Reply(CSV + b"c2,8\n")
    assert [content for content, _ in pull(open_file(), position)] == [CSV + b"c2,8\n"]


def test_a_download_that_breaks_off_begins_again(api: Api, open_file: OpenRest, pull: Pull, times: Times) -> None:
    api.then(Reply(CSV * 1000, cut_after=999), Reply(CSV * 1000))
    ((content, _),) = pull(open_file())
    assert content == CSV * 1000
    assert len(times.slept) == 1


def test_a_packed_file_stays_packed(api: Api, open_file: OpenRest, pull: Pull) -> None:
    packed = gzip.compress(CSV)
    api.then(Reply(packed, headers={"Content-Encoding": "gzip"}))
    assert pull(open_file("calls.csv.gz"))[0][0] == packed
    assert pull(open_file("calls.csv"))[0][0] == CSV


def test_a_missing_file_is_said(api: Api, open_file: OpenRest, pull: Pull) -> None:
    api.then(Reply(status=404))
    with pytest.raises(SourceError, match="status 404"):
        pull(open_file())


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("calls.csv", Reply(CSV)),
        ("calls.csv", Reply(CSV, length=False)),
        ("calls.csv.gz", Reply(gzip.compress(CSV, mtime=0), length=False)),
        (
            "calls.csv",
            Reply(gzip.compress(CSV * 50, mtime=0), headers={"Content-Encoding": "gzip"}),
        ),  # counted unpacked
    ],
)
def test_a_file_beyond_the_declared_size_is_refused_at_once(
    api: Api, open_file: OpenRest, pull: Pull, times: Times, name: str, reply: Reply
) -> None:
    api.then(reply)
    written = len(CSV * 50) if reply.headers else len(reply.content)
    assert len(pull(open_file(name, max_file_gib=written / 2**30))) == 1
    with pytest.raises(SourceError, match="larger than"):
        pull(open_file(name, max_file_gib=(written - 1) / 2**30))
    assert times.slept == []


@pytest.mark.parametrize("name", ["calls.csv", "calls.csv.gz"])
def test_a_file_that_takes_too_long_ends_the_pull(api: Api, times: Times, pull: Pull, name: str) -> None:
    def ticking() -> float:  # each look at the clock is a second later
        times.passed_s += 1
        return 1000 + times.passed_s

    timing = replace(times.timing, monotonic=ticking)
    api.then(Reply(gzip.compress(CSV), length=False))

    def opened(**said: object) -> Source:
        declared = {"kind": "rest", "usecase": "calls", "url": f"{api.url}/{name}", "answer": "file", **said}
        return open_source("calls", RestSource.model_validate(declared), timing=timing)

    assert len(pull(opened(file_timeout_s=100))) == 1
    with pytest.raises(UnavailableError, match=r"longer than 0\.5 s"):
        pull(opened(file_timeout_s=0.5))
    assert times.slept == []


@pytest.mark.parametrize("name", ["calls", "calls.exe", "calls.gz", "calls.csv/list"])
def test_an_address_without_a_form(open_file: OpenRest, name: str) -> None:
    with pytest.raises(InputError, match="does not tell the form"):
        open_file(name)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.csv", ".csv"), ("a.tar.csv", ".csv"), ("A%2ECSV", ".csv"), ("a.json.gz", ".json.gz"), ("a.v2.zip", ".zip")],
)
def test_suffixes_of_addresses(name: str, suffix: str) -> None:
    assert file_suffix(f"https://host/{name}?x=.exe") == suffix


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://example.com/calls.csv?day=3", "file"),
        ("https://example.com/v1/calls", "records"),
        ("http://127.0.0.1:8000/calls.json.gz", "file"),
    ],
)
def test_by_url(url: str, answer: str) -> None:
    declared = declared_from_url(url, usecase="churn", dataset=None)
    assert isinstance(declared, RestSource)
    assert (declared.url, declared.answer) == (url, answer)


@pytest.mark.parametrize("url", ["http://example.com/calls.csv", "https://me:s3cret@example.com/calls"])
def test_an_address_that_may_not_be_asked(url: str) -> None:
    with pytest.raises(InputError, match="cannot be asked") as caught:
        declared_from_url(url, usecase="churn", dataset=None)
    assert "s3cret" not in str(caught.value)
