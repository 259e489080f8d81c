"""Places in a slot's log, of which every change has one."""

from collections import UserDict
from collections.abc import ItemsView
from dataclasses import replace

from trunkline.ingest.sources.cdc.partitions import Partitions
from trunkline.ingest.sources.cdc.slot_log import Place
from trunkline.ingest.sources.cdc.table import Reading


class Counted(UserDict[int, int]):
    """Files of partitions that count how often all of them are gone through."""

    times = 0

    def items(self) -> ItemsView[int, int]:
        self.times += 1
        return super().items()


def test_partitions_are_written_once_and_not_for_every_change() -> None:
    files = Counted({oid: oid for oid in range(20_000, 20_100)})
    place = Place(1, 0, Reading(0), 16_384, Partitions(files))
    written = [replace(place, within=within).position["partitions"] for within in range(50)]
    assert files.times == 1
    assert set(written) == {" ".join(f"{oid}:{oid}" for oid in range(20_000, 20_100))}


def test_a_partition_that_was_read_is_written_so() -> None:
    before = Partitions({20_000: 20_000, 20_001: 20_001}, frozenset({20_000, 20_001}))
    assert before.position["unread"] == "20000 20001"
    after = before.read(20_000)
    assert (after.position["unread"], after.now({**before.files, 20_002: 20_002}).position["unread"]) == (
        "20001",
        "20001 20002",
    )
