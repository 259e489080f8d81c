"""The page of a run: the same bytes, nothing unescaped, every section, whatever the run has."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from trunkline.contracts.records import Receipt
from trunkline.report import SECTIONS, ReportContent, UseCaseFacts, render
from trunkline.stats.writing import DecimalGrid
from trunkline.tasks import TrainingReport
from trunkline.tasks.report import FarMedian, HardestSlice
from trunkline.train import EvaluateDocument, GateResult, PairedEvidence

HOSTILE = "<script>alert('x')</script>\" onload=\"y & {{ 7 * 7 }}"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Balance(HTMLParser):
    """Follows start and end tags; SVG elements may close themselves."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.ids += [value or ""] if name == "id" else []
            self.handlers += [name] if name.startswith("on") else []
            self.addresses += [value or ""] if name in ("href", "src", "xlink:href") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def parsed(page: str) -> Balance:
    balance = Balance()
    balance.feed(page)
    balance.close()
    assert balance.open == [], "elements left open"
    assert page.startswith("<!DOCTYPE html>")
    return balance


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


@pytest.fixture(scope="module")
def full_page(full: ReportContent) -> str:
    return render(full)


@pytest.mark.slow
def test_the_same_content_gives_the_same_bytes(full: ReportContent, full_page: str) -> None:
    again = ReportContent.model_validate_json(full.model_dump_json())
    assert render(again) == full_page


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(full: ReportContent, full_page: str) -> None:
    program = (
        "import sys\nfrom trunkline.report import ReportContent, render\n"
        "sys.stdout.buffer.write(render(ReportContent.model_validate_json(sys.stdin.read())).encode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=full.model_dump_json().encode(), capture_output=True, check=True
    )
    assert done.stdout.decode() == full_page


def test_the_page_is_well_formed_and_names_are_unique(full_page: str) -> None:
    found = parsed(full_page)
    assert len(found.ids) == len(set(found.ids))
    assert {key for key, _ in SECTIONS} <= set(found.ids)


def test_the_page_needs_no_network_and_no_script(full_page: str) -> None:
    found = parsed(full_page)
    assert not {"script", "img", "iframe", "object", "link"} & set(found.tags)
    assert found.handlers == []
    assert all(address.startswith("#") for address in found.addresses)
    assert "@import" not in full_page
    assert all("http" not in address for address in re.findall(r"url\(([^)]*)\)", full_page))


def test_every_picture_of_a_classification_is_there(full_page: str) -> None:
    names = "learners roc precision_recall reliability profit gains slices importance leakage tuning drift performance"
    ids = parsed(full_page).ids
    names += " fairness_gaps fairness_picked fairness_found fairness_wrongly_picked fairness_calibration_gap"
    assert [name for name in re.split(" ", names) if f"chart-{name}" not in ids] == []


def test_a_classification_is_told_in_figures_and_words(full_page: str) -> None:
    said = text(full_page)
    for part in (
        "Version 3 is the champion",
        "It passed all 7 gates and answers, in place of version 2.",
        "0.8512",
        "0.843 to 0.859",
        "As good as version 2 in ROC AUC",
        "1,203 rows that neither had seen",
        "Of 3 columns these have moved beyond their limits since the training of version 2: tenure months (Shift",
        "and contract term (PSI +0.3100).",
        "Demographic-parity gap 11.0 % [8.0 %, 14.0 %] , equalised-odds gap 7.0 %",
        "-0.004 [-0.016, +0.008]".replace("-", "\u2212"),
        "noise floor",
        "0.0151",
        "Confusion matrix, out of fold",
        "1,104",
        "total_charges.type",
        "too small to judge",
        "Drift of contract_term",
        "beyond their limits",
        "calls to the retention team are known on the day of scoring",
        "churn.subscribers",
        "scikit-learn",
        "Time since the first contract",
        "A search was ended by its time ceiling",
        "Profit per 1,000 rows",
        "The blend beats its best learner",
    ):
        assert part.lower() in said.lower(), part
    assert "absent_column" not in said, "a column that the model does not read needs no justification"


def test_negated_metrics_are_turned_round(full_page: str) -> None:
    said = text(full_page)
    assert "0.4102 [0.402, 0.418]" in said
    assert "\N{MINUS SIGN}0.41" not in said


def test_a_regression_has_folds_and_residual_pictures(regression: ReportContent) -> None:
    page = render(regression)
    ids = parsed(page).ids
    assert {"chart-predicted_true", "chart-residuals", "chart-residual_histogram"} <= set(ids)
    assert "chart-roc" not in ids
    said = text(page)
    assert "R²" in said
    assert "119,400 [114,200, 124,600]" in said
    assert "Errors in USD" in said
    assert "XGBoost, fold by fold" in said
    assert "grouped by house_id" in said


@pytest.mark.slow
def test_a_refused_candidate_says_what_failed_and_who_stays(full: ReportContent) -> None:
    assert full.evaluation is not None
    gates = (
        *full.evaluation.gates[:2],
        GateResult(name="calibration", passed=False, value=0.041, limit=0.02, detail="ECE above limit and noise floor"),
    )
    refused = full.model_copy(
        update={
            "state": "refused",
            "evaluation": full.evaluation.model_copy(update={"gates": gates, "passed": False}),
            "model": None,
            "predictions": None,
            "readings": (),
            "alerts": (),
        }
    )
    page = render(refused)
    parsed(page)
    said = text(page)
    assert "The candidate was refused" in said
    assert "It failed Calibration. Version 2 stays the champion." in said
    assert "ECE above limit and noise floor" in said
    assert "is the champion" not in said


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ((), "Nothing has finished yet"),
        pytest.param(("receipts",), "Rows were taken in", marks=pytest.mark.slow),
        (("receipts", "training"), "A candidate was trained"),
        pytest.param(("receipts", "training", "info", "evaluation"), "The candidate passed", marks=pytest.mark.slow),
        (("training", "evaluation", "model", "readings"), "Version 3 is the champion"),
    ],
    ids=["nothing", "ingest", "train", "evaluate", "without receipts"],
)
def test_a_run_with_some_steps_has_all_sections(full: ReportContent, kept: tuple[str, ...], said: str) -> None:
    content = ReportContent.model_validate(
        {
            "usecase": full.usecase,
            "run_id": full.run_id,
            "state": "started",
            **{name: getattr(full, name) for name in kept},
        }
    )
    page = render(content)
    assert {key for key, _ in SECTIONS} <= set(parsed(page).ids)
    assert said in text(page)


def test_a_failed_run_says_why(full: ReportContent) -> None:
    content = ReportContent(usecase=full.usecase, run_id="r", state="failed", problem="the file is truncated")
    assert "The run failed the file is truncated" in text(render(content))


def test_names_from_data_are_escaped_everywhere(full: ReportContent, receipt: Receipt) -> None:
    assert isinstance(full.training, TrainingReport)
    training = full.training.model_copy(
        update={
            "importances": (full.training.importances[0].model_copy(update={"feature": HOSTILE}),),
            "leakage": full.training.leakage.model_copy(
                update={"scores": {HOSTILE: 0.97}, "strongest": HOSTILE, "score": 0.97, "suspicious": (HOSTILE,)}
            ),
            "slices": {HOSTILE: full.training.slices["gender"]},
            "warnings": (HOSTILE,),
        }
    )
    hostile = full.model_copy(
        update={
            "usecase": UseCaseFacts(name=HOSTILE, title=HOSTILE, question=HOSTILE, metric="roc_auc"),
            "training": training,
            "receipts": (receipt.model_copy(update={"source": HOSTILE, "reasons": json.dumps({HOSTILE: 3})}),),
            "readings": tuple(reading.model_copy(update={"subject": HOSTILE}) for reading in full.readings),
            "evaluation": EvaluateDocument(
                gates=(GateResult(name=HOSTILE, passed=True, value=None, limit=None, detail=HOSTILE),),
                passed=True,
                paired=PairedEvidence(
                    metric="roc_auc", champion=HOSTILE, difference=0.1, low=0.05, high=0.2, rows=10, unseen=False
                ),
            ),
        }
    )
    page = render(hostile)
    found = parsed(page)
    assert "<script" not in page
    assert "script" not in found.tags
    assert found.handlers == []
    assert "{{ 7 * 7 }}" in text(page)
    assert page.count("&lt;script") > 10


def test_better_and_worse_are_said_by_the_interval() -> None:
    from trunkline.report.summary import against_champion

    def paired(low: float, high: float) -> str:
        return against_champion(
            PairedEvidence(
                metric="neg_log_loss",
                champion="4",
                difference=(low + high) / 2,
                low=low,
                high=high,
                rows=900,
                unseen=False,
                drawn_by="folds of whole cell_name",
            )
        )

    assert paired(0.01, 0.03).startswith("Better than version 4 in Log loss")
    assert paired(-0.03, -0.01).startswith("Worse than version 4")
    assert paired(-0.01, 0.03).startswith("As good as version 4")
    assert "both refitted in the same folds (interval by folds of whole cell_name)" in paired(0.01, 0.03)
    assert against_champion(None) == "There was no champion to compare with: this is the first candidate."


def test_rows_are_compared_with_those_of_the_champion(full: ReportContent) -> None:
    from trunkline.report.summary import data_since

    assert full.evaluation is not None
    calm = full.evaluation.model_copy(update={"drift": full.evaluation.drift[1:2]})
    assert data_since(calm) == "No column of 1 has moved beyond its limit since the training of version 2."
    first = full.evaluation.model_copy(update={"drift": ()})
    assert data_since(first) == data_since(None) == ""
    many = tuple(full.evaluation.drift[0].model_copy(update={"subject": f"column {n}"}) for n in range(9))
    assert "column 5 (PSI +0.3100) and 3 more." in data_since(full.evaluation.model_copy(update={"drift": many}))


def test_coordinates_are_shortened_but_no_text_that_people_read(full_page: str) -> None:
    paths = re.findall(r' d="([^"]*)"', full_page)
    assert paths
    assert not any(re.search(r"\.\d{3}", path) for path in paths)
    assert "0.8431, 0.8593" in text(full_page)


def test_the_facts_of_a_use_case_are_read_off_it() -> None:
    from trunkline.contracts import Contract, Flag, Number, Table, Text, field
    from trunkline.spec import UseCase
    from trunkline.tasks import Classification, Feature, Profit

    class Customer(Contract):
        table = Table(key=("customer_id",))
        customer_id: Text = field()
        age_years: Number | None = field("Age", unit="years")
        left: Flag | None = field()

    usecase = UseCase(
        name="leaving",
        title="Leaving",
        question="Who leaves?",
        datasets={"customers": Customer},
        main="customers",
        task=Classification(label="left", features=(Feature("age_years"),), profit=Profit(value=60.0, cost=15.0)),
        metric="roc_auc",
    )
    facts = UseCaseFacts.of(usecase)
    assert facts.field("age_years").unit == "years"
    assert facts.field("unknown").description == ""
    assert (facts.profit_value, facts.profit_cost) == (60.0, 15.0)
    assert facts.metric == "roc_auc"


def test_the_hardest_slice_and_the_way_of_writing_are_told_in_figures(full: ReportContent) -> None:
    assert isinstance(full.training, TrainingReport)
    far = FarMedian(column="load", median=25.1, usual=5.02, deviations=8.34, is_extreme=True)
    worst = HardestSlice(
        name="1CLTE", f1=0.91, whole_f1=0.973, missed=0.12, mistaken=0.05, far=(far,), grid="load", off_share=0.81,
        whole_off_share=0.901,
    )  # fmt: skip
    training = full.training.model_copy(
        update={
            "hardest": {"gender": worst},
            "grids": {"load": DecimalGrid(3, 0, 0.901), "users": DecimalGrid(3, 0, 0.88)},
        }
    )
    found = text(render(full.model_copy(update={"training": training})))
    found = re.sub(r" ([.,:;])", r"\1", found)
    for said in (
        "1CLTE is the hardest: F1 0.910 against 0.973 of all rows; 12.0 % of its positive rows are missed",
        "Its median load is 25.10 where that of the middle part is 5.020: 8.3 robust deviations above, and no other",
        "Of its positive rows 81.0 % have more decimals of load than the others ever have; of all such rows 90.1 %.",
        "the negative rows have 3 decimals of load at most, 90.1 % of the positive ones have more, and so it is with 1",
    ):
        assert said in found
    assert "is the hardest" not in text(render(full))
