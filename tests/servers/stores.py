"""Object stores: servers of the protocols of S3 (moto), Google Cloud Storage (fake-gcs-server) and Azure (Azurite)."""

import base64
import secrets
import signal
import socket
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.processes import ROOT, SECRET, free_port, program, running

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

ACCOUNT = "trunkline"
NOBODY = "127.0.0.1:9"
_REGION = "us-east-1"


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own, empty when a test gets it.

    Attributes:
        kind: The scheme of its addresses.
        name: The bucket's, or the container's.
        address: Where it is, without a slash at its end.
        options: What the settings say of its store.
        filesystem: The store as the tests themselves see it.
        environment: Variables that say of the store's credentials what ``options`` do.
        keyless: The options beside those variables.
        away: The options of a store that nobody serves.
        refusing: Gives options of which the store refuses the credentials, for a block.
    """

    kind: str
    name: str
    address: str
    options: Mapping[str, str]
    filesystem: "FileSystem"
    environment: Mapping[str, str]
    keyless: Mapping[str, str]
    away: Mapping[str, str]
    refusing: Callable[[], AbstractContextManager[Mapping[str, str]]]

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        with self.filesystem.open_output_stream(f"{self.name}/{key}", compression=None) as out:
            out.write(content)


@pytest.fixture(params=["s3", "gs", "abfss"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket in each store; ``@pytest.mark.parametrize("bucket", ["s3"], indirect=True)`` names some."""
    served, make = _STORES[request.param]
    made = make(request.getfixturevalue(served))
    made.filesystem.create_dir(made.name)
    return made


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``http://host:port`` of moto's server; a process, as clients may hold Python's lock while they wait for it."""
    pytest.importorskip("moto.server", reason="moto is not installed")
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
    with running(command, None, folder, ready=lambda: _listens(port), end=signal.SIGTERM):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def gcs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of fake-gcs-server, which looks at no credentials."""
    folder, place = tmp_path_factory.mktemp("gcs"), f"127.0.0.1:{(port := free_port())}"
    said = ("-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-log-level", "warn")
    command = (_installed("gs") / "fake-gcs-server", *said, "-public-host", place, "-external-url", f"http://{place}")
    with running(command, None, folder, ready=lambda: _listens(port), end=signal.SIGTERM):
        yield place


@pytest.fixture(scope="session")
def azure_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """``host:port`` of Azurite, and the key of :data:`ACCOUNT`."""
    folder, port = tmp_path_factory.mktemp("azure"), free_port()
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    script = _installed("azure") / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    said = ("--inMemoryPersistence", "--disableTelemetry", "--silent", "--skipApiVersionCheck")
    place = ("--blobHost", "127.0.0.1", "--blobPort", port)
    command = ("env", f"AZURITE_ACCOUNTS={ACCOUNT}:{key}", program("node", "node"), script, *said, *place)
    with running(command, None, folder, ready=lambda: _listens(port), end=signal.SIGTERM):
        yield f"127.0.0.1:{port}", key


def _installed(what: str) -> Path:
    folder = ROOT / ".cache" / {"gs": "fake-gcs-server", "azure": "azurite"}[what]
    if not folder.is_dir():
        pytest.skip(f"no server of this store is installed: scripts/stores.sh {what} tries to")
    return folder


def _listens(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


def _s3(endpoint: str) -> Bucket:
    from pyarrow.fs import S3FileSystem

    said = {"access_key": "AKIAEXAMPLE", "secret_key": SECRET, "region": _REGION, "endpoint_override": endpoint}

    @contextmanager
    def refusing() -> Iterator[Mapping[str, str]]:
        _post(f"{endpoint}/moto-api/reset-auth", b"0")  # from now on every key is looked at
        try:
            yield said
        finally:
            _post(f"{endpoint}/moto-api/reset-auth", b"inf")

    name = _name()
    return Bucket(
        "s3",
        name,
        f"s3://{name}",
        said,
        S3FileSystem(**said, allow_bucket_creation=True),
        environment={
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": said["access_key"],
            "AWS_SECRET_ACCESS_KEY": SECRET,
        },
        keyless={},
        away=said | {"endpoint_override": f"http://{NOBODY}"},
        refusing=refusing,
    )


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, data=body, method="POST", headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request):
        """What it answers says nothing."""


def _gcs(place: str) -> Bucket:
    from pyarrow.fs import GcsFileSystem

    said = {"anonymous": "true", "scheme": "http", "endpoint_override": place}
    name = _name()
    return Bucket(
        "gs",
        name,
        f"gs://{name}",
        said,
        GcsFileSystem(anonymous=True, scheme="http", endpoint_override=place, project_id="trunkline"),
        environment={},
        keyless=said,
        away=said | {"endpoint_override": NOBODY},
        refusing=lambda: nullcontext(said),
    )


def _azure(served: tuple[str, str]) -> Bucket:
    from pyarrow.fs import AzureFileSystem

    place, key = served

    def at(authority: str) -> dict[str, str]:
        said = {f"{part}_storage_authority": authority for part in ("blob", "dfs")}
        return said | {f"{part}_storage_scheme": "http" for part in ("blob", "dfs")}

    name = _name()
    other = base64.b64encode(secrets.token_bytes(64)).decode()
    return Bucket(
        "abfss",
        name,
        f"abfss://{name}@{ACCOUNT}.dfs.core.windows.net",
        at(place) | {"account_key": key},
        AzureFileSystem(account_name=ACCOUNT, account_key=key, **at(place)),
        environment={"AZURE_STORAGE_ACCOUNT_KEY": key},
        keyless=at(place),
        away=at(NOBODY) | {"account_key": key},
        refusing=lambda: nullcontext(at(place) | {"account_key": other}),
    )


def _name() -> str:
    return f"b{uuid.uuid4().hex[:12]}"


_STORES: dict[str, tuple[str, Callable[..., Bucket]]] = {
    "s3": ("s3_endpoint", _s3),
    "gs": ("gcs_endpoint", _gcs),
    "abfss": ("azure_endpoint", _azure),
}
