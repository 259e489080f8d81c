"""Plans are data: what comes after what, and where a run may end."""

from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.errors import UnknownNameError
from trunkline.plan import STEPS, plan_of
from trunkline.plugins import load_usecase

USECASE = load_usecase("leavers", plugin_dir=Path(__file__).resolve().parents[1] / "plugins")


def test_a_use_case_that_learns_has_every_step_after_the_one_before() -> None:
    plan = plan_of(USECASE)
    assert plan.usecase == "leavers"
    assert tuple(step.name for step in plan.steps) == STEPS
    assert [step.after for step in plan.steps] == [(), *((name,) for name in STEPS[:-1])]
    assert all(step.title for step in plan.steps)


def test_pure_ingestion_learns_nothing() -> None:
    plan = plan_of(replace(USECASE, task=None, gates=()))
    names = [step.name for step in plan.steps]
    assert names == ["ingest", "report"]  # nothing to watch either: there is no champion


@pytest.mark.parametrize("last", STEPS)
def test_a_plan_ends_with_the_step_that_is_asked_for(last: str) -> None:
    cut = plan_of(USECASE).until(last)
    assert cut.steps[-1].name == last
    assert cut.steps == plan_of(USECASE).steps[: len(cut.steps)]


def test_without_a_last_step_it_is_whole() -> None:
    assert plan_of(USECASE).until(None) == plan_of(USECASE)


def test_an_unknown_last_step_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError) as refused:
        plan_of(USECASE).until("deploy")
    assert refused.value.allowed == STEPS


def test_the_same_use_case_gives_the_same_plan() -> None:
    assert plan_of(USECASE) == plan_of(USECASE)
