"""Objects of an S3 server (moto's) on loopback: the same bytes, clear words where something is refused."""

import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest import Ingested, Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources.objects import Objects
from trunkline.lake import Lake
from trunkline.spec.sources import ObjectSource

pytestmark = pytest.mark.servers
moto_server = pytest.importorskip("moto.server", reason="moto is not installed")


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def options(endpoint: str) -> dict[str, str]:
    post(f"{endpoint}/moto-api/reset")
    return {"access_key": "AKIAEXAMPLE", "secret_key": "s3cret", "region": "us-east-1", "endpoint_override": endpoint}


def post(url: str, body: bytes = b"") -> None:
    request = urllib.request.Request(url, data=body, method="POST", headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request):
        """What it answers says nothing."""


def put(options: dict[str, str], key: str, content: bytes) -> None:
    from pyarrow.fs import S3FileSystem

    store = S3FileSystem(**options, allow_bucket_creation=True)
    store.create_dir(key.partition("/")[0])
    with store.open_output_stream(key) as out:
        out.write(content)


def source_of(options: dict[str, str], url: str = "s3://cdr/2026/*.csv") -> Objects:
    declared = {"kind": "objects", "usecase": "calls", "url": url, "options": options}
    return Objects("cdr", ObjectSource.model_validate(declared))


def now() -> datetime:
    return datetime.now(UTC)


def take(source: Objects, lake: Lake, tmp_path: Path) -> list[Ingested]:
    landing = Landing(tmp_path / "landing", clock=now)
    target = Target("calls", "calls", Call)
    return list(pull(source, target, landing=landing, locks=tmp_path / "locks", lake=lake, run_id="r1", clock=now))


def test_each_object_enters_the_lake_once(options: dict[str, str], lake: Lake, tmp_path: Path) -> None:
    put(options, "cdr/2026/a.csv", b"call_id,seconds\nc1,1\nc2,2\n")
    put(options, "cdr/2026/b.csv", b"call_id,seconds\nc3,3\n")
    put(options, "cdr/2025/old.csv", b"call_id,seconds\nc0,0\n")
    first = take(source_of(options), lake, tmp_path)
    assert sorted(taken.receipt.source for taken in first) == ["s3://cdr/2026/a.csv", "s3://cdr/2026/b.csv"]
    assert take(source_of(options), lake, tmp_path) == []
    put(options, "cdr/2026/b.csv", b"call_id,seconds\nc3,3\nc4,4\n")
    (second,) = take(source_of(options), lake, tmp_path)
    assert (second.receipt.source, second.receipt.read) == ("s3://cdr/2026/b.csv", 2)
    assert set(lake.arrow("calls.calls").column("call_id").to_pylist()) == {"c1", "c2", "c3", "c4"}


def test_a_large_object_comes_whole(options: dict[str, str], tmp_path: Path) -> None:
    content = b"call_id,seconds\n" + b"".join(b"c%07d,7\n" % number for number in range(900_000))
    put(options, "cdr/2026/large.csv", content)
    (part,) = source_of(options).pull(None, folder=tmp_path)
    assert part.path.read_bytes() == content


def test_keys_of_the_environment(
    options: dict[str, str], endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(options, "cdr/2026/a.csv", b"a\n1\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    assert len(list(source_of({}).pull(None, folder=tmp_path))) == 1


def test_a_missing_bucket(options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such bucket"):
        list(source_of(options, "s3://nothing-here/x/*.csv").pull(None, folder=tmp_path))


def test_a_folder_in_which_nothing_arrived_yet(options: dict[str, str], tmp_path: Path) -> None:
    put(options, "cdr/2025/old.csv", b"a\n1\n")
    assert list(source_of(options).pull(None, folder=tmp_path)) == []


def test_wrong_credentials(options: dict[str, str], endpoint: str, tmp_path: Path) -> None:
    put(options, "cdr/2026/a.csv", b"a\n1\n")
    post(f"{endpoint}/moto-api/reset-auth", b"0")  # from now on every key is looked at
    try:
        with pytest.raises(SourceError, match="credentials are refused") as caught:
            list(source_of(options).pull(None, folder=tmp_path))
    finally:
        post(f"{endpoint}/moto-api/reset-auth", b"inf")
    assert "AKIAEXAMPLE" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_store_that_does_not_answer(options: dict[str, str], tmp_path: Path) -> None:
    nobody = {**options, "endpoint_override": "http://127.0.0.1:9"}
    with pytest.raises(UnavailableError, match="cannot be listed"):
        list(source_of(nobody).pull(None, folder=tmp_path))
