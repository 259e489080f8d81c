"""Windows of streams: whatever order rows come in, and wherever a refresh dies, they are what one look would give."""

import hashlib
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
import pytest

from trunkline.contracts import Contract, Instant, Integer, Number, Table, Text, col, field
from trunkline.contracts.records import QUARANTINE, RECEIPTS
from trunkline.engine import open_engine
from trunkline.errors import UseCaseError
from trunkline.features.windows import END, START
from trunkline.ingest.derived.inputs import lineage_schema
from trunkline.lake import Lake
from trunkline.run.windowing import CRASH_POINTS, Refreshed, refresh_windows, refreshing
from trunkline.settings import LakeSettings
from trunkline.spec import Ewma, HalfSpace, Lookup, UseCase, Windowed, WindowRule, Windows

if TYPE_CHECKING:
    import ibis.expr.types as ir

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LATENESS = timedelta(minutes=30)


class Sample(Contract):
    """One row per device and instant."""

    table: ClassVar[Table] = Table(key=("device", "at"), event_at="at")

    device: Text = field()
    at: Instant = field()
    value: Number | None = field()


class Place(Contract):
    """Where a device stands, and since when."""

    table: ClassVar[Table] = Table(key=("device", "since_at"), event_at="since_at")

    device: Text = field()
    since_at: Instant = field()
    site: Text = field()


class Minute(Contract):
    """One row per device and minute."""

    table: ClassVar[Table] = Table(key=("device", START))

    device: Text = field()
    window_start_at: Instant = field()
    window_end_at: Instant = field()
    samples: Integer = field(minimum=1)
    total: Number | None = field(maximum=1e6)
    site: Text | None = field()
    score: Number | None = field()


def summed(rows: "ir.Table") -> "ir.Table":
    return rows.group_by("device", START, END).aggregate(samples=rows.count(), total=rows["value"].sum())


def made(**changes: object) -> UseCase:
    said: dict[str, object] = {
        "contract": Minute,
        "dataset": "samples",
        "by": ("device",),
        "windows": Windows(length=timedelta(minutes=2), every=timedelta(minutes=1), lateness=LATENESS),
        "expression": summed,
        "lookups": (Lookup(dataset="places", on=("device",), columns={"site": "site"}, valid_from="since_at"),),
        "scores": {"score": Ewma(of="total", half_life=4, warmup=3)},
        "rules": {"high": WindowRule(when=col("total") > 150, title="high", cooldown=timedelta(minutes=5))},
    }
    return UseCase(
        name="meters",
        title="Meters",
        question="How much?",
        datasets={"samples": Sample, "places": Place},
        windows={"minutes": Windowed(**{**said, **changes})},  # type: ignore[arg-type]  # as they are
        main="samples",
        task=None,
        metric="",
    )


class Bench:
    """A lake, and a clock that goes on by a second at each look."""

    def __init__(self, root: Path, usecase: UseCase) -> None:
        self.usecase = usecase
        self._locks = root / "locks"
        self._now = datetime(2026, 2, 1, tzinfo=UTC)
        self.lake = Lake(root / "lake", engine=open_engine(threads=1), settings=LakeSettings(), clock=self.clock)
        self._batches = 0

    def clock(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def take(self, rows: Sequence[Mapping[str, object]], dataset: str = "samples") -> None:
        self._batches += 1
        at = self.clock()
        lineage = {"_run_id": "r", "_batch_id": f"b{self._batches}", "_ingested_at": at}
        contract = self.usecase.datasets[dataset]
        held = [{**row, **lineage, "_row": number} for number, row in enumerate(rows, 1)]
        self.lake.append(f"meters.{dataset}", pa.Table.from_pylist(held, schema=lineage_schema(contract)))

    def refresh(self) -> tuple[Refreshed, ...]:
        return refresh_windows(self.usecase, lake=self.lake, locks=self._locks, run_id="run", clock=self.clock)

    def windows(self) -> list[dict[str, object]]:
        rows = self.lake.current("meters.minutes", key=("device", START), newest_by=("_ingested_at",))
        names = [column.name for column in Minute.columns]
        return self.lake.engine.arrow(rows.select(*names).order_by("device", START)).to_pylist()  # type: ignore[no-any-return]  # rows

    def alerts(self) -> list[str]:
        if not self.lake.exists("platform.alerts"):
            return []
        return sorted(str(row["alert_id"]) for row in self.lake.arrow("platform.alerts").to_pylist())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, made())


def samples(seed: int, *, devices: int = 3, count: int = 120) -> list[dict[str, object]]:
    dice = random.Random(seed)
    found = []
    for device in range(devices):
        at = BEGIN
        for _ in range(count):
            at += timedelta(seconds=dice.choice((1, 7, 20, 45)), microseconds=dice.randrange(1_000_000))
            value = None if dice.random() < 0.1 else dice.choice((1.0, 2.0, 90.0)) * (1 + device)
            found.append({"device": f"d{device}", "at": at, "value": value})
    return found


PLACES = [
    {"device": "d0", "since_at": BEGIN - timedelta(days=1), "site": "north"},
    {"device": "d0", "since_at": BEGIN + timedelta(minutes=10), "site": "south"},
    {"device": "d1", "since_at": BEGIN + timedelta(minutes=20), "site": "east"},
]


def reference(rows: Sequence[Mapping[str, object]]) -> tuple[list[dict[str, object]], list[str]]:
    """All windows, scores and alerts, in plain Python."""
    groups: dict[tuple[str, datetime], list[float | None]] = {}
    for row in {(row["device"], row["at"]): row for row in rows}.values():
        at = row["at"]
        assert isinstance(at, datetime)
        minute = at.replace(second=0, microsecond=0)
        for start in (minute, minute - timedelta(minutes=1)):
            groups.setdefault((str(row["device"]), start), []).append(row["value"])  # type: ignore[arg-type]  # a number
    windows: list[dict[str, object]] = []
    alerts = []
    states: dict[str, tuple[int, float, float]] = {}
    fired: dict[str, datetime] = {}
    for (device, start), values in sorted(groups.items()):
        known = [value for value in values if value is not None]
        total = math.fsum(known) if known else None
        end = start + timedelta(minutes=2)
        sites = [str(place["site"]) for place in PLACES if place["device"] == device and place["since_at"] <= end]  # type: ignore[operator]  # instants
        score = None
        if total is not None:
            count, mean, variance = states.get(device, (0, 0.0, 0.0))
            if count >= 3:
                score = (total - mean) / max(math.sqrt(variance), 1e-9 * max(1.0, abs(mean)))
            weight = max(1 / (count + 1), 1 - 0.5 ** (1 / 4))
            moved = weight * (total - mean)
            states[device] = (count + 1, mean + moved, (1 - weight) * (variance + moved * (total - mean)))
            if total > 150 and (device not in fired or end >= fired[device] + timedelta(minutes=5)):
                fired[device] = end
                said = f'["meters.minutes", "high", "{device}", "{start.isoformat()}"]'
                alerts.append(hashlib.sha256(said.encode()).hexdigest()[:24])
        windows.append(
            {"device": device, START: start, END: end, "samples": len(values), "total": total,
             "site": sites[-1] if sites else None, "score": score}
        )  # fmt: skip
    return windows, sorted(alerts)


def agree(found: list[dict[str, object]], wanted: list[dict[str, object]]) -> None:
    assert [{**row, "score": None} for row in found] == [{**row, "score": None} for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        assert row["score"] == (None if other["score"] is None else pytest.approx(other["score"], rel=1e-6, abs=1e-6))


def test_one_look_gives_what_plain_python_gives(bench: Bench) -> None:
    rows = samples(1)
    bench.take(PLACES, "places")
    bench.take(rows)
    (done,) = bench.refresh()
    windows, alerts = reference(rows)
    agree(bench.windows(), windows)
    assert bench.alerts() == alerts
    assert alerts
    assert (done.windows, done.late, done.receipt.accepted) == (len(windows), 0, len(windows))
    assert bench.refresh() == ()


def test_rarity_depends_on_the_windows_alone_and_not_on_how_often_they_were_looked_at(tmp_path: Path) -> None:
    rows = samples(5, devices=1, count=60)
    rarity = made(scores={"score": HalfSpace(limits={"total": (0, 400), "samples": (0, 12)}, span=10)}, rules={})
    whole, parts = Bench(tmp_path / "whole", rarity), Bench(tmp_path / "parts", rarity)
    whole.take(rows)
    whole.refresh()
    for part in (rows[20:40], rows[:20], rows[40:]):  # the second comes late: those after it are scored again
        parts.take(part)
        parts.refresh()
    assert parts.windows() == whole.windows()
    scores = [row["score"] for row in whole.windows()]
    assert scores[:9] == [None] * 9
    assert len({score for score in scores if score is not None}) > 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_rows_out_of_order_and_sent_twice_give_the_same_windows(bench: Bench, seed: int) -> None:
    rows = samples(seed, count=60)
    dice = random.Random(seed)
    moved = sorted(rows, key=lambda row: row["at"] + timedelta(minutes=dice.random() * 20))  # type: ignore[operator]  # an instant
    bench.take(PLACES, "places")
    for start in range(0, len(moved), 45):
        bench.take(moved[max(0, start - 5) : start + 45])
        bench.refresh()
    bench.lake.compact("meters.samples")
    bench.refresh()
    agree(bench.windows(), reference(rows)[0])
    raised = bench.alerts()  # more than at one look: what was true when it was told stays told
    assert raised
    assert len(raised) == len(set(raised))


def test_a_final_window_takes_nothing_more(bench: Bench) -> None:
    bench.take(
        [{"device": "d", "at": BEGIN, "value": 1.0}, {"device": "d", "at": BEGIN + timedelta(hours=2), "value": 1.0}]
    )
    bench.refresh()
    before = bench.windows()
    bench.take([{"device": "d", "at": BEGIN + timedelta(seconds=1), "value": 5.0}])
    (done,) = bench.refresh()
    assert (done.windows, done.late) == (0, 1)
    assert bench.windows() == before
    bench.take([{"device": "other", "at": BEGIN, "value": 7.0}])  # a device of its own has a time of its own
    (done,) = bench.refresh()
    assert (done.windows, done.late) == (2, 0)


def test_a_clock_that_was_ahead_once_makes_nothing_late(bench: Bench) -> None:
    bench.take([{"device": "d", "at": BEGIN, "value": 1.0}])
    bench.take([{"device": "d", "at": datetime(2099, 1, 1, tzinfo=UTC), "value": 1.0}])
    bench.refresh()
    bench.take([{"device": "d", "at": BEGIN + timedelta(hours=1), "value": 5.0}])
    (done,) = bench.refresh()
    assert (done.windows, done.late) == (2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("at", CRASH_POINTS)
def test_killed_anywhere_the_next_refresh_completes_it(bench: Bench, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = samples(2, devices=1)
    bench.take(PLACES, "places")
    bench.take(rows)

    def dies(name: str) -> None:
        if name == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(refreshing, "point", dies)
        with pytest.raises(KeyboardInterrupt):
            bench.refresh()
    bench.refresh()
    windows, alerts = reference(rows)
    agree(bench.windows(), windows)
    assert bench.alerts() == alerts
    stored = bench.lake.arrow("meters.minutes")
    assert stored.num_rows == len(windows)
    assert bench.lake.arrow(RECEIPTS).num_rows == 1


def test_a_window_that_breaks_its_contract_is_refused_and_comes_back_when_it_is_mended(bench: Bench) -> None:
    bench.take([{"device": "d", "at": BEGIN, "value": 2e6}, {"device": "e", "at": BEGIN, "value": 1.0}])
    (done,) = bench.refresh()
    assert (done.receipt.read, done.receipt.accepted, done.receipt.quarantined) == (4, 2, 2)
    assert {row["device"] for row in bench.windows()} == {"e"}
    assert bench.lake.arrow(QUARANTINE).num_rows == 2
    bench.take([{"device": "d", "at": BEGIN, "value": 3.0}])  # the device corrects itself
    bench.refresh()
    assert {row["device"] for row in bench.windows()} == {"d", "e"}
    newest = bench.lake.current(QUARANTINE, key=("quarantine_id",), newest_by=("changed_at",))
    assert set(bench.lake.engine.arrow(newest).column("state").to_pylist()) == {"replayed"}


def test_the_snippet_of_the_page_is_a_use_case(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "windows.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, object] = {"__name__": "windows_md"}
    exec(compile(code, "windows.md", "exec"), names)
    usecase = names["usecase"]
    assert isinstance(usecase, UseCase)
    bench = Bench(tmp_path, usecase)
    bench.take(
        [{"meter": "m", "at": BEGIN + timedelta(seconds=30 * one), "watts": 100.0 + one % 2} for one in range(40)]
    )
    bench.take([{"meter": "m", "since_at": BEGIN, "site": "north"}], "places")
    (done,) = bench.refresh()
    found = bench.lake.arrow("meters.load")
    assert done.windows == found.num_rows == 61
    assert set(found.column("site").to_pylist()) == {"north"}


Change = Callable[[], UseCase]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: made(windows=Windows(length=timedelta(seconds=1.5))), "whole seconds"),
        (lambda: made(windows=Windows(length=timedelta(minutes=5), every=timedelta(minutes=2))), "multiple"),
        (lambda: made(windows=Windows(length=timedelta(hours=5), every=timedelta(seconds=1))), "would be in 18000"),
        (lambda: made(dataset="nothing"), "does not exist"),
        (lambda: made(by=("name",)), "has no 'name'"),
        (lambda: made(scores={"nothing": Ewma(of="total")}), "has no 'nothing'"),
        (lambda: made(scores={"score": Ewma(of="site")}), "is no number"),
        (lambda: made(scores={"score": Ewma(of="total", warmup=1)}), "warm-up"),
        (lambda: made(scores={"score": HalfSpace(limits={"total": (5, 5)})}), "below the greatest"),
        (lambda: made(scores={"score": HalfSpace(limits={"total": (0, 5)}, span=9)}), "a span of 10 to 500"),
        (lambda: made(scores={"score": HalfSpace(limits={"total": (0, 5), "site": (0, 1)})}), "'site' is no number"),
        (lambda: made(rules={"r": WindowRule(when=col("absent") > 1, title="x")}), "has no 'absent'"),
        (lambda: made(lookups=(Lookup(dataset="places", on=("device",), columns={"site": "town"}),)), "has no 'town'"),
    ],
)
def test_what_cannot_be_computed_is_refused_when_it_is_written(change: Change, says: str) -> None:
    with pytest.raises(UseCaseError, match=says):
        change()
