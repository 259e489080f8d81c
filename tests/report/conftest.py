"""Reports made by hand: one classification, one regression, with all that a page can show."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from trunkline.contracts.records import Alert, Reading, Receipt
from trunkline.report import (
    FieldFacts,
    Lineage,
    ModelFacts,
    PredictionsSummary,
    ReportContent,
    StepTime,
    UseCaseFacts,
)
from trunkline.stats.calibration import Calibration, NoiseFloor, ReliabilityBin
from trunkline.stats.classification import ClassReport, ConfusionMatrix, PrecisionRecallCurve, RocCurve
from trunkline.stats.fairness import FairnessReport, GroupRates
from trunkline.stats.intervals import Interval, wilson_interval
from trunkline.stats.profiles import number_profile
from trunkline.stats.profit import GainsRow, ProfitCurve, ProfitPoint
from trunkline.stats.slices import SliceMetrics, SliceReport
from trunkline.tasks import Feature, ModelInfo, Preprocessing, QuantileLimits, TrainingReport
from trunkline.tasks.info import LearnerInfo
from trunkline.tasks.report import (
    ChampionReport,
    ClassificationCurves,
    Equality,
    Importance,
    Latency,
    Leakage,
    LearnerReport,
    Residuals,
    Rows,
    Trial,
    TuningReport,
)
from trunkline.train import EvaluateDocument, GateResult, PairedEvidence

AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
FEATURES = ("tenure_months", "contract_term", "monthly_charges", "internet_service", "tech_support", "payment_method")


def interval(value: float, reach: float = 0.01) -> Interval:
    return Interval(value, value - reach, value + reach)


def learner(name: str, kind: str, score: float, *, metrics: dict[str, float], **more: object) -> LearnerReport:
    rng = np.random.default_rng(len(name))
    folds = {
        metric: tuple(float(value + wobble) for wobble in rng.normal(0, 0.008, 5)) for metric, value in metrics.items()
    }
    return LearnerReport.model_validate(
        {
            "name": name,
            "kind": kind,
            "eligible": True,
            "tuned": False,
            "parameters": {"C": 0.1},
            "fold_scores": folds,
            "scores": {metric: interval(value) for metric, value in metrics.items()},
            "seconds": 3.21 * (1 + score),
            **more,
        }
    )


def curves(*, shift: float) -> ClassificationCurves:
    share = np.linspace(0, 1, 60)
    found = share ** (0.32 + shift)
    precision = 0.88 - 0.62 * share**1.4
    reliability = tuple(
        ReliabilityBin(704, float(mean), wilson_interval(round(704 * (mean + 0.01 * np.sin(30 * mean))), 704))
        for mean in np.linspace(0.02, 0.78, 10)
    )
    points = tuple(
        ProfitPoint(
            float(1 - s), round(7043 * s), float(s), float(7043 * (20 * s * (0.9 - s))), float(20 * s * (0.9 - s))
        )
        for s in np.linspace(0, 1, 41)
    )
    return ClassificationCurves(
        roc=RocCurve(tuple(share.tolist()), tuple(found.tolist()), (None, *(1 - share[1:]).tolist())),
        precision_recall=PrecisionRecallCurve(
            tuple(share[::-1].tolist()), tuple(precision[::-1].tolist()), (*share[:-1].tolist(), None)
        ),
        reliability=reliability,
        gains=tuple(GainsRow(s / 10, float((s / 10) ** 0.45), float((s / 10) ** -0.55)) for s in range(1, 11)),
        profit=ProfitCurve(points=points, best=points[18]),
        confusion=ConfusionMatrix(3_560, 580, 390, 1_104),
        classes=(ClassReport("stays", 0.901, 0.86, 0.88, 4_140), ClassReport("leaves", 0.656, 0.739, 0.695, 1_494)),
        ece_noise=NoiseFloor(mean=0.0098, quantile_95=0.0151, draws=400),
    )


def slices(*parts: tuple[str | None, int, float | None]) -> SliceReport:
    """Parts of one column: name, rows, ROC AUC (None where too small)."""

    def judged(name: str | None, rows: int, score: float | None) -> SliceMetrics:
        return SliceMetrics(
            name=name,
            rows=rows,
            positives=rows // 4,
            too_small=score is None,
            selection_rate=wilson_interval(rows // 3, rows),
            true_positive_rate=wilson_interval(rows // 6, rows // 4),
            precision=wilson_interval(rows // 6, rows // 3),
            f1=None,
            roc_auc=None if score is None else interval(score, 30 / rows),
            mean_score_gap=-0.004,
            selection_rate_ratio=1.0,
            true_positive_rate_gap=0.0,
            roc_auc_gap=None,
        )

    return SliceReport(
        whole=judged(None, sum(rows for _, rows, _ in parts), 0.85),
        slices=tuple(judged(*part) for part in parts),
        largest_true_positive_rate_gap=0.031,
        smallest_selection_rate_ratio=0.94,
        smallest_roc_auc=0.81,
    )


def rates(name: str, rows: int, *, picked: float) -> GroupRates:
    """What is decided about one part: of the positive twice the share of the negative is picked."""
    positives = rows // 4
    return GroupRates(
        name=name,
        rows=rows,
        positives=positives,
        judged=True,
        selection_rate=wilson_interval(int(picked * rows), rows),
        true_positive_rate=wilson_interval(int(1.6 * picked * positives), positives),
        false_positive_rate=wilson_interval(int(0.8 * picked * (rows - positives)), rows - positives),
        calibration_gap=interval(-0.004, 0.012),
    )


@pytest.fixture(scope="session")
def classification() -> TrainingReport:
    metrics = {
        "roc_auc": interval(0.8512, 0.0081),
        "average_precision": interval(0.672, 0.018),
        "f1": interval(0.634, 0.016),
        "precision": interval(0.571, 0.02),
        "recall": interval(0.713, 0.02),
        "accuracy": interval(0.789, 0.01),
        "neg_log_loss": interval(-0.4102, 0.008),
        "neg_brier_score": interval(-0.1344, 0.003),
        "ece": interval(0.0093, 0.003),
    }
    names = ("roc_auc", "average_precision", "neg_log_loss")
    compared = [
        ("logistic_regression", "logistic_regression", 0.8461, True),
        ("nearest_neighbours", "nearest_neighbours", 0.8302, False),
        ("random_forest", "random_forest", 0.8443, False),
        ("xgboost", "xgboost", 0.8502, True),
        ("lightgbm", "lightgbm", 0.8499, True),
    ]
    trials = tuple(
        Trial(
            number=number,
            parameters={"num_leaves": 8 + number, "learning_rate": 0.03 + number / 1000},
            score=0.846 + 0.004 * (1 - 1 / (number + 1)) - 0.002 * (number % 3),
            pruned=number % 5 == 4,
        )
        for number in range(25)
    )
    return TrainingReport(
        task="classification",
        label="churned",
        seed=0,
        folds=5,
        repeats=1,
        split="random, stratified",
        metric="roc_auc",
        rows=Rows(given=7043, unlabelled=0, train=5634, test=1409, train_positives=1494, test_positives=375),
        learners=tuple(
            learner(
                name,
                kind,
                score,
                metrics=dict(zip(names, (score, score - 0.18, -0.41 - (0.85 - score)), strict=True)),
                eligible=eligible,
                tuned=name in ("xgboost", "lightgbm"),
            )
            for name, kind, score, eligible in compared
        ),
        tuning=(
            TuningReport(learner="xgboost", method="search", metric="roc_auc", trials=trials, best=24 - 3),
            TuningReport(
                learner="lightgbm", method="search", metric="roc_auc", trials=trials[:20], best=18, ceiling_hit=True
            ),
        ),
        champion=ChampionReport(
            name="blend",
            weights={"logistic_regression": 0.3, "xgboost": 0.4, "lightgbm": 0.3},
            scores={"blend": 0.8512, "xgboost": 0.8502, "lightgbm": 0.8499, "logistic_regression": 0.8461},
            metric="roc_auc",
            why="The blend beats its best learner by 0.0010 out of fold and answers one row within the budget.",
            calibration=Calibration("logistic", 1.02, 1.02, 0.03),
            threshold=0.2731,
        ),
        metrics=metrics,
        test_metrics={name: Interval(f.value - 0.002, f.low - 0.01, f.high + 0.008) for name, f in metrics.items()},
        curves=curves(shift=0.0),
        test_curves=curves(shift=0.03),
        slices={
            "gender": slices(("female", 2790, 0.853), ("male", 2844, 0.849)),
            "senior_citizen": slices(("false", 4707, 0.857), ("true", 915, 0.812), (None, 12, None)),
        },
        fairness={
            "senior_citizen": FairnessReport(
                groups=(rates("false", 4707, picked=0.31), rates("true", 915, picked=0.42)),
                demographic_parity_gap=interval(0.11, 0.03),
                equalised_odds_gap=interval(0.07, 0.04),
            )
        },
        importances=tuple(
            Importance(feature=name, mean_absolute=0.8 / (place + 1)) for place, name in enumerate(FEATURES)
        ),
        leakage=Leakage(
            scores={name: 0.74 - 0.03 * place for place, name in enumerate(FEATURES)},
            strongest="tenure_months",
            score=0.74,
            limit=0.9,
            suspicious=(),
        ),
        equality=Equality(
            rows={"holdout": 1409, "nulls": 50, "extremes": 40}, largest_difference=3.1e-7, limit=1e-5, equal=True
        ),
        latency=Latency(p50_us=61.0, p99_us=148.0, rows=2000),
        seconds={"split": 0.1, "cross-validation": 21.3, "tuning": 18.9, "final fit": 4.4},
        warnings=("The column 'handsets' is null throughout and was left out.",),
    )


@pytest.fixture(scope="session")
def model_info(classification: TrainingReport) -> ModelInfo:
    parts = (("logistic_regression", 0.3), ("xgboost", 0.4), ("lightgbm", 0.3))
    return ModelInfo(
        task="classification",
        label="churned",
        classes=("stays", "leaves"),
        features=tuple(Feature(name) for name in FEATURES),
        row_features={"charges_per_tenure_month": ["div", ["col", "total_charges"], ["col", "tenure_months"]]},
        columns=(*sorted(FEATURES), "retention_calls"),
        learners=tuple(
            LearnerInfo.model_validate(
                {
                    "name": name,
                    "kind": name,
                    "weight": weight,
                    "parameters": {"C": 0.1}
                    if name == "logistic_regression"
                    else {"n_estimators": 300, "reg_lambda": 10.0},
                    "preprocessing": Preprocessing(outliers=QuantileLimits(), indicators=True)
                    if name == "logistic_regression"
                    else Preprocessing(impute="none", scale="none"),
                    "bags": 1,
                }
            )
            for name, weight in parts
        ),
        calibration=classification.champion.calibration,
        threshold=classification.champion.threshold,
        metrics=classification.metrics,
        test_metrics=classification.test_metrics,
        seed=0,
        trained_rows=5634,
        positives=1494,
        packages={"scikit-learn": "1.9.1", "lightgbm": "4.6.0", "xgboost": "3.2.0"},
        profiles={"tenure_months": number_profile([1.0, 2.0, 3.0, float("nan")], bins=2)},
        recipe={},
    )


def reading(family: str, metric: str, subject: str, value: float | None, **more: object) -> Reading:
    return Reading.model_validate(
        {
            "reading_id": f"{family}-{metric}-{subject}",
            "run_id": "20260301T120005-1a2b3c",
            "usecase": "churn",
            "model_version": "3",
            "family": family,
            "metric": metric,
            "subject": subject,
            "value": value,
            "low": None,
            "high": None,
            "limit": None,
            "crossed": False,
            "rows": 7032,
            "window_start_at": None,
            "window_end_at": None,
            "read_at": AT,
            **more,
        }
    )


@pytest.fixture(scope="session")
def receipt() -> Receipt:
    return Receipt.model_validate(
        {
            "batch_id": "9f8e7d6c5b4a39281706",
            "run_id": "20260301T120005-1a2b3c",
            "usecase": "churn",
            "dataset": "subscribers",
            "source": "telco.csv",
            "content_sha256": "ab" * 32,
            "contract_fingerprint": "cd" * 32,
            "read": 7043,
            "accepted": 7032,
            "quarantined": 9,
            "duplicates": 2,
            "reasons": json.dumps({"total_charges.type": 6, "tenure_months.minimum": 4}),
            "absent_columns": json.dumps(["handsets", "credit_rating"]),
            "extra_columns": json.dumps(["Unnamed: 0"]),
            "table_version": 4,
            "started_at": AT,
            "finished_at": AT,
        }
    )


@pytest.fixture(scope="session")
def churn_facts() -> UseCaseFacts:
    return UseCaseFacts(
        name="churn",
        title="Churn",
        question="Which subscribers are likely to leave within the next month or two?",
        metric="roc_auc",
        fields=(
            FieldFacts(name="tenure_months", kind="number", description="Time since the first contract", unit="months"),
            FieldFacts(name="monthly_charges", kind="number", description="Bill of the last month", unit="EUR"),
            FieldFacts(name="churned", kind="flag", description="Left within the horizon"),
        ),
        horizon_days=31,
        label_delay_days=7,
        justified={
            "absent_column": "never read",
            "retention_calls": "calls to the retention team are known on the day of scoring",
        },
        profit_value=60.0,
        profit_cost=15.0,
    )


GATES = (
    GateResult(
        name="minimum_metric",
        passed=True,
        value=0.8512,
        limit=0.6,
        detail="out-of-fold roc_auc 0.8512 [0.8431, 0.8593]",
    ),
    GateResult(
        name="not_worse_than_champion",
        passed=True,
        value=0.0012,
        limit=0.0,
        detail="roc_auc +0.0012 on 1203 rows neither has seen",
    ),
    GateResult(name="calibration", passed=True, value=0.0093, limit=0.02, detail="expected calibration error"),
    GateResult(
        name="slice_fairness", passed=True, value=0.02, limit=0.1, detail="largest shortfall: senior_citizen = true"
    ),
    GateResult(name="leakage", passed=True, value=0.74, limit=0.9, detail="strongest single feature: tenure_months"),
    GateResult(name="onnx_equality", passed=True, value=3.1e-7, limit=1e-5, detail="largest difference over 1499 rows"),
    GateResult(
        name="latency", passed=True, value=148.0, limit=2000.0, detail="99th percentile of one row, microseconds"
    ),
)
PAIRED = PairedEvidence(
    metric="roc_auc", champion="2", difference=0.0012, low=-0.0031, high=0.0055, rows=1203, unseen=True
)


@pytest.fixture(scope="session")
def full(
    classification: TrainingReport, model_info: ModelInfo, receipt: Receipt, churn_facts: UseCaseFacts
) -> ReportContent:
    """A run with everything."""
    psi = [("tenure_months", 0.021), ("contract_term", 0.31), ("monthly_charges", 0.012), ("tech_support", 0.004)]
    return ReportContent(
        usecase=churn_facts,
        run_id="20260301T120005-1a2b3c",
        state="finished",
        started_at=AT,
        code_version="0.1.0+e2d1012",
        steps=(StepTime(step="ingest", seconds=0.9), StepTime(step="train", seconds=44.7)),
        receipts=(receipt,),
        training=classification,
        info=model_info,
        evaluation=EvaluateDocument(
            gates=GATES,
            passed=True,
            paired=PAIRED,
            champion="2",
            drift=(
                reading("drift", "psi", "contract_term", 0.31, limit=0.2, crossed=True),
                reading("drift", "psi", "tech_support", 0.004, limit=0.2),
                reading("drift", "mean_shift", "tenure_months", -1.25, limit=0.25, crossed=True),
            ),
        ),
        model=ModelFacts(version="3", alias="champion", previous="2"),
        predictions=PredictionsSummary(rows=7032, model_version="3", mean_score=0.2654, decided=2310),
        readings=(
            *(reading("drift", "psi", name, value, limit=0.2, crossed=value > 0.2) for name, value in psi),
            reading("drift", "mean_shift", "tenure_months", 0.11),
            reading("score_drift", "psi", "score", 0.018, limit=0.2),
            reading("estimate", "roc_auc", "score", 0.848, low=0.838, high=0.858, limit=0.8),
            reading("performance", "roc_auc", "score", 0.844, low=0.829, high=0.859, limit=0.8),
            reading("volume", "rows", "subscribers", 7032.0),
        ),
        alerts=(
            Alert(
                alert_id="a1",
                run_id="20260301T120005-1a2b3c",
                usecase="churn",
                severity="major",
                title="Drift of contract_term",
                text="PSI 0.31 is beyond its limit 0.2.",
                raised_at=AT,
            ),
        ),
        lineage=Lineage(
            table_versions={"churn.subscribers": 4},
            contract_fingerprints={"subscribers": "cd" * 32},
            seed=0,
            packages={"scikit-learn": "1.9.1", "lightgbm": "4.6.0"},
        ),
    )


@pytest.fixture(scope="session")
def regression() -> ReportContent:
    """A run of a regression."""
    rng = np.random.default_rng(4)
    predicted = np.sort(rng.lognormal(13, 0.5, 900))
    actual = predicted * rng.normal(1, 0.12, 900)
    counts, edges = np.histogram(actual - predicted, 30)
    metrics = {
        "r2": interval(0.893),
        "neg_root_mean_squared_error": interval(-119_400.0, 5_200.0),
        "neg_mean_absolute_error": interval(-64_100.0, 900.0),
    }
    names = [
        ("linear_regression", 0.703),
        ("ridge", 0.703),
        ("lasso", 0.702),
        ("elastic_net", 0.701),
        ("xgboost", 0.893),
    ]
    report = TrainingReport(
        task="regression",
        label="price_usd",
        seed=0,
        folds=10,
        repeats=1,
        split="grouped by house_id",
        metric="r2",
        rows=Rows(given=21613, unlabelled=0, train=19452, test=2161),
        learners=tuple(
            learner(
                name,
                name,
                score,
                metrics={
                    "r2": score,
                    "neg_root_mean_squared_error": -367_000 * (1 - score) ** 0.5,
                    "neg_mean_absolute_error": -200_000 * (1 - score) ** 0.5,
                },
            )
            for name, score in names
        ),
        tuning=(
            TuningReport(
                learner="ridge",
                method="grid",
                metric="r2",
                trials=tuple(Trial(number=n, parameters={"alpha": 10.0**n}, score=0.7 - n / 100) for n in range(7)),
                best=0,
            ),
        ),
        champion=ChampionReport(
            name="xgboost",
            weights={"xgboost": 1.0},
            scores={"xgboost": 0.893},
            metric="r2",
            why="The best learner out of fold.",
            calibration=Calibration(),
        ),
        metrics=metrics,
        test_metrics=metrics,
        residuals=Residuals(
            predicted=tuple(predicted.tolist()),
            actual=tuple(actual.tolist()),
            quantiles=tuple(np.percentile(actual - predicted, [1, 5, 25, 50, 75, 95, 99]).tolist()),
            histogram_edges=tuple(edges.tolist()),
            histogram_counts=tuple(counts.tolist()),
        ),
        importances=(
            Importance(feature="living_area_m2", mean_absolute=90_000.0),
            Importance(feature="grade", mean_absolute=70_000.0),
        ),
        leakage=Leakage(
            scores={"living_area_m2": 0.49, "grade": 0.44},
            strongest="living_area_m2",
            score=0.49,
            limit=0.95,
            suspicious=(),
        ),
        equality=Equality(rows={"holdout": 2161}, largest_difference=2e-7, limit=1e-5, equal=True),
        latency=Latency(p50_us=20.0, p99_us=41.0, rows=2000),
        seconds={"cross-validation": 12.0},
    )
    return ReportContent(
        usecase=UseCaseFacts(
            name="house_prices",
            title="House prices",
            question="What will a house sell for?",
            metric="r2",
            fields=(FieldFacts(name="price_usd", kind="number", description="Price of the sale", unit="USD"),),
        ),
        run_id="20260301T130000-abcdef",
        started_at=AT,
        code_version="0.1.0",
        training=report,
        evaluation=EvaluateDocument(
            gates=(
                GateResult(name="minimum_metric", passed=True, value=0.893, limit=0.85, detail="out-of-fold r2 0.8930"),
            ),
            passed=True,
            paired=None,
        ),
        model=ModelFacts(version="1", alias="champion"),
    )
