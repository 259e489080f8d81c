"""Tables on the console: pages and files of their current rows, personal data by role, and a note of each file."""

import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from trunkline.checks import arrow_schema
from trunkline.console import mount
from trunkline.contracts.records import EXPORTS
from trunkline.serve import Holder
from trunkline.settings.serve import Role

if TYPE_CHECKING:
    from tests.console.conftest import Console

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PHONE = "+491510000"


@dataclass
class Viewer:
    """Somebody with a role."""

    console: "Console"
    role: Role = "reader"
    asked: Role | None = None

    def client(self) -> TestClient:
        app = FastAPI()

        def access(_role: Role) -> object:
            return lambda _request: Holder("crm", self.role)

        mount(app, self.console.reader, access=access)  # type: ignore[arg-type]  # a dependency like any other
        return TestClient(app)


@pytest.fixture
def filled(empty: "Console") -> "Console":
    """Seven customers, one of them twice."""
    contract = empty.reader._contract("leaving", "customers")
    schema = arrow_schema(contract)
    for batch, numbers in (("b1", range(7)), ("b2", [3])):
        rows = pa.table(
            {
                "customer_id": [f"C{number}" for number in numbers],
                "phone": [f"{PHONE}{number}" for number in numbers],
                "tenure_months": list(numbers),
                "remark": ["<script>x</script>" if batch == "b1" else "again" for _ in numbers],
                "left": [number % 2 == 0 for number in numbers],
            }
        ).cast(schema)
        count = rows.num_rows
        for name, values in (
            (
                "_ingested_at",
                pa.array([AT.replace(hour=10 if batch == "b1" else 11)] * count, pa.timestamp("us", "UTC")),
            ),
            ("_batch_id", pa.array([batch] * count)),
            ("_row", pa.array(range(1, count + 1), pa.int64())),
            ("_run_id", pa.array(["run"] * count)),
        ):
            rows = rows.append_column(name, values)
        empty.lake.append("leaving.customers", rows)
    return empty


def test_tables_are_listed_with_their_personal_data(filled: "Console") -> None:
    assert "leaving.customers 8 1 phone" in filled.text("/console/tables")


def test_tables_say_what_they_take_and_cost(filled: "Console") -> None:
    text = filled.text("/console/tables")
    assert "MB Superseded MB Log MB Files Versions kept Cost a month" in text
    assert re.search(r"leaving\.customers 8 1 phone 0\.\d\d 0\.00 0\.\d\d 2 2 0\.0000", text), text


def test_a_page_shows_the_newest_row_of_each_key(filled: "Console") -> None:
    said, page = filled.text("/console/tables/leaving/customers"), filled.page("/console/tables/leaving/customers")
    assert "7 rows" in said
    assert said.index("C3") < said.index("C0"), "what came last is first"
    assert said.count("C3") == 1
    assert "again" in said
    assert "&lt;script&gt;" in page
    assert "not see it" in said
    assert PHONE not in page
    assert "Export as CSV" not in said


def test_long_tables_go_over_pages(filled: "Console", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.console.pages._PREVIEW_ROWS", 3)
    seen = [filled.text(f"/console/tables/leaving/customers?page={page}") for page in (1, 2, 3)]
    assert "7 rows, page 1 of 3" in seen[0]
    assert sorted(name for text in seen for name in text.split() if name.startswith("C") and name[1:].isdigit()) == [
        f"C{number}" for number in range(7)
    ]
    assert "no row here" in filled.text("/console/tables/leaving/customers?page=9")


@pytest.mark.parametrize(("role", "sees"), [("reader", False), ("operator", False), ("admin", True)])
def test_personal_data_is_for_admins(filled: "Console", role: Role, sees: bool) -> None:
    client = Viewer(filled, role).client()
    page = client.get("/console/tables/leaving/customers").text
    assert (PHONE in page) is sees
    assert ("hidden</span>" in page) is not sees
    assert "C0" in page, "a key that is not personal is shown"
    assert ("Export as CSV" in page) is (role != "reader")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["operator", "admin"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_is_cut_masked_and_noted(filled: "Console", role: Role, form: str) -> None:
    answer = Viewer(filled, role).client().get(f"/console/tables/leaving/customers/export?form={form}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="leaving-customers-v1.{form}"'
    assert answer.headers["x-trunkline-rows"] == "5 of 7"
    body = io.BytesIO(answer.content)
    rows = pq.read_table(body) if form == "parquet" else pc.read_csv(body)
    assert rows.num_rows == 5
    assert rows.column("customer_id").to_pylist()[0] == "C3"
    assert (PHONE[1:] in str(rows.column("phone").to_pylist())) is (role == "admin")
    (note,) = filled.lake.arrow(EXPORTS).to_pylist()
    assert {name: note[name] for name in ("holder", "role", "usecase", "dataset", "table_version", "form", "rows")} == {
        "holder": "crm",
        "role": role,
        "usecase": "leaving",
        "dataset": "customers",
        "table_version": 1,
        "form": form,
        "rows": 5,
    }
    assert json.loads(note["masked"]) == ([] if role == "admin" else ["phone"])
    assert note["exported_at"] == AT


def test_without_a_note_there_is_no_file(filled: "Console", monkeypatch: pytest.MonkeyPatch) -> None:
    from trunkline.errors import BusyError
    from trunkline.lake import Lake

    def busy(*_given: object, **_named: object) -> int:
        raise BusyError("somebody writes", holder="another", where="platform.exports")

    monkeypatch.setattr(Lake, "append", busy)
    answer = Viewer(filled, "admin").client().get("/console/tables/leaving/customers/export")
    assert answer.status_code == 500
    assert PHONE not in answer.text


@pytest.mark.parametrize("path", ["/console/tables/leaving/none", "/console/tables/none/customers/export"])
def test_tables_that_are_not_there(filled: "Console", path: str) -> None:
    assert Viewer(filled, "admin").client().get(path).status_code == 404
    assert Viewer(filled, "admin").client().get("/console/tables/leaving/customers/export?form=exe").status_code == 422
