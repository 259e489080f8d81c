"""Every step of a plan has its place in one of five pipelines, in an order that respects the plan."""

from dataclasses import replace

import pytest

from trunkline.dags import PIPELINES, pipelines_of
from trunkline.dags.pipelines import PipelineTask
from trunkline.plan import Plan, Step, plan_of
from trunkline.plugins import load_usecase, usecase_names

ALL = tuple(kind.name for kind in PIPELINES)


def test_there_are_five() -> None:
    assert ALL == ("ingest", "train", "evaluate", "predict", "report")


@pytest.mark.parametrize("name", usecase_names())
def test_the_pipelines_do_every_step_once_and_in_order(name: str) -> None:
    usecase = load_usecase(name)
    plan = plan_of(usecase)
    pipelines = pipelines_of(plan, usecase.derived)
    tasks = [task for pipeline in pipelines for task in pipeline.tasks]
    steps = list(dict.fromkeys(task.step for task in tasks if task.is_awaited))
    assert steps == [step.name for step in plan.steps]
    assert [pipeline.name for pipeline in pipelines] == [one for one in ALL if one in {p.name for p in pipelines}]
    for pipeline in pipelines:
        done: set[str] = set()
        for task in pipeline.tasks:
            assert set(task.after) <= done
            assert task.name not in done
            done.add(task.name)
    if usecase.task is not None:
        assert len(pipelines) == 5


def test_scores_reach_the_sinks_in_the_pipeline_that_makes_them_and_a_sink_that_is_down_stops_nobody() -> None:
    def predicting(name: str) -> dict[str, PipelineTask]:
        usecase = load_usecase(name)
        (found,) = [one for one in pipelines_of(plan_of(usecase), usecase.derived) if one.name == "predict"]
        return {task.name: task for task in found.tasks}

    delivered = predicting("upgrade")["deliver"]
    assert delivered.arguments == ("publish", "upgrade")
    assert (delivered.after, delivered.is_awaited) == (("predict",), False)
    assert predicting("upgrade")["monitor"].after == ("predict",), "neither waits for the other"
    assert set(predicting("house_prices")) == {"predict", "monitor"}, "it publishes nothing"


def test_a_step_that_no_pipeline_names_is_done_by_the_last() -> None:
    usecase = load_usecase("house_prices")
    plan = plan_of(usecase)
    more = Step("celebrate", "with cake", (plan.steps[-1].name,))  # type: ignore[arg-type]  # a step of tomorrow
    *_, last = pipelines_of(replace(plan, steps=(*plan.steps, more)), {})
    assert (last.name, last.tasks[-1].name) == ("report", "celebrate")
    assert last.tasks[-1].arguments == ("celebrate", "house_prices")


def test_a_refused_candidate_stops_what_is_its_own_and_nothing_else() -> None:
    usecase = load_usecase("house_prices")
    refused = {task.name: task.refused for one in pipelines_of(plan_of(usecase), {}) for task in one.tasks}
    assert {name for name, what in refused.items() if what == "skip"} == {"register", "rollout", "predict", "monitor"}


def test_the_towers_keep_the_four_steps_of_the_team() -> None:
    usecase = load_usecase("towers")
    plan = plan_of(usecase)
    (ingest, *_) = pipelines_of(plan, usecase.derived)
    order = [task.name for task in ingest.tasks]
    assert order == [
        "ingest",
        "customers_thresholds",
        "customers_services",
        "customer_service_metrics",
        "cell_tower_performance",
        "alarms",
    ]
    assert ingest.tasks[0].arguments == ("ingest", "towers", "--refresh", "none")
    alarms = ingest.tasks[-1]
    assert (alarms.arguments, alarms.after) == (("alarms", "towers", "--if-any"), ("ingest",))
    assert (alarms.group, alarms.is_awaited) == ("watch", False), "learning does not wait for it"
    for name in order[1:-1]:
        (task,) = [task for task in ingest.tasks if task.name == name]
        assert task.arguments == ("ingest", "towers", "--refresh", name)
        assert (task.group, task.computes) == ("transform", True)
    assert {task.name: task.after for task in ingest.tasks} == {
        "ingest": (),
        "customers_thresholds": ("ingest",),
        "customers_services": ("customers_thresholds",),
        "customer_service_metrics": ("customers_services",),
        "cell_tower_performance": ("customers_services",),
        "alarms": ("ingest",),
    }
    titles = {task.name: task.title for task in ingest.tasks}
    both = "on the way to customer_service_metrics and cell_tower_performance"
    assert titles["customers_services"] == f"compute customers_services, {both}"


def test_tables_that_do_not_read_each_other_are_refreshed_side_by_side() -> None:
    from trunkline.spec import Derived

    contract = load_usecase("towers").contracts["cell_tower_performance"]

    def nothing(tables: object) -> object:
        return tables

    derived = {
        "left": Derived(contract=contract, inputs=("rows",), expression=nothing),
        "right": Derived(contract=contract, inputs=("rows",), expression=nothing),
        "both": Derived(contract=contract, inputs=("left", "right"), expression=nothing),
    }
    plan = Plan(
        "made",
        (Step("ingest", "", ()),),
        ("left", "right", "both"),
        {name: (name,) for name in ("left", "right", "both")},
    )
    (ingest,) = pipelines_of(plan, derived)
    assert {task.name: task.after for task in ingest.tasks} == {
        "ingest": (),
        "left": ("ingest",),
        "right": ("ingest",),
        "both": ("left", "right"),
    }
