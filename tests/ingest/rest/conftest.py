"""A server that each test scripts, and clocks that stand still."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.ingest.rest.loopback import Api, Reply, Times, running

from trunkline.ingest.sources.protocol import Position, Source
from trunkline.ingest.sources.rest import open_source
from trunkline.spec.sources import RestSource


@pytest.fixture
def api() -> Iterator[Api]:
    with running(lambda _: Reply([])) as server:
        yield server


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def open_rest(api: Api, times: Times) -> Callable[..., Source]:
    """Open the source of the server, declared as given."""

    def opened(**declared: object) -> Source:
        said = {"kind": "rest", "usecase": "calls", "url": f"{api.url}/calls", **declared}
        return open_source("calls", RestSource.model_validate(said), timing=times.timing)

    return opened


@pytest.fixture
def pull(tmp_path: Path) -> Callable[[Source, Position | None], list[tuple[bytes, Mapping[str, object]]]]:
    """Pull everything; gives the content and the position of each piece."""

    def pulled(source: Source, position: Position | None = None) -> list[tuple[bytes, Mapping[str, object]]]:
        folder = tmp_path / "drafts"
        folder.mkdir(exist_ok=True)
        return [(part.path.read_bytes(), part.position) for part in source.pull(position, folder=folder)]

    return pulled
