"""Audiences end to end by the real commands: members, companion, holdout group, campaigns that come back."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from trunkline.checks import arrow_schema
from trunkline.contracts.records import AUDIENCES, AudienceMember, Outcome
from trunkline.run import Workspace
from trunkline.settings import load_settings

pytestmark = pytest.mark.slow

Trunkline = Callable[..., tuple[int, str, str]]

PLUGIN = '''
"""Leavers in miniature, who may take an offer as well."""

from dataclasses import replace
from typing import ClassVar

import sys
sys.path.insert(0, {plugins!r})

import leavers
from trunkline.contracts import Contract, Flag, Instant, Number, Table, Text, col, field
from trunkline.spec import Audience, Offer, Segment


class Result(Contract):
    """One row per subscriber and campaign."""

    table: ClassVar[Table] = Table(key=("subscriber_id", "campaign"), event_at="observed_at")

    subscriber_id: Text = field("Identifier", max_length=32, pii="subscriber")
    campaign: Text = field()
    contacted: Flag = field()
    responded: Flag = field()
    revenue: Number = field()
    observed_at: Instant = field()


usecase = replace(
    leavers.usecase,
    name="takers",
    title="Takers",
    datasets={{**leavers.usecase.datasets, "results": Result}},
    audience=Audience(
        eligible=col("tenure_months") >= 6,
        segments=(
            Segment(name="north", title="In the north", where=col("region") == "north"),
            Segment(name="rest", title="Elsewhere"),
        ),
        offers=(
            Offer(name="warm", title="Something warm", segments=("north",), value=30.0, cost=2.0),
            Offer(name="light", title="Something light", segments=("rest",), value=20.0, cost=2.0),
        ),
        holdout_share=0.2,
        companion="leavers",
        least_stays=0.5,
        results="results",
    ),
)
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of plug-ins of the other tests, and one with an audience beside it."""
    shared = Path(__file__).resolve().parents[1] / "plugins"
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "leavers").symlink_to(shared / "leavers")
    (folder / "takers").mkdir()
    (folder / "takers" / "__init__.py").write_text(PLUGIN.format(plugins=str(shared)), encoding="utf-8")
    (folder / "takers" / "README.md").write_text("# Takers\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def command(plugins: Path, trunkline: Trunkline) -> Trunkline:
    """The real command, which finds both plug-ins."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRUNKLINE_PLUGIN_DIR", str(plugins))
            return trunkline(*arguments)

    return run


def of(folder: Path, plugins: Path) -> Workspace:
    return Workspace(load_settings(workspace=folder, plugin_dir=plugins))


def members_of(folder: Path, plugins: Path, campaign: str) -> list[Mapping[str, object]]:
    with of(folder, plugins) as workspace:
        found = workspace.lake.arrow(
            AUDIENCES, schema=arrow_schema(AudienceMember), where=lambda table: table["campaign"] == campaign
        )
    rows: list[Mapping[str, object]] = found.sort_by("entity_key").to_pylist()
    return rows


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, command: Trunkline, subscribers: Callable[..., pa.Table]
) -> tuple[Path, Path]:
    """A workspace after a run without any answer of the companion, and the rows of the run."""
    folder = tmp_path_factory.mktemp("audience")
    rows = folder / "rows.csv"
    pa_csv.write_csv(subscribers(900), rows)
    code, _, err = command(
        "run", "takers", "--source", rows, "--workspace", folder / "ws", "--run-id", "first", "--json"
    )
    assert code == 0, err
    return folder / "ws", rows


def test_without_the_companion_the_audience_says_so(
    alone: tuple[Path, Path], command: Trunkline, plugins: Path
) -> None:
    code, out, err = command("report", "takers", "--workspace", alone[0], "--json")
    assert code == 0, err
    said = json.loads(out)["audience"]
    assert said["companion"] == "leavers"
    assert said["companion_version"] is None
    assert said["note"] == "The lake has no answers of leavers: the audience is takers only."
    members = members_of(alone[0], plugins, "first")
    assert len(members) == said["members"] == sum(part["members"] for part in said["parts"])
    assert {row["stays"] for row in members} == {None}
    for row in members:
        value = 30.0 if row["segment"] == "north" else 20.0
        assert row["offer"] == ("warm" if row["segment"] == "north" else "light")
        assert row["expected_value"] == pytest.approx(float(str(row["score"])) * value - 2.0)
        assert float(str(row["expected_value"])) > 0
    page = (alone[0] / said["path"]).read_text(encoding="utf-8")
    assert "In the north" in page
    assert "No results of a campaign have come yet." in page
    assert "<script" not in page


def test_whoever_is_held_out_stays_so(
    alone: tuple[Path, Path], command: Trunkline, plugins: Path, subscribers: Callable[..., pa.Table]
) -> None:
    members = members_of(alone[0], plugins, "first")
    share = sum(bool(row["holdout"]) for row in members) / len(members)
    assert 0.12 < share < 0.28, "a fifth of the members"
    more = alone[1].parent / "more.csv"
    pa_csv.write_csv(pa.concat_tables([subscribers(900), subscribers(300, seed=5)]), more)
    code, _, err = command("run", "takers", "--source", more, "--workspace", alone[0], "--run-id", "second", "--json")
    assert code == 0, err
    before = {row["entity_key"]: row["holdout"] for row in members}
    after = {row["entity_key"]: row["holdout"] for row in members_of(alone[0], plugins, "second")}
    both = before.keys() & after.keys()
    assert len(both) > 200
    assert all(before[key] == after[key] for key in both)
    assert len(after.keys() - before.keys()) > 20
    assert len(set(after.values())) == 2


def test_a_repeated_report_makes_nobody_a_member_twice(
    alone: tuple[Path, Path], command: Trunkline, plugins: Path
) -> None:
    before = members_of(alone[0], plugins, "first")
    for _ in range(2):
        assert command("report", "takers", "--run-id", "first", "--workspace", alone[0])[0] == 0
    assert members_of(alone[0], plugins, "first") == before


def test_results_become_outcomes_and_are_held_against_the_holdout_group(
    alone: tuple[Path, Path], command: Trunkline, plugins: Path
) -> None:
    members = members_of(alone[0], plugins, "first")
    results = alone[1].parent / "results.csv"
    took = {str(row["entity_key"]) for row in members if not row["holdout"]}
    responded = sorted(took)[::3]
    with results.open("w", encoding="utf-8") as stream:
        print("subscriber_id,campaign,contacted,responded,revenue,observed_at", file=stream)
        for key in sorted(took):
            yes = key in responded
            print(f"{key},first,true,{str(yes).lower()},{40 if yes else 0},2026-12-01T00:00:00Z", file=stream)
        print("L0-stranger,first,true,true,900,2026-12-01T00:00:00Z", file=stream)
    out = ""
    for _ in range(2):  # twice taken in, once counted
        code, _, err = command("ingest", "takers", "--dataset", "results", results, "--workspace", alone[0])
        assert code == 0, err
        code, out, err = command("report", "takers", "--run-id", "first", "--workspace", alone[0], "--json")
        assert code == 0, err
    whole = next(one for one in json.loads(out)["audience"]["results"] if one["segment"] == "all")
    effect = whole["effect"]
    assert (effect["contacted"], whole["reached"], whole["holdout_contacted"]) == (len(took), len(took), 0)
    assert effect["response"]["value"] == pytest.approx(len(responded) / len(took))
    assert effect["holdout_response"]["value"] == 0.0
    assert effect["incremental_revenue"]["value"] == pytest.approx(40.0 * len(responded))
    assert effect["spend"] == pytest.approx(2.0 * len(took))
    assert effect["incremental_profit"]["low"] < effect["incremental_profit"]["value"]
    with of(alone[0], plugins) as workspace:
        outcomes = workspace.lake.arrow(
            "platform.outcomes", schema=arrow_schema(Outcome), where=lambda table: table["usecase"] == "takers"
        ).to_pylist()
    assert len(outcomes) == len(took)
    by_answer = {row["member_id"]: row["entity_key"] for row in members}
    assert {(row["prediction_id"], row["entity_key"]) for row in outcomes} <= set(by_answer.items())
    assert sum(row["value"] for row in outcomes) == len(responded)
    page = (alone[0] / "runs" / "first" / "audience.html").read_text(encoding="utf-8")
    assert "What campaigns brought" in page
    assert not any(key in page for key in sorted(took)[:50]), "a page names nobody"


def test_with_the_companion_only_those_who_stay_are_members(
    alone: tuple[Path, Path], command: Trunkline, plugins: Path
) -> None:
    folder, rows = alone
    code, _, err = command("run", "leavers", "--source", rows, "--workspace", folder, "--json")
    assert code == 0, err
    code, out, err = command("run", "takers", "--source", rows, "--workspace", folder, "--run-id", "third", "--json")
    assert code == 0, err
    said = json.loads(out)["audience"]
    assert said["companion_version"] == "1"
    assert "will stay (leavers, version 1: at least 50% likely)" in said["note"]
    members = members_of(folder, plugins, "third")
    assert 0 < len(members) < len(members_of(folder, plugins, "first"))
    for row in members:
        stays, score = float(str(row["stays"])), float(str(row["score"]))
        assert stays >= 0.5
        value = 30.0 if row["segment"] == "north" else 20.0
        assert row["expected_value"] == pytest.approx(score * stays * value - 2.0)


def test_an_erased_person_is_no_member_any_more(alone: tuple[Path, Path], command: Trunkline, plugins: Path) -> None:
    member = str(members_of(alone[0], plugins, "first")[0]["entity_key"])
    code, _, err = command("maintain", "--erase", f"subscriber={member}", "--workspace", alone[0])
    assert code == 0, err
    for campaign in ("first", "second", "third"):
        assert member not in {row["entity_key"] for row in members_of(alone[0], plugins, campaign)}
