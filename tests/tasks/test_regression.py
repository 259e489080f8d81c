"""A regression from a typed table to a model and its report."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.tasks.conftest import FEATURES

from trunkline.errors import LabelError, UseCaseError
from trunkline.tasks import Feature, Learner, Model, Preprocessing, Regression, TrainedRows, TrainingReport
from trunkline.tasks.learners import default_regressors
from trunkline.tasks.regression_training import residuals

INPUTS = (*FEATURES[:5],)


def learners() -> tuple[Learner, ...]:
    return tuple(
        one.model_copy(
            update={
                "grid": {"alpha": (0.01, 1.0)} if one.grid else {},
                "parameters": {**one.parameters, "n_estimators": 40} if one.kind == "xgboost" else one.parameters,
            }
        )
        for one in default_regressors()
    )


@pytest.fixture(scope="module")
def trained(table: pa.Table) -> TrainedRows:
    return Regression(label="bill", features=INPUTS, learners=learners(), folds=4, repeats=1, tune="none").train(
        table, seed=1, threads=2
    )


def test_it_learns_and_reports(trained: TrainedRows, table: pa.Table) -> None:
    report = trained.report
    assert TrainingReport.model_validate_json(report.model_dump_json()) == report
    assert [one.name for one in report.learners] == [
        "linear_regression", "ridge", "lasso", "elastic_net", "xgboost",
    ]  # fmt: skip
    scores = {one.name: one.scores["r2"].value for one in report.learners}
    assert scores["linear_regression"] > 0.85
    assert len(report.learners[0].fold_scores["neg_mean_absolute_error"]) == 4
    assert {one.learner for one in report.tuning} == {"ridge", "lasso", "elastic_net"}
    assert report.equality.equal
    assert report.residuals is not None
    assert report.curves is None
    assert report.importances[0].feature == "months"
    assert set(report.metrics) == {"r2", "neg_root_mean_squared_error", "neg_mean_absolute_error"}
    truth = table["bill"].to_numpy()
    guessed = trained.model.predict(table)["prediction"].to_numpy()
    assert np.corrcoef(truth, guessed)[0, 1] > 0.9


@pytest.mark.parametrize("threads", [1, 4])
def test_a_fit_that_did_not_converge_is_noted_and_warns_nobody(table: pa.Table, threads: int) -> None:
    """A warning would fail the test; in threads one fit must not bring back the warnings of another."""
    some = (
        Learner(name="ridge", kind="ridge"),
        Learner(name="hasty", kind="lasso", parameters={"alpha": 1e-9, "max_iter": 1, "tol": 1e-12}),
        Learner(name="patient", kind="lasso", parameters={"alpha": 0.1}),
    )
    task = Regression(label="bill", features=INPUTS, learners=some, folds=4, repeats=2, tune="none")
    said = [one for one in task.train(table, seed=1, threads=threads).report.warnings if "converged" in one]
    (warning,) = said
    assert warning.startswith("hasty had not converged in 8 of 8 fits")
    assert "max_iter" in warning


def test_saved_loaded_one_row_and_reasons(trained: TrainedRows, table: pa.Table, tmp_path: Path) -> None:
    trained.model.save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    batch = model.predict(table)["prediction"].to_numpy()
    single = [model.predict_row(row) for row in table.slice(0, 50).to_pylist()]
    np.testing.assert_allclose(single, batch[:50], rtol=1e-6)
    moved, start = model.contributions(table)
    np.testing.assert_allclose(moved.sum(axis=1) + start, batch, rtol=1e-4)


def test_log_target(table: pa.Table) -> None:
    learner = (Learner(name="it", kind="lightgbm", parameters={"n_estimators": 40, "min_child_samples": 5}),)
    task = Regression(label="bill", features=INPUTS, learners=learner, folds=3, repeats=1, tune="none", log_target=True)
    trained = task.train(table, seed=0)
    assert trained.report.equality.equal
    assert trained.report.metrics["r2"].value > 0.8
    moved, start = trained.model.contributions(table)
    guessed = trained.model.predict(table)["prediction"].to_numpy()
    np.testing.assert_allclose(moved.sum(axis=1) + start, np.log1p(guessed), atol=1e-4)


def test_scores_of_a_linear_learner_are_scikit_learns(table: pa.Table) -> None:
    """An independent oracle over the same folds: one complete column, plain least squares."""
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_score

    declared = Preprocessing(scale="none")
    task = Regression(
        label="bill",
        features=(Feature("noise"), Feature("day")),
        learners=(Learner(name="it", kind="linear_regression", preprocessing=declared),),
        folds=5,
        repeats=1,
        test_share=0.0,
        tune="none",
    )
    report = task.train(table, seed=4).report
    rows = np.column_stack([table["noise"].to_numpy(), table["day"].to_numpy()]).astype(np.float32)
    oracle = cross_val_score(
        LinearRegression(), rows, table["bill"].to_numpy(), cv=KFold(5, shuffle=True, random_state=4), scoring="r2"
    )
    np.testing.assert_allclose(report.learners[0].fold_scores["r2"], oracle, atol=1e-6)
    assert report.test_metrics == {}


def test_a_label_of_one_value(table: pa.Table) -> None:
    flat = table.set_column(table.column_names.index("bill"), "bill", pa.array([1.0] * 700))
    with pytest.raises(LabelError, match="one value only"):
        Regression(label="bill", features=INPUTS, learners=learners()).train(flat, seed=0)


def test_too_few_rows(table: pa.Table) -> None:
    with pytest.raises(LabelError, match=r"12 rows have a label; 10 folds .* at least 25"):
        Regression(label="bill", features=INPUTS, learners=learners()).train(table.slice(0, 12), seed=0)


def test_a_logarithm_of_a_negative_label(table: pa.Table) -> None:
    negative = table.set_column(table.column_names.index("bill"), "bill", pa.array(np.arange(700.0) - 5))
    with pytest.raises(LabelError, match="negative"):
        Regression(label="bill", features=INPUTS, learners=learners(), log_target=True).train(negative, seed=0)


def test_classifiers_are_refused() -> None:
    with pytest.raises(UseCaseError, match="predict classes"):
        Regression(label="bill", features=INPUTS, learners=(Learner(name="it", kind="logistic_regression"),))


def test_residuals_are_thinned_and_counted() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=5_000)
    found = residuals(predicted + 1.0, predicted)
    assert len(found.predicted) == len(found.actual) <= 400
    assert list(found.predicted) == sorted(found.predicted)
    assert sum(found.histogram_counts) == 5_000
    assert found.quantiles[3] == pytest.approx(1.0)
