"""The performance tables against the same logic written plainly in pandas, over real files and over small ones."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pytest

from trunkline.checks import arrow_schema
from trunkline.cli import main
from trunkline.engine import Engine, open_engine
from trunkline.errors import UseCaseError
from trunkline.lake import Lake
from trunkline.plan import plan_of
from trunkline.plugins import load_usecase
from trunkline.settings import load_settings
from trunkline.settings.lake import LakeSettings
from trunkline.spec import Places, UseCase

if TYPE_CHECKING:
    import ibis.expr.types as ir

ABOVE = [
    "PRBUsageUL",
    "PRBUsageDL",
    "maxThr_DL",
    "maxThr_UL",
    "meanUE_DL",
    "meanUE_UL",
    "maxUE_DL",
    "maxUE_UL",
    "maxUE_UL_DL",
    "drop_vce_Mean",
    "drop_dat_Mean",
    "blck_vce_Mean",
    "blck_dat_Mean",
]
BELOW = [
    "meanThr_DL",
    "meanThr_UL",
    "roam_Mean",
    "change_mou",
    "peak_vce_Mean",
    "peak_dat_Mean",
    "opk_vce_Mean",
    "opk_dat_Mean",
    "drop_blk_Mean",
    "callfwdv_Mean",
    "service_stability_voice_calls",
    "service_stability_data_calls",
]
GRAIN = ["customerID", "CellName", "tenure", "PhoneService", "MultipleLines", "InternetService"]
ABSENT = "drop_dat_Mean blck_dat_Mean peak_dat_Mean opk_dat_Mean service_stability_data_calls"


def oracle(
    cells: pd.DataFrame, customers: pd.DataFrame, usage: pd.DataFrame, most: int = 6
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The usual job, step by step, from the files as they are."""
    cells = cells.rename(columns={"maxUE_UL+DL": "maxUE_UL_DL"}).drop(columns="Time").drop_duplicates("CellName")
    taken = customers[(customers["PhoneService"] == "Yes") & (customers["Index"] > 1000)]
    taken = taken.drop(columns="customerID").rename(columns={"Index": "customerID"})
    first = taken.merge(cells, left_on="CellTower", right_on="CellName")
    usage = usage.assign(customerID=usage["Customer_ID"].astype(str).str[3:10].astype(int))
    usage = usage[usage["customerID"] > 1000]
    usage = usage[usage.groupby("customerID").cumcount() < most]
    second = first.merge(usage, on="customerID")
    measures = [name for name in (*ABOVE, *BELOW, "Unusual", "callwait_Mean") if name in second.columns]
    metrics = second.groupby(GRAIN, dropna=False)[measures].mean().add_prefix("avg_").reset_index()
    averages = [f"avg_{name}" for name in measures]
    towers = metrics.groupby("CellName")[averages].mean()
    towers.insert(0, "customer_count", metrics.groupby("CellName").size())
    return with_flags(metrics), with_flags(towers.reset_index())


def with_flags(table: pd.DataFrame) -> pd.DataFrame:
    table["service_stability_voice_calls"] = table["avg_peak_vce_Mean"] / table["avg_opk_vce_Mean"].where(
        table["avg_opk_vce_Mean"] != 0
    )
    table["defected_count"] = 0
    for name in (*ABOVE, *BELOW):
        column = name if name.startswith("service") else f"avg_{name}"
        values = table[column] if column in table else pd.Series(float("nan"), index=table.index)
        wrong = values > values.mean() if name in ABOVE else values < values.mean()
        same = (values - values.mean()).abs() <= 1e-9 * abs(values.mean())
        table[f"{name}_Thrsld"] = (wrong & ~same).astype(int)
        table["defected_count"] += table[f"{name}_Thrsld"]
    return table


def same_numbers(found: pd.DataFrame, wanted: pd.DataFrame, key: list[str]) -> None:
    found, wanted = (one.sort_values(key).reset_index(drop=True) for one in (found, wanted))
    assert len(found) == len(wanted)
    for name in wanted.columns:
        if name == "PhoneService":
            assert found[name].all()
        elif wanted[name].dtype == object:
            assert found[name].tolist() == wanted[name].tolist(), name
        else:
            pd.testing.assert_series_equal(found[name], wanted[name], check_dtype=False, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("duckdb", threads=1) as opened:
        yield opened


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUNKLINE_THREADS", "1")
    monkeypatch.chdir(tmp_path)


def stored(workspace: Path, engine: Engine, table: str) -> pd.DataFrame:
    lake = Lake(workspace / "lake", engine=engine, settings=LakeSettings(), clock=lambda: pd.Timestamp.now("UTC"))
    rows: pd.DataFrame = lake.arrow(table).to_pandas()
    return rows


@pytest.mark.slow
def test_the_real_files_give_what_the_usual_job_gives(
    environment: None, data_dir: Path, tmp_path: Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data_dir / "towers"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    workspace, documents = tmp_path / "workspace", {}
    for dataset, source in (
        ("thresholds", "service_threshold_data.csv"),
        ("usage", "telecom_surrogate_from_cell2cell.parquet"),
        ("customers", "cust_raw_data"),
    ):
        arguments = ("ingest", "towers", str(folder / source), "--workspace", str(workspace))  # columns tell
        assert main([*arguments, "--json"]) == 0
        documents[dataset] = json.loads(capsys.readouterr().out)
    customers = pd.concat([pd.read_parquet(path) for path in sorted((folder / "cust_raw_data").glob("*.parquet"))])
    metrics, towers = oracle(
        pd.read_csv(folder / "service_threshold_data.csv"),
        customers,
        pd.read_parquet(folder / "telecom_surrogate_from_cell2cell.parquet"),
    )
    same_numbers(stored(workspace, engine, "towers.customer_service_metrics"), metrics, ["customerID", "CellName"])
    found = stored(workspace, engine, "towers.cell_tower_performance")
    same_numbers(found, towers, ["CellName"])
    assert (found["maintenance_required"] == (found["defected_count"] >= 15)).all()
    assert found["customer_count"].sum() == len(metrics)

    receipts = {receipt["dataset"]: receipt for receipt in documents["customers"]["derived"]}
    notes = json.loads(receipts["customer_service_metrics"]["notes"])
    assert notes["customers"] == len(customers) == 4930
    assert notes["customers_without_phone"] == (customers["PhoneService"] != "Yes").sum()
    left = [value for name, value in notes.items() if name.startswith("customers_")]
    assert notes["customers"] - sum(left) == len(metrics)
    assert notes["usage_rows"] == 51_047
    taken = notes["usage_rows_over_1000"] - notes["usage_rows_beyond_the_most"] - notes["usage_rows_without_customer"]
    assert taken == stored(workspace, engine, "towers.customer_service_metrics")["usage_rows"].sum()
    assert notes["indicators_without_values"] == ABSENT
    assert not found[[f"{name}_Thrsld" for name in ABSENT.split()]].any().any()


CELLS = [("00:00", "a", 10.0, 1), ("00:15", "a", 90.0, 0), ("00:00", "b", 30.0, 0), ("00:00", "c", 50.0, 1)]
"""Time, cell, PRBUsageUL, Unusual; cell c serves nobody."""


def tables(engine: Engine, rows: Mapping[str, list[dict[str, object]]]) -> "dict[str, ir.Table]":
    """The inputs as the platform gives them: the contract's columns, and the order of coming."""
    found = {}
    for dataset, contract in towers().datasets.items():
        schema = arrow_schema(contract).append(pa.field("_ingested_at", pa.timestamp("us", "UTC")))
        given = [{**row, "_row": place} for place, row in enumerate(rows.get(dataset, []), start=1)]
        found[dataset] = engine.table(pa.Table.from_pylist(given, schema.append(pa.field("_row", pa.int64()))))
    return found


def towers(**given: object) -> UseCase:
    return load_usecase("towers").with_choices(given)


def small() -> dict[str, list[dict[str, object]]]:
    """Two cells with a customer each, told apart by drop_vce_mean, and one customer of each kind that is lost."""

    def customer(number: int, cell: str, phone: bool | None = True) -> dict[str, object]:
        return {"customer_number": number, "cell_name": cell, "phone_service": phone, "multiple_lines": "No"}

    cells = [
        {"time_of_day": at, "cell_name": cell, "prb_usage_ul": usage, "is_unusual": bool(unusual)}
        for at, cell, usage, unusual in CELLS
    ]
    customers = [customer(1001, "a"), customer(2000, "b"), customer(1000, "a"), customer(1002, "a", phone=False)]
    customers += [customer(1003, "a", phone=None), customer(1004, "nowhere"), customer(1005, "b")]
    usage: list[dict[str, object]] = [
        {"account_id": f"300{number}", "drop_vce_mean": float(value), "drop_blk_mean": float(value)}
        for number, value in [(1001, 1), (1001, 2), (2000, 9), (1000, 5), (9999, 7)]
    ]
    usage += [{"account_id": "3001001", "drop_vce_mean": 3.0} for _ in range(6)]
    usage += [{"account_id": "300"}, {"account_id": "300x001"}]
    return {"thresholds": cells, "customers": customers, "usage": usage}


def computed(
    engine: Engine, rows: Mapping[str, list[dict[str, object]]], **given: object
) -> tuple[dict[str, dict[str, object]], dict[str, dict[str, object]], dict[str, object]]:
    """Customers by number and cells by name, and the notes of the first table."""
    derived = towers(**given).derived
    first, second = derived["customer_service_metrics"], derived["cell_tower_performance"]
    known = dict(first.stepwise(tables(engine, rows)))
    known["rows"] = first.expression(known)
    metrics = engine.arrow(known["rows"])
    cells = engine.arrow(second.rows(known)).to_pylist()
    assert first.notes is not None
    (notes,) = engine.arrow(first.notes(known)).to_pylist()
    return (
        {f"{row['customerID']}": row for row in metrics.to_pylist()},
        {str(row["CellName"]): row for row in cells},
        notes,
    )


@pytest.mark.slow
def test_every_condition_and_join_is_accounted_for(engine: Engine) -> None:
    customers, cells, notes = computed(engine, small())
    assert set(customers) == {"1001", "2000"}
    assert set(cells) == {"a", "b"}
    assert customers["1001"]["usage_rows"] == 6
    assert customers["1001"]["avg_drop_vce_Mean"] == pytest.approx((1 + 2 + 3 * 4) / 6, rel=1e-12)
    assert customers["1001"]["avg_drop_blk_Mean"] == 1.5  # nulls are no zeros
    assert {name: value for name, value in notes.items() if name != "indicators_without_values"} == {
        "customers": 7,
        "customers_without_phone": 2,
        "customers_number_not_over_1000": 1,
        "customers_of_unmeasured_cells": 1,
        "customers_without_usage": 1,
        "threshold_rows": 4,
        "cells_without_customers": 1,
        "usage_rows": 13,
        "usage_rows_over_1000": 10,
        "usage_rows_beyond_the_most": 2,
        "usage_rows_without_customer": 1,
    }
    assert "PRBUsageUL" not in str(notes["indicators_without_values"]).split()
    assert "PRBUsageDL" in str(notes["indicators_without_values"]).split()


@pytest.mark.slow
def test_flags_by_their_directions_and_profiles(engine: Engine) -> None:
    customers, cells, _ = computed(engine, small())
    few, many = customers["1001"], customers["2000"]
    assert (few["PRBUsageUL_Thrsld"], many["PRBUsageUL_Thrsld"]) == (0, 1)
    assert (few["drop_vce_Mean_Thrsld"], many["drop_vce_Mean_Thrsld"]) == (0, 1)
    assert (few["drop_blk_Mean_Thrsld"], many["drop_blk_Mean_Thrsld"]) == (1, 0)
    assert (few["defected_count"], many["defected_count"], few["known_count"]) == (1, 2, 3)
    assert few["PRBUsageDL_Thrsld"] == many["service_stability_voice_calls_Thrsld"] == 0
    assert not cells["b"]["maintenance_required"]
    customers, cells, _ = computed(engine, small(), profile="corrected", maintenance_at=3, row_of_cell="last")
    few, many = customers["1001"], customers["2000"]
    assert (few["drop_blk_Mean_Thrsld"], many["drop_blk_Mean_Thrsld"]) == (0, 1)
    assert few["avg_PRBUsageUL"] == 90.0
    assert (cells["a"]["defected_count"], cells["b"]["defected_count"]) == (1, 2)
    assert not cells["b"]["maintenance_required"]
    _, cells, _ = computed(engine, small(), profile="corrected", maintenance_at=2, row_of_cell="last", usage_rows=1)
    assert cells["b"]["maintenance_required"]


@pytest.mark.slow
def test_equal_numbers_raise_none_and_ratios_by_zero_are_null(engine: Engine) -> None:
    rows = small()
    for place, row in enumerate(rows["usage"]):
        row |= {"drop_vce_mean": 0.1, "peak_vce_mean": 5.0, "opk_vce_mean": 0.0 if place == 2 else 2.0}
    customers, cells, _ = computed(engine, rows)
    assert [one["drop_vce_Mean_Thrsld"] for one in (*customers.values(), *cells.values())] == [0, 0, 0, 0]
    assert customers["1001"]["service_stability_voice_calls"] == 2.5
    assert customers["2000"]["service_stability_voice_calls"] is None
    assert customers["2000"]["service_stability_voice_calls_Thrsld"] == 0


def test_there_are_twenty_five_flags_with_the_usual_directions() -> None:
    usecase = towers()
    flags = [name for name in usecase.contracts["cell_tower_performance"].model_fields if name.endswith("_Thrsld")]
    assert sorted(flags) == sorted(f"{name}_Thrsld" for name in (*ABOVE, *BELOW))
    assert len(flags) == 25


def test_the_steps_are_part_of_the_plan() -> None:
    assert plan_of(load_usecase("towers")).derivations == {
        "customer_service_metrics": ("customers_thresholds", "customers_services", "customer_service_metrics"),
        "cell_tower_performance": ("customers_thresholds", "customers_services", "cell_tower_performance"),
    }


def test_a_name_that_means_two_steps_is_refused() -> None:
    usecase = towers()
    table = usecase.derived["cell_tower_performance"]
    other = {**table.steps, "customers_services": lambda tables: tables["customers_thresholds"]}
    with pytest.raises(UseCaseError, match="'customers_services' is another one on the way to 'customer_service"):
        replace(usecase, derived={**usecase.derived, "cell_tower_performance": replace(table, steps=other)})


def test_a_step_that_is_called_like_an_input_is_refused() -> None:
    usecase = towers()
    table = usecase.derived["customer_service_metrics"]
    steps = {"usage": lambda tables: tables["usage"]}
    with pytest.raises(UseCaseError, match="cannot be called 'usage'"):
        replace(usecase, derived={**usecase.derived, "customer_service_metrics": replace(table, steps=steps)})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TOWERS__MAINTENANCE_AT", "26", "maintenance_at"),
        ("TOWERS__PROFILE", "best", "profile"),
        ("TOWERS__MAINTENANCE", "3", "maintenance"),
        ("CHURN__ROWS", "3", "nothing to set"),
    ],
)
def test_what_cannot_be_set_is_refused(
    environment: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(f"TRUNKLINE_USECASES__{variable}", value)
    name = variable.partition("__")[0].lower()
    assert main(["ingest", name, "nothing.csv", "--workspace", str(tmp_path / "workspace")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert f"[usecases.{name}]" in told


def test_choices_come_from_the_settings_file(environment: None, tmp_path: Path) -> None:
    (tmp_path / "trunkline.toml").write_text('[usecases.towers]\nmaintenance_at = 3\nprofile = "corrected"\n')
    assert load_settings().usecases == {"towers": {"maintenance_at": 3, "profile": "corrected"}}


@pytest.mark.slow
def test_the_cells_of_the_simulator_with_faults_have_more_flags(
    environment: None,
    tmp_path: Path,
    engine: Engine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRUNKLINE_USECASES__TOWERS__PROFILE", "corrected")
    workspace = tmp_path / "workspace"
    assert main(["run", "towers", "--workspace", str(workspace), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert Path(document["report"]["path"]).is_file()
    assert 0.6 < document["metrics"]["f1"]["value"] <= 1
    assert all(gate["passed"] for gate in document["gates"])
    drifted = {one["subject"] for one in document["monitor"]["crossed"] if one["family"] == "drift"}
    assert drifted == set()
    found = stored(workspace, engine, "towers.cell_tower_performance")
    periods = stored(workspace, engine, "towers.thresholds")
    assert len(found) == 200
    unusual = periods.groupby("cell_name")["is_unusual"].mean()
    faulty = found["CellName"].map(unusual) > 0.1
    assert 20 < faulty.sum() < 120
    calls = ["drop_vce_Mean_Thrsld", "blck_vce_Mean_Thrsld", "drop_blk_Mean_Thrsld"]
    assert found.loc[faulty, calls].mean().min() > 0.8
    assert found.loc[~faulty, calls].mean().max() < 0.2


def test_places_that_no_dataset_says_are_refused() -> None:
    usecase = load_usecase("towers")
    watched = usecase.watched
    assert watched is not None
    for places, said in (
        (Places(dataset="masts", entity="cell_name"), "which is no dataset"),
        (Places(dataset="cells", entity="cell_name", latitude="height"), "'height', which 'cells' lacks"),
    ):
        with pytest.raises(UseCaseError, match=said):
            replace(usecase, watched=replace(watched, places=places))


@pytest.mark.slow
def test_unusual_periods_of_the_real_file_with_whole_cells_held_out(
    environment: None, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, workspace = str(data_dir / "towers" / "service_threshold_data.csv"), str(tmp_path / "workspace")
    assert main(["run", "towers", "--source", source, "--workspace", workspace, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    f1 = document["metrics"]["f1"]
    assert f1["value"] >= 0.965
    assert f1["high"] - f1["low"] > 0.02, "drawn are the 33 cells, not their rows"
    assert f1["low"] > 0.93
