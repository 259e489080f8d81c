"""From a server's pages into the lake: nested objects, bad rows, rows that come again."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from tests.ingest.rest.loopback import Api, Reply, Seen

from trunkline.contracts import Contract, Integer, Table, Text, field
from trunkline.ingest import Target
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.sources.protocol import Source
from trunkline.lake import Lake


class Call(Contract):
    table: ClassVar[Table] = Table(key=("call_id",))

    call_id: Text = field(max_length=10)
    cell_id: Text = field(max_length=10, aliases=("cell.id",))
    seconds: Integer = field(minimum=0)


def test_pages_become_batches(api: Api, open_rest: Callable[..., Source], lake: Lake, tmp_path: Path) -> None:
    def row(number: int, seconds: object) -> dict[str, object]:
        return {"call_id": f"c{number}", "cell": {"id": f"x{number}", "sector": 1}, "seconds": seconds}

    pages = {
        "1": [row(1, 5), row(2, -1), row(1, 6)],  # a bad one, and one that comes again in its page
        "2": [row(1, 6), row(3, "7")],  # and in the next
    }

    def answer(seen: Seen) -> Reply:
        return Reply({"calls": pages.get(seen.query["page"], [])})

    def now() -> datetime:
        return datetime.now(UTC)

    api.answer = answer
    taken = pull(
        open_rest(paging={"kind": "page"}),
        Target("calls", "calls", Call),
        landing=Landing(tmp_path / "landing", clock=now),
        locks=tmp_path / "locks",
        lake=lake,
        run_id="r1",
        clock=now,
    )
    counts = [
        (one.receipt.read, one.receipt.accepted, one.receipt.quarantined, one.receipt.duplicates) for one in taken
    ]
    assert counts == [(3, 1, 1, 1), (2, 2, 0, 0)]
    rows = lake.arrow("calls.calls", columns=["call_id", "cell_id", "seconds"]).to_pylist()
    assert sorted((one["call_id"], one["cell_id"], one["seconds"]) for one in rows) == [
        ("c1", "x1", 6),
        ("c1", "x1", 6),
        ("c3", "x3", 7),
    ]
