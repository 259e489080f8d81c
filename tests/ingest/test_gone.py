"""Keys that a newer whole of a source does not hold are gone from the table: once, and only those."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from trunkline.contracts import Contract, Flag, Instant, Integer, Pii, Table, Text
from trunkline.contracts import field as described
from trunkline.engine import Engine
from trunkline.errors import SourceError
from trunkline.ingest import Ingested, Target, ingest_file
from trunkline.ingest.landing import Landing
from trunkline.ingest.pulling import pull
from trunkline.ingest.receipts import taken_pieces
from trunkline.ingest.sources import Position, Pulled
from trunkline.lake import Keyring, Lake
from trunkline.lake.versions import current_rows
from trunkline.settings.lake import LakeSettings
from trunkline.settings.privacy import PrivacySettings


class Call(Contract):
    """By a place that grows."""

    table: ClassVar[Table] = Table(key=("call_id",), ordered_by="place", deleted="is_gone", unique="table")

    call_id: Text = described(max_length=10)
    seconds: Integer = described(minimum=0)
    is_gone: Flag = described(aliases=("_deleted",))
    place: Text = described(aliases=("_place",))


class Personal(Call):
    """The key is protected."""

    call_id: Text = described(max_length=10, pii=Pii("call", keep="pseudonym"))


class Arriving(Call):
    """By arrival."""

    table: ClassVar[Table] = Table(key=("call_id",), deleted="is_gone")


class Dated(Call):
    """By an instant of the source's own, which an end does not tell, and which a new whole repeats."""

    table: ClassVar[Table] = Table(key=("call_id",), event_at="at", deleted="is_gone", unique="table")

    at: Instant = described()


class Kept(Call):
    """Nothing says that a key is gone."""

    table: ClassVar[Table] = Table(key=("call_id",), ordered_by="place")


Rows = Mapping[str, int]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Shop:
    """A source that gives what it is told to, from the position on."""

    name: str = "shop"
    steps: list[tuple[str | None, bool, str, Rows]] = field(default_factory=list)

    def part(self, whole: str | None, place: str, **rows: int) -> "Shop":
        """Add rows of a whole, or changes."""
        self.steps.append((whole, False, place, rows))
        return self

    def end(self, whole: str, place: str) -> "Shop":
        """Add the end of a whole."""
        self.steps.append((whole, True, place, {}))
        return self

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Give what comes behind the position."""
        begin = int(position["at"] or 0) if position else 0
        for number, (whole, ends, place, rows) in enumerate(self.steps[begin:], begin + 1):
            path = folder / f"{number}.ndjson"
            said: list[dict[str, object]] = [{"_deleted": True, "_place": place}]
            if not ends:
                at = "2026-03-01T10:00:00Z"
                said = [
                    {"call_id": key, "seconds": seconds, "_deleted": False, "_place": place, "at": at}
                    for key, seconds in rows.items()
                ]
            path.write_text("".join(json.dumps(row) + "\n" for row in said))
            yield Pulled(path, origin="a shop", position={"at": number}, whole=whole, ends=ends)


@dataclass
class Site:
    """A lake with a landing zone."""

    lake: Lake
    folder: Path

    @property
    def landing(self) -> Landing:
        return Landing(self.folder / "landing", clock=now)

    def take(self, shop: Shop, contract: type[Contract] = Call) -> list[Ingested]:
        target, locks = Target("u", "calls", contract), self.folder / "locks"
        return list(pull(shop, target, landing=self.landing, locks=locks, lake=self.lake, run_id="r", clock=now))

    def current(self, contract: type[Contract] = Call) -> dict[str, int]:
        rows = current_rows(self.lake.read("u.calls"), contract, table="u.calls")
        found = self.lake.engine.arrow(rows.select("call_id", "seconds")).to_pylist()
        return {row["call_id"]: row["seconds"] for row in found}

    def gone(self) -> list[dict[str, object]]:
        return [row for row in self.lake.arrow("u.calls").to_pylist() if row["is_gone"]]


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Site:
    keys = Keyring(tmp_path, settings=PrivacySettings(), clock=now)
    return Site(Lake(tmp_path / "lake", engine=engine, settings=LakeSettings(), clock=now, keys=keys), tmp_path)


def begun(whole: str = "1") -> Shop:
    return Shop().part(whole, "1-0", a=1, b=2).part(whole, "1-0", c=3).end(whole, "1-0").part(None, "1-1", d=4, a=9)


@pytest.mark.parametrize("contract", [Call, Arriving, Dated])
def test_what_a_new_whole_does_not_hold_is_gone(site: Site, contract: type[Contract]) -> None:
    shop = begun()
    site.take(shop, contract)
    assert site.current(contract) == {"a": 9 if contract is not Dated else 1, "b": 2, "c": 3, "d": 4}
    shop.part("2", "2-0", a=9).part("2", "2-0", e=5).end("2", "2-0").part(None, "2-1", c=7, f=6)
    last = site.take(shop, contract)
    expected = {"a": 9 if contract is not Dated else 1, "c": 7, "e": 5, "f": 6}
    if contract is Dated:  # at the very instant of the row that is gone: whoever came last
        del expected["c"]
    assert site.current(contract) == expected
    receipt = last[2].receipt
    assert (receipt.read, receipt.accepted, receipt.quarantined, receipt.duplicates) == (3, 3, 0, 0)
    rows = site.gone()
    assert sorted(str(row["call_id"]) for row in rows) == ["b", "c", "d"]
    assert {(row["place"], row["seconds"], row["_batch_id"]) for row in rows} == {("2-0", None, receipt.batch_id)}
    assert sorted(str(row["_row"]) for row in rows) == ["1", "2", "3"]
    assert site.take(shop, contract) == []


def test_the_first_whole_takes_nothing_away_and_an_empty_one_takes_all(site: Site) -> None:
    shop = begun()
    first = site.take(shop)[2].receipt
    assert (first.read, first.accepted, first.table_version) == (0, 0, None)
    (end,) = site.take(shop.end("2", "2-0"))
    assert (end.receipt.read, end.receipt.accepted) == (4, 4)
    assert site.current() == {}
    site.take(shop.part(None, "2-1", b=8))
    assert site.current() == {"b": 8}


def test_a_key_whose_row_is_refused_stays_as_it_was(site: Site) -> None:
    shop = begun()
    site.take(shop)
    site.take(shop.part("2", "2-0", a=1, b=-2).end("2", "2-0"))
    assert site.current() == {"a": 1, "b": 2}


def test_keys_that_came_from_elsewhere_stay(site: Site) -> None:
    path = site.folder / "more.ndjson"
    path.write_text('{"call_id": "x", "seconds": 1, "_deleted": false, "_place": "0"}\n')
    ingest_file(path, Target("u", "calls", Call), lake=site.lake, run_id="r", clock=now)
    site.take(replace(begun(), name="other-shop").part(None, "3", y=2))
    site.take(Shop(name="shop").part("1", "1-0", z=3).end("1", "1-0").end("2", "2-0"))
    assert site.current() == {"a": 9, "b": 2, "c": 3, "d": 4, "x": 1, "y": 2}


def test_a_row_that_was_handed_in_again_is_of_its_source(site: Site) -> None:
    shop = Shop().part("1", "1-0", a=1, b=-2).end("1", "1-0")
    refused = site.take(shop)[0].receipt
    with site.landing.drafts(f"replay-{refused.batch_id}") as folder:
        path = folder / "rows.ndjson"
        path.write_text('{"call_id": "b", "seconds": 2, "_deleted": false, "_place": "1-0"}\n')
        piece = site.landing.land(f"replay-{refused.batch_id}", path, origin="a replay", position={})
    with site.landing.lent(piece) as lent:
        ingest_file(lent, Target("u", "calls", Call), lake=site.lake, run_id="r", clock=now, piece=piece)
    assert site.current() == {"a": 1, "b": 2}
    site.take(shop.part("2", "2-0", a=1).end("2", "2-0"))
    assert site.current() == {"a": 1}


def test_a_protected_key_is_compared_as_the_table_has_it(site: Site) -> None:
    shop = begun()
    site.take(shop, Personal)
    before = site.current(Personal)
    assert not {"a", "b", "c", "d"} & set(before)
    assert site.take(shop.part("2", "2-0", a=1, b=2).end("2", "2-0"), Personal)[1].receipt.accepted == 2
    assert sorted(site.current(Personal).values()) == [1, 2]
    assert set(site.current(Personal)) < set(before)


def test_without_a_flag_nothing_is_gone(site: Site) -> None:
    shop = begun()
    site.take(shop, Kept)
    (end,) = site.take(shop.end("2", "2-0"), Kept)
    assert (end.receipt.read, end.receipt.accepted) == (0, 0)
    assert site.current(Kept) == {"a": 9, "b": 2, "c": 3, "d": 4}


def test_parts_stay_until_their_end_was_taken_in(site: Site) -> None:
    shop = begun().part("2", "2-0", a=1)
    site.take(shop)

    def files() -> list[int]:
        return [piece.number for piece in site.landing.pieces("shop") if piece.path is not None]

    def forget() -> None:
        taken = taken_pieces(site.lake, usecase="u", dataset="calls")
        site.landing.forget(before=now() + timedelta(days=1), taken=taken)

    forget()
    assert files() == [5]  # of a whole that has not ended
    site.take(shop.part("2", "2-0", d=1).end("2", "2-0"))
    assert site.current() == {"a": 1, "d": 1}
    forget()
    assert files() == []


def test_an_end_whose_part_is_gone_is_told_and_the_next_whole_mends_it(site: Site) -> None:
    shop = begun()
    site.take(shop)
    site.take(shop.part("2", "2-0", a=1))
    site.landing.remove(site.landing.pieces("shop")[-1])  # as an erasure does
    shop.end("2", "2-0").part(None, "2-1", e=5)
    with pytest.raises(SourceError, match="raw copy of a part is gone"):
        site.take(shop)
    site.landing.fold(before=now() + timedelta(days=1), remembers=lambda newest: newest.landed_at)
    with pytest.raises(SourceError, match="raw copy of a part is gone") as caught:
        site.take(shop)
    assert "snapshot" in caught.value.next_step
    assert site.current() == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}  # nothing was guessed, nothing waited
    with pytest.raises(SourceError, match="raw copy"):
        site.take(shop.part("3", "3-0", a=2, e=5).end("3", "3-0"))
    assert site.current() == {"a": 2, "e": 5}
    (superseded,) = site.take(shop)
    assert (superseded.receipt.piece, superseded.receipt.read) == ("shop/6", 0)
