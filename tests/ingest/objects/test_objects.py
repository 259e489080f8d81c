"""Objects of a store: each once, changed ones again, late ones too. Here through a folder (``file://``).

The code is the same for all stores but for the line that opens one; ``test_s3.py`` opens a real S3 server.
"""

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trunkline.errors import InputError, SourceError, UnavailableError
from trunkline.ingest.landing import Landing
from trunkline.ingest.sources import LedgerSource, Position, declared_from_url, objects, open_source
from trunkline.ingest.sources.objects import Objects, pattern_of
from trunkline.spec.sources import ObjectSource

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Put = Callable[..., Path]
Given = list[tuple[str, bytes, Position]]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "cdr"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def put(store: Path) -> Put:
    """Put an object with a time of change in minutes after noon."""

    def made(key: str, content: bytes = b"a\n1\n", *, minute: float = 0) -> Path:
        path = store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        at = (NOON + timedelta(minutes=minute)).timestamp()
        os.utime(path, (at, at))
        return path

    return made


def source_of(store: Path, pattern: str = "**", **more: object) -> Objects:
    declared = {"kind": "objects", "usecase": "calls", "url": f"file://{store}/{pattern}", **more}
    return Objects("calls", ObjectSource.model_validate(declared))


def pull(source: Objects, landed: Sequence[Position], tmp_path: Path) -> Given:
    folder = tmp_path / "drafts"
    folder.mkdir(exist_ok=True)
    return [
        (part.origin.rpartition("/cdr/")[2], part.path.read_bytes(), part.position)
        for part in source.pull_beside(landed, folder=folder)
    ]


def keys(given: Given) -> list[str]:
    return [key for key, _, _ in given]


def positions(given: Given) -> list[Position]:
    return [position for _, _, position in given]


def test_new_and_changed_objects_are_given_once_oldest_first(store: Path, put: Put, tmp_path: Path) -> None:
    put("b.csv", minute=1)
    put("a.csv", b"a\n2\n", minute=2)
    source = source_of(store)
    first = pull(source, [], tmp_path)
    assert [(key, content) for key, content, _ in first] == [("b.csv", b"a\n1\n"), ("a.csv", b"a\n2\n")]
    assert pull(source, positions(first), tmp_path) == []
    put("b.csv", b"a\n3\n", minute=3)
    put("c/d.csv", minute=3)
    second = pull(source, positions(first), tmp_path)
    assert keys(second) == ["b.csv", "c/d.csv"]
    assert pull(source, positions(first) + positions(second), tmp_path) == []
    json.dumps(positions(second))
    assert isinstance(source, LedgerSource)


@pytest.mark.parametrize("landed", range(4))
def test_a_pull_that_is_cut_goes_on_with_the_rest(store: Path, put: Put, tmp_path: Path, landed: int) -> None:
    for number in range(4):
        put(f"{number}.csv", minute=number // 2)  # two of one time each
    source = source_of(store)
    whole = pull(source, [], tmp_path)
    rest = pull(source, positions(whole[:landed]), tmp_path)
    assert keys(rest) == keys(whole[landed:])


def test_an_object_with_an_older_time_that_comes_late_is_not_missed(store: Path, put: Put, tmp_path: Path) -> None:
    put("a.csv", minute=100)
    source = source_of(store, overlap=timedelta(hours=1))
    first = pull(source, [], tmp_path)
    put("z.csv", minute=41)  # an upload that began before and ended after
    put("same.csv", minute=100)
    put("too-late.csv", minute=39)
    second = pull(source, positions(first), tmp_path)
    assert keys(second) == ["z.csv", "same.csv"]
    assert pull(source, positions(first) + positions(second), tmp_path) == []


def test_the_newest_time_stays_when_a_late_object_lands_last(store: Path, put: Put, tmp_path: Path) -> None:
    put("a.csv", minute=100)
    source = source_of(store, overlap=timedelta(hours=1))
    first = pull(source, [], tmp_path)
    put("b.csv", minute=60)
    second = pull(source, positions(first), tmp_path)
    assert second[-1][2]["newest"] == first[-1][2]["newest"]


def test_a_clock_that_runs_ahead_hides_nothing(store: Path, put: Put, tmp_path: Path) -> None:
    put("a.csv", minute=60 * 24 * 365 * 50)
    source = source_of(store)
    first = pull(source, [], tmp_path)
    (store / "b.csv").write_bytes(b"a\n1\n")  # now
    assert keys(pull(source, positions(first), tmp_path)) == ["b.csv"]


def test_empty_objects_are_no_pieces(store: Path, put: Put, tmp_path: Path) -> None:
    put("marker", b"")
    put("a.csv", b"")
    assert pull(source_of(store), [], tmp_path) == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", ["a.csv"]),
        ("**/*.csv", ["a.csv", "x/b.csv", "x/y/c.csv"]),
        ("*/*.csv", ["x/b.csv"]),
        ("x/**", ["x/b.csv", "x/y/c.csv"]),
        ("x/", ["x/b.csv", "x/y/c.csv"]),
        ("x/y/c.csv", ["x/y/c.csv"]),
        ("?.csv", ["a.csv"]),
        ("[!a].csv", []),
        ("[a-c].csv", ["a.csv"]),
        ("none/*.csv", []),
        ("a.json.GZ", ["a.json.GZ"]),
    ],
)
def test_patterns(store: Path, put: Put, tmp_path: Path, pattern: str, found: list[str]) -> None:
    for key in ("a.csv", "x/b.csv", "x/y/c.csv", "a.json.GZ", "acsv"):
        put(key)
    if pattern.startswith("none"):
        with pytest.raises(SourceError, match="no such folder"):
            pull(source_of(store, pattern), [], tmp_path)
    else:
        assert keys(pull(source_of(store, pattern), [], tmp_path)) == found


def test_the_suffix_that_tells_the_form_stays(store: Path, put: Put, tmp_path: Path) -> None:
    put("calls.v1.JSON.gz")
    (part,) = source_of(store).pull(None, folder=tmp_path)
    assert "".join(part.path.suffixes) == ".json.gz"


def test_a_named_object_that_is_not_there(store: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such object"):
        pull(source_of(store, "a.csv"), [], tmp_path)


def test_an_object_that_vanishes_or_changes_while_it_is_read(
    store: Path, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put("a.csv")
    listed = Objects._listed

    def then(change: Callable[[], object]) -> Callable[..., object]:
        def listing(self: Objects, store: object) -> object:
            found = list(listed(self, store))
            change()
            return iter(found)

        return listing

    monkeypatch.setattr(objects.Objects, "_listed", then(lambda: put("a.csv", b"a\n1\n2\n", minute=5)))
    with pytest.raises(UnavailableError, match="changed while"):
        pull(source_of(store), [], tmp_path)
    monkeypatch.setattr(objects.Objects, "_listed", then(path.unlink))
    with pytest.raises(UnavailableError, match="vanished while"):
        pull(source_of(store), [], tmp_path)


def test_addresses_of_azure_name_container_and_account() -> None:
    pattern = pattern_of("abfss://raw@acme.dfs.core.windows.net/cdr/*.csv")
    assert (pattern.folder, pattern.is_deep) == ("raw/cdr", False)
    assert pattern.keys.fullmatch("raw/cdr/a.csv")


def test_addresses_without_a_bucket_or_a_known_store() -> None:
    for url in ("s3://", "s3://bucket", "s3:///a.csv", "gs://*/a.csv", "s3://b/[z-a].csv"):
        with pytest.raises(InputError):
            open_source("calls", declared_from_url(url, usecase="calls", dataset=None))
    with pytest.raises(InputError, match="credentials belong") as caught:
        open_source("calls", declared_from_url("s3://key:s3cret@bucket/a.csv", usecase="calls", dataset=None))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InputError):
        declared_from_url("ftp://host/a.csv", usecase="calls", dataset=None)


def test_an_unknown_option_is_said_and_none_is_shown(store: Path) -> None:
    with pytest.raises(InputError, match="no option 'acces_key'") as caught:
        source_of(store, options={"acces_key": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_by_url() -> None:
    declared = declared_from_url("s3://cdr/2026/*.csv", usecase="churn", dataset="calls")
    assert (declared.kind, declared.usecase, declared.dataset) == ("objects", "churn", "calls")


def test_retention_of_landed_pieces_does_not_fetch_known_objects_again(store: Path, put: Put, tmp_path: Path) -> None:
    for number in range(3):
        put(f"{number}.csv", minute=number)
    source, landing = source_of(store), Landing(tmp_path / "landing", clock=lambda: NOON)
    with landing.drafts("calls") as folder:
        for part in source.pull_beside([], folder=folder):
            landing.land("calls", part.path, origin=part.origin, position=part.position)
    taken = [piece.piece_id for piece in landing.pieces("calls")]
    assert landing.forget(before=NOON + timedelta(days=90), taken=taken) > 0
    landed = [piece.position for piece in landing.pieces("calls") if piece.position is not None]
    assert pull(source, landed, tmp_path) == []
    put("late.csv", minute=1)
    assert keys(pull(source, landed, tmp_path)) == ["late.csv"]
