"""What every shipped use case owes the platform, found by discovery and never by name."""

from importlib.resources import files

import orjson
import pytest

from trunkline.checks import edge_validator
from trunkline.plugins import load_usecase, usecase_names
from trunkline.spec import (
    BeatsBaselines,
    Calibrated,
    CoverageWithin,
    NoLeakage,
    NotWorseThanChampion,
    OnnxEqual,
    UseCase,
)

OWED: dict[str, set[type]] = {
    "classification": {NotWorseThanChampion, NoLeakage, OnnxEqual, Calibrated},
    "regression": {NotWorseThanChampion, NoLeakage, OnnxEqual},
    "forecasting": {NotWorseThanChampion, BeatsBaselines, CoverageWithin},
}
"""Gates that a task of each kind cannot do without."""


@pytest.fixture(params=usecase_names())
def usecase(request: pytest.FixtureRequest) -> UseCase:
    return load_usecase(request.param)


def test_it_is_documented(usecase: UseCase) -> None:
    text = files(f"trunkline.usecases.{usecase.name}").joinpath(usecase.documentation).read_text(encoding="utf-8")
    said = text.lower()
    for part in ("question", "decision", "grain", "label", "metric", "limits", "references"):
        assert part in said, f"the README says nothing about: {part}"
    assert usecase.question.endswith("?")


def test_it_lets_nothing_out_without_evidence(usecase: UseCase) -> None:
    if usecase.task is None:
        assert usecase.gates == ()
        return
    kinds = {type(gate) for gate in usecase.gates}
    assert kinds >= OWED[usecase.task.name]


def test_its_label_may_be_unknown_and_its_justified_columns_exist(usecase: UseCase) -> None:
    columns = {column.name: column for column in usecase.contract.columns}
    if usecase.task is not None and not usecase.task.reads_history:
        assert columns[usecase.task.label].nullable, "rows to score have no label"
    for name, why in (usecase.justified or {}).items():
        assert name in columns
        assert why


def test_it_can_tell_its_entities_apart(usecase: UseCase) -> None:
    assert usecase.entity_key, "without a key, or a name of the entity, no comparison on unseen rows"


@pytest.mark.slow
def test_its_simulator_is_seeded_and_fits_its_contract(usecase: UseCase) -> None:
    if usecase.simulate is None:
        assert usecase.name != "churn", "the main job runs without a source"
        return
    first, again, other = (usecase.simulate(rows=200, seed=seed) for seed in (1, 1, 2))
    assert set(first.tables) <= set(usecase.datasets)
    for dataset, table in first.tables.items():
        assert table.equals(again.tables[dataset])
        assert not table.equals(other.tables[dataset])
        validator = edge_validator(usecase.datasets[dataset])
        rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
        refused = [judged.reasons for judged in validator.rows(orjson.dumps(rows, default=str)) if judged.reasons]
        assert refused == []
    assert first.best_score == again.best_score
    assert first.metric == usecase.metric


@pytest.mark.parametrize(
    ("name", "answers"),
    [("churn", True), ("upgrade", True), ("house_prices", True), ("towers", False), ("response_time", False)],
)
def test_the_server_answers_rows_where_a_row_alone_says_enough(name: str, answers: bool) -> None:
    assert load_usecase(name).answers_rows is answers
