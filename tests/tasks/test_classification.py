"""A classification from a typed table to a model and its report."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.tasks.conftest import FEATURES, ROW_FEATURES, make_table, small_learners, small_task

from trunkline.contracts import col
from trunkline.errors import InputError, LabelError, SchemaError, UseCaseError
from trunkline.tasks import (
    Classification,
    Feature,
    Learner,
    Preprocessing,
    Profit,
    SearchRange,
    TrainedRows,
    TrainingReport,
)
from trunkline.tasks.learners import default_classifiers

QUICK = {"n_estimators": 12}


def test_the_report_holds_everything_and_survives_json(trained: TrainedRows) -> None:
    report = trained.report
    assert TrainingReport.model_validate_json(report.model_dump_json()) == report
    assert [one.name for one in report.learners] == ["logistic", "lightgbm", "xgboost"]
    assert all(len(one.fold_scores["roc_auc"]) == 3 for one in report.learners)
    assert sum(report.champion.weights.values()) == pytest.approx(1.0)
    assert set(report.metrics) == set(report.test_metrics) >= {"roc_auc", "f1", "ece", "neg_log_loss"}
    assert all(metric.low <= metric.value <= metric.high for metric in report.metrics.values())
    assert report.rows.train + report.rows.test == 700
    assert report.rows.test == 140
    assert set(report.slices) == {"plan", "months", "paperless"}
    assert {one.name for one in report.slices["plan"].slices} == {"basic", "plus", "pro", None}
    assert report.curves is not None
    assert report.test_curves is not None
    assert report.test_curves.confusion.true_positives > 0
    assert report.importances[0].feature in {"months", "charge", "plan"}
    assert report.leakage.strongest in {"months", "long", "charge_per_month"}
    assert not report.leakage.suspicious
    assert report.seconds.keys() >= {"encode", "compare and tune", "fit", "evidence"}


def test_it_learns_what_is_there(trained: TrainedRows) -> None:
    assert trained.report.metrics["roc_auc"].low > 0.7
    assert trained.report.test_metrics["roc_auc"].value > 0.7


def test_onnx_equals_the_trainers(trained: TrainedRows) -> None:
    equality = trained.report.equality
    assert equality.equal
    assert equality.largest_difference < 1e-5
    assert all(
        equality.rows[case] for case in ("held out", "nulls", "unknown categories", "extremes", "split thresholds")
    )


def test_latency_is_measured(trained: TrainedRows) -> None:
    assert 0 < trained.report.latency.p50_us <= trained.report.latency.p99_us


@pytest.mark.slow
def test_same_seed_same_bytes(table: pa.Table, trained: TrainedRows) -> None:
    again = small_task(slices=("plan", "months", "paperless")).train(table, seed=3, threads=1)
    assert again.model.fingerprint == trained.model.fingerprint
    assert again.model.predict(table).equals(trained.model.predict(table))
    other = small_task(slices=("plan", "months", "paperless")).train(table, seed=4, threads=1)
    assert other.model.fingerprint != trained.model.fingerprint


def test_fitted_rows_are_the_training_rows(table: pa.Table, trained: TrainedRows) -> None:
    assert len(trained.fitted_rows) == trained.report.rows.train
    everything = small_task(learners=small_learners()[:1], refit_on_all=True).train(table, seed=3)
    assert everything.fitted_rows.tolist() == list(range(700))
    assert everything.report.rows.test == 140
    assert everything.model.info.trained_rows == 700


def test_small_tables_are_cut_twice_and_time_once(table: pa.Table) -> None:
    task = small_task(learners=small_learners()[:1], repeats="by_rows")
    assert [task.repetitions(rows) for rows in (500, 19_999, 20_000)] == [2, 2, 1]
    assert small_task(repeats=3).repetitions(50_000) == 3
    assert small_task(repeats="by_rows", order="day").repetitions(500) == 1
    report = task.train(table, seed=0).report
    assert report.repeats == 2
    assert {len(scores) for scores in report.learners[0].fold_scores.values()} == {2 * task.folds}


def test_unlabelled_rows_are_left_out(table: pa.Table) -> None:
    label = pc.if_else(pc.equal(pc.bit_wise_and(pa.array(range(700)), 3), 0), None, table["churned"])
    holed = table.set_column(table.column_names.index("churned"), "churned", label)
    found = small_task(learners=small_learners()[:1]).train(holed, seed=0)
    assert found.report.rows.unlabelled == 175
    assert not set(found.fitted_rows.tolist()) & set(range(0, 700, 4))


def test_profit_decides_the_threshold(table: pa.Table) -> None:
    task = small_task(learners=small_learners()[:1], profit=Profit(value=100, cost=2))
    cheap = task.train(table, seed=0).report
    dear = small_task(learners=small_learners()[:1], profit=Profit(value=100, cost=60)).train(table, seed=0).report
    assert cheap.champion.threshold is not None
    assert dear.champion.threshold is not None
    assert cheap.champion.threshold < dear.champion.threshold
    assert cheap.curves is not None
    assert cheap.curves.profit is not None


def test_grouped_rows_stay_together(table: pa.Table) -> None:
    found = small_task(learners=small_learners()[:1], group="household").train(table, seed=0)
    fitted = set(table.take(pa.array(found.fitted_rows))["household"].to_pylist())
    rest = set(table["household"].to_pylist()) - fitted
    assert len(found.fitted_rows) == 2 * len(fitted)
    assert rest
    assert found.report.split == "grouped by household"


@pytest.mark.parametrize("resample", ["smote", "random_under", "smotenc"])
def test_calibration_comes_after_resampling(table: pa.Table, resample: str) -> None:
    """Resampled rows put the mean score near one half; calibrated it is the share of churners again."""
    few = table.filter(
        pa.array([not churned or row % 4 == 0 for row, churned in enumerate(table["churned"].to_pylist())])
    )
    found = small_task(learners=small_learners()[:1], resample=resample).train(few, seed=0)
    scores = found.model.predict(few)["score"].to_numpy()
    assert abs(scores.mean() - np.mean(few["churned"].to_pylist())) < 0.03


def test_class_weight_is_calibrated_away(table: pa.Table) -> None:
    found = small_task(learners=small_learners()[1:2], class_weight="balanced", calibration="beta").train(table, seed=0)
    scores = found.model.predict(table)["score"].to_numpy()
    assert abs(scores.mean() - np.mean(table["churned"].to_pylist())) < 0.04
    assert found.report.champion.calibration.kind == "beta"
    assert found.report.equality.equal


@pytest.mark.slow
def test_a_search_keeps_its_history_and_never_loses_to_the_declared(table: pa.Table) -> None:
    booster = small_learners()[1].model_copy(
        update={
            "search": {"num_leaves": SearchRange(low=2, high=16, whole=True), "reg_lambda": SearchRange(low=0, high=9)}
        }
    )
    task = small_task(learners=(booster,), tune="best", trials=14, tuning_folds=3)
    first, second = (task.train(table, seed=1, threads=threads).report for threads in (1, 3))
    (history,) = first.tuning
    assert [trial.number for trial in history.trials] == list(range(14))
    assert any(trial.pruned for trial in history.trials)
    assert history.trials[0].parameters["num_leaves"] == 5
    assert history.trials[history.best].score >= history.trials[0].score
    assert first.learners[0].tuned
    assert first.learners[0].parameters["num_leaves"] == history.trials[history.best].parameters["num_leaves"]
    assert first.tuning == second.tuning


def test_a_time_ceiling_is_recorded(table: pa.Table) -> None:
    booster = small_learners()[1].model_copy(update={"search": {"reg_lambda": SearchRange(low=0, high=9)}})
    ticks = iter(range(0, 10_000_000, 400))
    task = small_task(learners=(booster,), tune="best", trials=9, tuning_folds=2, ceiling_seconds=1_000)
    report = task.train(table, seed=1, clock=lambda: float(next(ticks))).report
    assert report.tuning[0].ceiling_hit
    assert 1 <= len(report.tuning[0].trials) < 9
    assert any("time ceiling" in warning for warning in report.warnings)


def test_a_grid_is_tried_in_full(table: pa.Table) -> None:
    learner = small_learners()[0].model_copy(update={"grid": {"C": (0.001, 0.1, 10.0)}})
    report = small_task(learners=(learner,)).train(table, seed=1).report
    assert [trial.parameters["C"] for trial in report.tuning[0].trials] == [0.001, 0.1, 10.0]
    best = max(report.tuning[0].trials, key=lambda trial: trial.score)
    assert report.learners[0].parameters["C"] == best.parameters["C"]


def test_declared_weights_are_used(table: pa.Table) -> None:
    weights = {"logistic": 3.0, "lightgbm": 1.0}
    found = small_task(weights=weights).train(table, seed=1)
    assert found.report.champion.weights == {"logistic": 0.75, "lightgbm": 0.25}
    assert [part.name for part in found.model.parts] == ["logistic", "lightgbm"]


def test_the_five_defaults_learn_and_neighbours_stay_out(table: pa.Table) -> None:
    quick = tuple(
        one.model_copy(update={"parameters": {**one.parameters, **(QUICK if "n_estimators" in one.parameters else {})}})
        for one in default_classifiers()
    )
    found = small_task(learners=quick).train(table, seed=1, threads=2)
    assert {one.name for one in found.report.learners} == {
        "logistic_regression", "nearest_neighbours", "random_forest", "xgboost", "lightgbm",
    }  # fmt: skip
    assert "nearest_neighbours" not in found.report.champion.weights
    assert found.report.equality.equal


@pytest.mark.slow
def test_scaling_helps_nearest_neighbours(table: pa.Table) -> None:
    """What the learner is compared for: without scaling, the column with the largest unit decides alone."""
    wide = table.append_column("cents", pa.array(np.random.default_rng(0).normal(0, 1e6, 700)))

    def area(scale: str) -> float:
        learner = Learner.model_validate(
            {
                "name": "near",
                "kind": "nearest_neighbours",
                "parameters": {"n_neighbors": 25},
                "preprocessing": {"scale": scale},
            }
        )
        task = small_task(learners=(learner,), features=(*FEATURES, Feature("cents")))
        return task.train(wide, seed=0).report.metrics["roc_auc"].value

    assert area("standard") > area("none") + 0.05


def test_a_feature_that_is_filled_in_for_leavers_only_is_found(table: pa.Table) -> None:
    code = pc.if_else(table["churned"], pa.array(np.random.default_rng(0).normal(5, 1, table.num_rows)), None)
    leaky = table.append_column("reason", code)
    task = small_task(learners=small_learners()[1:2], features=(*FEATURES, Feature("reason")))
    report = task.train(leaky, seed=0).report
    assert report.leakage.strongest == "reason"
    assert report.leakage.scores["reason"] == 1.0


def test_a_leaking_feature_is_found(table: pa.Table) -> None:
    leak = pc.add(table["churned"].cast(pa.float64()), pa.array(np.random.default_rng(0).normal(0, 0.01, 700)))
    leaky = table.append_column("closed", leak)
    task = small_task(learners=small_learners()[:1], features=(*FEATURES, Feature("closed")))
    report = task.train(leaky, seed=0).report
    assert report.leakage.strongest == "closed"
    assert report.leakage.suspicious == ("closed",)
    assert any("closed" in warning for warning in report.warnings)


def test_the_declaration_survives_json(trained: TrainedRows) -> None:
    task = small_task(slices=("plan",), profit=Profit(value=2, cost=1))
    again = Classification.model_validate(json.loads(task.model_dump_json()))
    assert again.model_dump() == task.model_dump()
    assert Classification.model_validate(dict(trained.model.info.recipe)).label == "churned"


def test_no_rows(table: pa.Table) -> None:
    with pytest.raises(InputError, match="no rows"):
        small_task().train(table.slice(0, 0), seed=0)


def test_one_class(table: pa.Table) -> None:
    with pytest.raises(LabelError, match="one class only: no row is false"):
        small_task().train(table.filter(table["churned"]), seed=0)


def test_a_logistic_regression_that_did_not_converge_is_noted(table: pa.Table) -> None:
    hasty = Learner(name="hasty", kind="logistic_regression", parameters={"max_iter": 1})
    report = small_task(learners=(hasty,)).train(table, seed=0, threads=2).report
    assert any(one.startswith("hasty had not converged in 3 of 3 fits") for one in report.warnings)


def test_label_null_everywhere(table: pa.Table) -> None:
    at = table.column_names.index("churned")
    with pytest.raises(LabelError, match="'churned' is absent or null throughout"):
        small_task().train(table.set_column(at, "churned", pa.nulls(700, pa.bool_())), seed=0)


def test_too_few_rows_of_a_class_says_how_many_are_needed(table: pa.Table) -> None:
    churned = table["churned"].to_pylist()
    kept = [row for row in range(700) if not churned[row]] + [row for row in range(700) if churned[row]][:5]
    with pytest.raises(LabelError, match=r"true in 5 rows; 3 folds and a test set need at least 8"):
        small_task().train(table.take(kept), seed=0)


def test_a_text_label_is_refused(table: pa.Table) -> None:
    with pytest.raises(LabelError, match="type string"):
        small_task(label="household").train(table, seed=0)


def test_a_missing_column_is_named(table: pa.Table) -> None:
    with pytest.raises(SchemaError, match="charge"):
        small_task().train(table.drop_columns(["charge"]), seed=0)


def test_absent_inputs_are_left_out_everywhere(table: pa.Table) -> None:
    learner = small_learners()[0].model_copy(
        update={"preprocessing": Preprocessing(bins=4, bins_of=("charge", "months"))}
    )
    task = small_task(learners=(learner,), slices=("plan",)).present_in(table.drop_columns(["charge", "plan"]))
    assert [feature.name for feature in task.features] == ["months", "noise", "paperless", "area"]
    assert set(task.row_features) == {"long"}
    assert task.learners[0].preprocessing.bins_of == ("months",)
    assert Classification.model_validate(task.model_dump(mode="json")).slices == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": "ece"}, "cannot be maximised"),
        ({"features": ()}, "at least one feature"),
        ({"features": (*FEATURES, Feature("churned"))}, "label is among the features"),
        ({"row_features": {"x": col("churned") + 1}}, "label is among the features"),
        ({"features": (*FEATURES, Feature("months"))}, "named twice"),
        ({"learners": (small_learners()[0], small_learners()[0])}, "named twice"),
        ({"learners": ()}, "no learner may become the champion"),
        ({"learners": (Learner(name="it", kind="ridge"),)}, "predict numbers"),
        ({"weights": {"unheard_of": 1.0}}, "unknown learners"),
        ({"weights": {"logistic": -1.0}}, "negative"),
        (
            {"learners": (Learner(name="it", kind="xgboost", preprocessing=Preprocessing(without=("nonsense",))),)},
            "unknown columns",
        ),
    ],
    ids=[f"contradiction {number}" for number in range(11)],
)
def test_contradictions_are_refused_at_import(changes: dict[str, object], says: str) -> None:
    declared = {"features": FEATURES, **changes}
    declared.setdefault("row_features", {} if not declared["features"] else ROW_FEATURES)
    with pytest.raises(UseCaseError, match=says):
        small_task(**declared)


@pytest.mark.slow
def test_another_draw_of_the_same_population_scores_alike(trained: TrainedRows) -> None:
    from trunkline.tasks.comparison import score

    found = score(trained.model, make_table(rows=2_000, seed=99), seed=0)
    own = trained.report.metrics["roc_auc"]
    assert found["roc_auc"].low < own.high
    assert found["roc_auc"].high > own.low


def test_explained_margins_do_not_depend_on_lineage(trained: TrainedRows) -> None:
    told = trained.model.with_lineage(commit="abc")
    assert told.info.lineage == {"commit": "abc"}
    assert told.fingerprint != trained.model.fingerprint
    assert replace(told, info=trained.model.info).fingerprint == trained.model.fingerprint
