"""The rows of a use case: a table that is older than a field of its contract reads as if the field were null."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from trunkline.engine import open_engine
from trunkline.lake import Lake
from trunkline.plugins import load_usecase
from trunkline.settings.lake import LakeSettings
from trunkline.train import main_table


def test_a_table_older_than_its_contract_has_features(tmp_path: Path) -> None:
    numbers = ("tenure_months", "handsets", "current_equipment_days")
    values: dict[str, list[object]] = {"subscriber_id": ["a", "b"]}
    values.update({name: [9, 9] for name in numbers})
    lineage = {"_batch_id": ["x", "x"], "_row": [1, 2], "_run_id": ["r", "r"]}
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(tmp_path, engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))
        rows = pa.table(values | lineage)
        rows = rows.append_column("_ingested_at", pa.array([0, 0], pa.timestamp("us", "UTC")))
        lake.append("upgrade.subscribers", rows)
        found, versions = main_table(load_usecase("upgrade"), lake)
    assert versions == {"upgrade.subscribers": 0}
    assert found.column("subscriber_id").to_pylist() == ["a", "b"]
    assert found.column("upgraded").to_pylist() == [True, True], "by the proxy: a second handset, nine days old"
    assert found.column("observed_at").null_count == 2


def test_the_newest_row_of_a_key_is_taken_and_only_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    def batch(name: str, ids: list[str], charge: float) -> pa.Table:
        count, at = len(ids), 0 if name == "x" else 1
        return pa.table(
            {
                "subscriber_id": ids,
                "monthly_charges": [charge] * count,
                "_batch_id": [name] * count,
                "_row": list(range(count)),
                "_ingested_at": pa.array([at] * count, pa.timestamp("us", "UTC")),
            }
        )

    columns = ("monthly_charges", "subscriber_id", "of_no_table")
    with open_engine("duckdb", threads=1) as engine:
        lake = Lake(tmp_path, engine=engine, settings=LakeSettings(), clock=lambda: datetime.now(UTC))
        lake.append("upgrade.subscribers", batch("x", ["a", "b", "c"], 1.0))
        once, _ = main_table(load_usecase("upgrade"), lake, columns=columns)
        lake.append("upgrade.subscribers", batch("y", ["b", "d"], 2.0))
        twice, _ = main_table(load_usecase("upgrade"), lake, columns=columns)
    assert once.to_pylist() == [{"subscriber_id": name, "monthly_charges": 1.0} for name in "abc"]
    assert twice.to_pydict() == {"subscriber_id": ["a", "c", "b", "d"], "monthly_charges": [1.0, 1.0, 2.0, 2.0]}
