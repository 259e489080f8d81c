"""A model at rest, loaded again, answering and explaining."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.tasks.conftest import make_table, small_learners, small_task

from trunkline.errors import SchemaError, TamperedError
from trunkline.tasks import Learner, Model, Preprocessing, TrainedRows


@pytest.fixture(scope="module")
def folder(trained: TrainedRows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("models") / "churn"
    trained.model.save(where)
    return where


def test_loaded_it_answers_the_same(trained: TrainedRows, folder: Path, table: pa.Table) -> None:
    loaded = Model.load(folder, fingerprint=trained.model.fingerprint)
    assert loaded.predict(table).equals(trained.model.predict(table))
    assert loaded.info == trained.model.info
    assert loaded.fingerprint == trained.model.fingerprint


def test_one_row_gets_the_answer_of_the_batch(folder: Path) -> None:
    model, rows = Model.load(folder), make_table(rows=200, seed=5)
    batch = model.predict(rows)
    single = [model.predict_row(row) for row in rows.to_pylist()]
    np.testing.assert_allclose(single, batch["score"].to_numpy(), atol=1e-6, rtol=0)
    threshold = model.info.threshold
    assert threshold is not None
    assert batch["decision"].to_pylist() == [score >= threshold for score in batch["score"].to_pylist()]


@pytest.mark.parametrize("kinds", [("xgboost",), ("logistic_regression", "xgboost"), ("random_forest",)])
def test_many_rows_are_scored_by_xgboost_itself_as_by_the_graph(
    kinds: tuple[str, ...], table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = Preprocessing(impute="none", encode="ordinal", scale="none")
    forest = Learner(
        name="forest", kind="random_forest", parameters={"n_estimators": 8, "max_depth": 4}, preprocessing=trees
    )
    learners = tuple(one for one in (*small_learners(), forest) if one.kind in kinds)
    task = small_task(learners=learners, weights={one.name: 1 / len(learners) for one in learners})
    task.train(table, seed=0).model.save(tmp_path / "m")
    model, unseen = Model.load(tmp_path / "m"), make_table(rows=300, seed=7)
    by_graph = model.predict(unseen)
    monkeypatch.setattr(Model, "scores", None)  # the graph cannot be asked any more
    found = model.predict(unseen, of=1_000_000)
    np.testing.assert_allclose(found["score"].to_numpy(), by_graph["score"].to_numpy(), atol=1e-5, rtol=0)
    assert found.schema == by_graph.schema


def test_many_rows_are_scored_by_the_graph_where_it_is_faster(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    learners = [one for one in small_learners() if one.kind == "lightgbm"]
    model, rows = small_task(learners=learners).train(table, seed=0).model, make_table(rows=20)
    monkeypatch.setattr(Model, "library_scores", None)
    assert model.predict(rows, of=1_000_000).equals(model.predict(rows))


def test_no_rows_and_unknown_values(folder: Path) -> None:
    model = Model.load(folder)
    assert model.predict(make_table(rows=5).slice(0, 0)).num_rows == 0
    assert 0 <= model.predict_row({"plan": "unheard of"}) <= 1
    assert 0 <= model.predict_row({}) <= 1


def test_a_missing_column_is_named(folder: Path, table: pa.Table) -> None:
    with pytest.raises(SchemaError, match="months"):
        Model.load(folder).predict(table.drop_columns(["months"]))


def test_reasons_sum_to_the_score(folder: Path, table: pa.Table) -> None:
    model = Model.load(folder)
    moved, start = model.contributions(table)
    scores = model.predict(table)["score"].to_numpy()
    np.testing.assert_allclose(moved.sum(axis=1) + start, np.log(scores / (1 - scores)), atol=1e-4)
    told = model.explain(table, top=3).to_pylist()
    for number in (0, 17):
        reasons = told[number]["reasons"]
        assert len(reasons) == 3
        sizes = [abs(reason["contribution"]) for reason in reasons]
        assert sizes == sorted(sizes, reverse=True)
        total = told[number]["base_value"] + sum(r["contribution"] for r in reasons) + told[number]["others"]
        assert total == pytest.approx(moved[number].sum() + start[number])
    row = {name: table[name][17].as_py() for name in model.info.columns}
    single = model.explain_row(row, top=3)
    assert [name for name, _ in single] == [reason["feature"] for reason in told[17]["reasons"]]


def test_a_category_is_one_reason(folder: Path) -> None:
    model = Model.load(folder)
    assert model.base.names == (
        "months", "charge", "noise", "paperless", "plan", "area", "charge_per_month", "long",
    )  # fmt: skip
    moved, _ = model.contributions(make_table(rows=20))
    assert moved.shape == (20, 8)


def test_reasons_of_a_calibration_that_bends(table: pa.Table) -> None:
    task = small_task(learners=small_learners()[:1], calibration="beta")
    model = task.train(table, seed=0).model
    moved, start = model.contributions(table)
    scores = model.predict(table)["score"].to_numpy()
    np.testing.assert_allclose(moved.sum(axis=1) + start, np.log(scores / (1 - scores)), atol=1e-4)


def test_reasons_of_prepared_columns_return_to_their_feature(table: pa.Table) -> None:
    declared = Preprocessing(interactions=True, only=("months", "plan", "paperless"), indicators=True)
    learner = Learner(name="it", kind="logistic_regression", parameters={"C": 0.1}, preprocessing=declared)
    model = small_task(learners=(learner,)).train(table, seed=0).model
    moved, start = model.contributions(table)
    used = [model.base.names.index(name) for name in ("months", "plan", "paperless")]
    assert np.abs(np.delete(moved, used, axis=1)).max() == 0
    scores = model.predict(table)["score"].to_numpy()
    np.testing.assert_allclose(moved.sum(axis=1) + start, np.log(scores / (1 - scores)), atol=1e-4)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's plots, on import
@pytest.mark.slow
def test_learners_without_exact_contributions_are_explained_by_permutation(table: pa.Table) -> None:
    pytest.importorskip("shap", reason="the extra `explain`")
    learner = Learner(name="near", kind="nearest_neighbours", parameters={"n_neighbors": 15})
    trained = small_task(learners=(learner,)).train(table, seed=0)
    rows = table.slice(0, 8)
    moved, start = trained.model.contributions(rows)
    scores = trained.model.predict(rows)["score"].to_numpy()
    np.testing.assert_allclose(moved.sum(axis=1) + start, np.log(scores / (1 - scores)), atol=1e-3)
    assert trained.report.importances


@pytest.mark.parametrize("name", ["model.json", "model.onnx", "lightgbm.txt"])
def test_a_changed_byte_is_refused(trained: TrainedRows, tmp_path: Path, name: str) -> None:
    where = tmp_path / "model"
    # two boosters and the linear learner, so that each kind of file is there
    fingerprint = trained.model.save(where)
    names = {path.name for path in where.iterdir()}
    target = where / (name if name in names else "xgboost.json")
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(bytes(content))
    with pytest.raises(TamperedError):
        Model.load(where, fingerprint=fingerprint)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}'])
def test_a_corrupt_record_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    where = tmp_path / "model"
    where.mkdir()
    for path in folder.iterdir():
        (where / path.name).write_bytes(content if path.name == "model.json" else path.read_bytes())
    with pytest.raises(TamperedError):
        Model.load(where)


def test_a_missing_file_or_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TamperedError, match="cannot be read"):
        Model.load(tmp_path / "nowhere")
    where = tmp_path / "model"
    where.mkdir()
    (where / "model.json").write_bytes((folder / "model.json").read_bytes())
    with pytest.raises(TamperedError, match="missing"):
        Model.load(where)


def test_files_outside_the_folder_are_not_read(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / "model.json").read_text())
    document["files"]["../model.onnx"] = document["files"].pop("model.onnx")
    where = tmp_path / "deep" / "model"
    where.mkdir(parents=True)
    (where / "model.json").write_text(json.dumps(document))
    with pytest.raises(TamperedError):
        Model.load(where)


def test_saving_replaces_whole_folders_and_leaves_no_drafts(trained: TrainedRows, tmp_path: Path) -> None:
    where = tmp_path / "model"
    trained.model.save(where)
    (where / "stray.txt").write_text("of an earlier version")
    trained.model.save(where)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert "stray.txt" not in {path.name for path in where.iterdir()}


def test_there_is_no_pickle_and_answering_needs_no_trainer(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".onnx", ".txt"}
    code = (
        "import sys; from pathlib import Path; from trunkline.tasks import Model\n"
        f"model = Model.load(Path({str(folder)!r})); model.predict_row({{}})\n"
        "heavy = {'sklearn', 'lightgbm', 'xgboost', 'optuna', 'onnx', 'scipy', 'imblearn', 'pandas', 'shap'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
