"""Batches: every row of a file is accepted, quarantined with all its reasons, or a duplicate; and each of them once."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.memory import peak_mb

from trunkline.contracts import Contract, Flag, Instant, Integer, Number, Rule, Table, Text, col, field
from trunkline.contracts.records import Receipt
from trunkline.errors import RowsRefusedError, SchemaError, SourceError
from trunkline.ingest import Ingested, Target, checked_rows, ingest_file
from trunkline.lake import Lake

Write = Callable[[str, bytes | str], Path]


class Call(Contract):
    table: ClassVar[Table] = Table(
        key=("call_id",), event_at="at", rules=(Rule("billed_within", col("billed") <= col("seconds")),)
    )

    call_id: Text = field(max_length=10)
    seconds: Integer = field(minimum=0)
    billed: Integer | None = field(minimum=0)
    kind: Literal["voice", "video"] | None = field(mapping={"V": "voice"})
    at: Instant | None = field(zone="Europe/Berlin")


class FirstCall(Call):
    table: ClassVar[Table] = Table(key=("call_id",), event_at="at", keep="first")


class KeylessCall(Call):
    table: ClassVar[Table] = Table()


HEADER = ("call_id", "seconds", "billed", "kind", "at")


def now() -> datetime:
    return datetime.now(UTC)


def take(lake: Lake, path: Path, contract: type[Contract] = Call, *, run_id: str = "r1", **mapping: str) -> Ingested:
    return ingest_file(
        path, Target("calls", "calls", contract), lake=lake, run_id=run_id, clock=now, mapping=mapping or None
    )


def rows_of(lake: Lake, table: str = "calls.calls") -> list[dict[str, object]]:
    order = "row_number" if table == "platform.quarantine" else "_row"
    return sorted(lake.arrow(table).to_pylist(), key=lambda row: (str(row.get("_batch_id")), row[order]))


def lines(*rows: str) -> str:
    return "\n".join([",".join(HEADER), *rows]) + "\n"


def test_a_file_is_split_and_accounted_for(lake: Lake, write: Write) -> None:
    path = write(
        "calls.csv",
        lines(
            "c1,60,60,V,2026-01-01 12:00",
            "c2,-5,x,fax,2026-01-01T12:00Z",
            "short",
            "c3,10,20,,",
            ",,,,yesterday",
            "c1,61,,voice,2026-01-02 12:00",
            "c4, 7 ,,video,",
        ),
    )
    receipt = take(lake, path).receipt
    assert (receipt.read, receipt.accepted, receipt.quarantined, receipt.duplicates) == (7, 2, 4, 1)
    assert json.loads(receipt.reasons) == {
        "line.malformed": 1,
        "seconds.minimum": 1,
        "billed.type": 1,
        "kind.category": 1,
        "billed_within": 1,
        "call_id.null": 1,
        "seconds.null": 1,
        "at.type": 1,
    }
    assert (json.loads(receipt.absent_columns), json.loads(receipt.extra_columns)) == ([], [])
    accepted = rows_of(lake)
    assert [(row["_row"], row["call_id"], row["seconds"], row["kind"]) for row in accepted] == [
        (6, "c1", 61, "voice"),
        (7, "c4", 7, "video"),
    ]
    assert accepted[0]["at"] == datetime(2026, 1, 2, 11, tzinfo=UTC)
    assert {row["_run_id"] for row in accepted} == {"r1"}
    assert {row["_batch_id"] for row in accepted} == {receipt.batch_id}
    refused = rows_of(lake, "platform.quarantine")
    assert [(row["row_number"], json.loads(str(row["reasons"]))) for row in refused] == [
        (2, ["seconds.minimum", "billed.type", "kind.category"]),
        (3, ["line.malformed"]),
        (4, ["billed_within"]),
        (5, ["call_id.null", "seconds.null", "at.type"]),
    ]
    assert json.loads(str(refused[0]["row"])) == dict(
        zip(HEADER, ["c2", "-5", "x", "fax", "2026-01-01T12:00Z"], strict=True)
    )
    assert json.loads(str(refused[1]["row"])) == {"line": "short"}
    assert {row["state"] for row in refused} == {"open"}


def test_the_same_file_again_changes_nothing(lake: Lake, write: Write, tmp_path: Path) -> None:
    content = lines("c1,60,60,V,", "c2,-5,,,")
    first = take(lake, write("a.csv", content))
    versions = [lake.version(table) for table in lake.tables()]
    again = take(lake, write("b.csv", content), run_id="r2")
    assert (first.known, again.known) == (False, True)
    assert again.receipt == first.receipt
    assert [lake.version(table) for table in lake.tables()] == versions


def test_another_mapping_or_contract_is_another_batch(lake: Lake, write: Write) -> None:
    path = write("calls.csv", "call_id,seconds,other\nc1,60,30\n")
    ids = {take(lake, path).receipt.batch_id, take(lake, path, other="billed").receipt.batch_id}
    assert len(ids) == 2
    assert [row["billed"] for row in rows_of(lake)] in ([None, 30], [30, None])


def test_of_rows_with_one_key_the_newest_is_kept(lake: Lake, write: Write) -> None:
    content = lines(
        "k,1,,,2026-01-03 00:00",
        "k,2,,,2026-01-04 00:00",
        "k,3,,,2026-01-02 00:00",
        "k,4,,,",
        "k,-1,,,2027-01-01 00:00",
    )
    path = write("again.csv", content)
    assert take(lake, path).receipt.duplicates == 3
    assert [row["seconds"] for row in rows_of(lake)] == [2]


def test_or_the_first_or_all(lake: Lake, write: Write) -> None:
    path = write("again.csv", lines("k,1,,,2026-01-03 00:00", "k,2,,,2026-01-02 00:00", "k,3,,,2026-01-02 00:00"))
    assert take(lake, path, FirstCall).receipt.duplicates == 2
    assert [row["seconds"] for row in rows_of(lake)] == [2]
    assert take(lake, path, KeylessCall).receipt.duplicates == 0


cells = {
    "call_id": st.sampled_from(["a", "b", "c", "", "longer than ten"]),
    "seconds": st.sampled_from(["5", "50", "-1", "x", ""]),
    "billed": st.sampled_from(["5", "", "10", "1.5"]),
    "kind": st.sampled_from(["V", "video", "fax", "", 'q"u,o\nte']),
    "at": st.sampled_from(["", "2026-01-01 10:00", "2026-01-02T10:00Z", "never"]),
}


def expected(rows: list[dict[str, str]]) -> tuple[dict[str, int], Counter[str]]:
    """The verdicts, from the contract's prose: what is accepted by key (its seconds), and how often each reason."""
    reasons: Counter[str] = Counter()
    kept: dict[str, tuple[str, int, int]] = {}
    for number, row in enumerate(rows):
        broken = []
        if row["call_id"] == "":
            broken.append("call_id.null")
        elif len(row["call_id"]) > 10:
            broken.append("call_id.length")
        broken += {"-1": ["seconds.minimum"], "x": ["seconds.type"], "": ["seconds.null"]}.get(row["seconds"], [])
        broken += ["billed.type"] if row["billed"] == "1.5" else []
        broken += ["kind.category"] if row["kind"] in ("fax", 'q"u,o\nte') else []
        broken += ["at.type"] if row["at"] == "never" else []
        if (
            row["billed"] in ("5", "10")
            and row["seconds"] in ("5", "50", "-1")
            and int(row["billed"]) > int(row["seconds"])
        ):
            broken.append("billed_within")
        reasons.update(broken)
        if not broken:
            mine = (row["at"].replace("T", " "), number, int(row["seconds"]))
            kept[row["call_id"]] = max(kept.get(row["call_id"], ("", -1, 0)), mine)
    return {key: seconds for key, (_, _, seconds) in kept.items()}, reasons


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=8,
    phases=[Phase.generate],
)
@given(rows=st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=60), ragged=st.integers(0, 3))
def test_read_is_accepted_and_quarantined_and_duplicates(
    rows: list[dict[str, str]], ragged: int, make_lake: Callable[[], Lake], tmp_path: Path
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([[row[name] for name in HEADER] for row in rows])
    path = tmp_path / "rows.csv"
    path.write_text(text.getvalue() + "one,two\n" * ragged)
    lake = make_lake()
    kept, reasons = expected(rows)
    reasons += Counter({"line.malformed": ragged})
    if kept:
        receipt = take(lake, path).receipt
    else:
        with pytest.raises(RowsRefusedError) as caught:
            take(lake, path)
        assert caught.value.reasons == reasons
        receipt = take_receipt(lake)
    assert receipt.read == len(rows) + ragged == receipt.accepted + receipt.quarantined + receipt.duplicates
    assert json.loads(receipt.reasons) == reasons
    assert receipt.accepted == len(kept)
    found = rows_of(lake) if kept else []
    assert {str(row["call_id"]): row["seconds"] for row in found} == kept
    assert len(found) == len(kept)
    refused = rows_of(lake, "platform.quarantine") if receipt.quarantined else []
    assert len(refused) == receipt.quarantined
    assert Counter(reason for row in refused for reason in json.loads(str(row["reasons"]))) == reasons


def take_receipt(lake: Lake) -> Receipt:
    (row,) = lake.arrow("platform.receipts").to_pylist()
    return Receipt(**{name: row[name] for name in Receipt.model_fields})


@pytest.mark.slow
def test_all_rows_bad(lake: Lake, write: Write) -> None:
    path = write("bad.csv", lines(*(f"c{number},x,,," for number in range(30_000))))
    with pytest.raises(
        RowsRefusedError, match=r"none of the 30000 rows fits the contract: seconds\.type \(30000\)"
    ) as caught:
        take(lake, path)
    receipt = take_receipt(lake)
    assert caught.value.exit_code == 2
    assert receipt.batch_id in caught.value.next_step
    assert (receipt.quarantined, receipt.accepted, receipt.table_version) == (30_000, 0, None)
    assert len(rows_of(lake, "platform.quarantine")) == 30_000
    assert not lake.exists("calls.calls")
    with pytest.raises(RowsRefusedError):  # known, and still refused
        take(lake, path)
    assert len(rows_of(lake, "platform.quarantine")) == 30_000


def test_nothing_is_written_of_what_cannot_be_read(lake: Lake, write: Write) -> None:
    for name, content, kind, says in (
        ("no_column.csv", "call_id,kind\nc1,V\n", SchemaError, "the source lacks the column for: seconds"),
        ("two.csv", "call_id,CALL_ID,seconds\nc1,c2,1\n", SchemaError, "both mean field 'call_id'"),
        ("header.csv", ",".join(HEADER) + "\n", SourceError, "a header but no rows"),
        (
            "header.parquet",
            _parquet(pa.table({name: pa.array([], pa.string()) for name in HEADER})),
            SourceError,
            "no rows",
        ),
        ("cut.csv", lines("c1,60,60,V,2026-01-01 12:00").rstrip() + "\nc2,6", SourceError, "truncated"),
    ):
        with pytest.raises(kind, match=says) as caught:
            take(lake, write(name, content))
        assert caught.value.exit_code == 2
        assert caught.value.where
        assert caught.value.next_step
    assert lake.tables() == []
    left = lake.engine.connection.con.sql("SELECT table_name FROM duckdb_tables()").fetchall()
    assert left == [], "nothing is left in the engine"


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


class Typed(Contract):
    table: ClassVar[Table] = Table(key=("id",))

    id: Integer
    share: Number | None = field(minimum=0, maximum=1)
    is_on: Flag | None
    at: Instant | None
    word: Literal["x", "y"] | None


def test_parquet_gets_the_verdicts_of_csv(make_lake: Callable[[], Lake], tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1.0, 2.0, 2.5, 4.0, None]),
            "share": pa.array([0.5, float("nan"), 0.1, 1.5, None], pa.float32()),
            "is_on": pa.array([True, False, None, True, None]),
            "at": pa.array(
                [1_700_000_000_000_000_000, None, 1_700_000_000_000_000_001, 0, None], pa.timestamp("ns", tz="UTC")
            ),
            "word": pa.array(["x", "z", "y", "y", None]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    rows = table.to_pylist()
    text = "id,share,is_on,at,word\n" + "".join(
        f"{row['id'] if row['id'] is not None else ''},{share},{row['is_on']},{at},{row['word'] or ''}\n"
        for row, share, at in zip(
            rows,
            ("0.5", "nan", "0.1", "1.5", ""),
            ("2023-11-14T22:13:20Z", "", "2023-11-14T22:13:20.000000001Z", "1970-01-01T00:00:00Z", ""),
            strict=True,
        )
    )
    (tmp_path / "t.csv").write_text(text)
    receipts, taken = [], []
    for name in ("t.parquet", "t.csv"):
        lake = make_lake()
        receipts.append(take(lake, tmp_path / name, Typed).receipt)
        taken.append([{k: v for k, v in row.items() if not k.startswith("_")} for row in rows_of(lake)])
    assert taken[0] == taken[1]
    assert json.loads(receipts[0].reasons) == json.loads(receipts[1].reasons) == {
        "word.category": 1, "id.type": 1, "at.type": 1, "share.maximum": 1, "id.null": 1,
    }  # fmt: skip


def test_json_gets_the_verdicts_of_csv(make_lake: Callable[[], Lake], write: Write) -> None:
    path = write(
        "t.ndjson",
        '{"id": 1, "share": 0.5, "is_on": true}\n{"id": 1.0, "share": 1}\n'
        '{"id": 3, "word": ["x"]}\n{"ID": "5", "is_on": "Y"}\n'
        '{"id": 6, "share": {"a": 1}}\n{"id": true}\n',
    )
    with pytest.raises(SchemaError, match="both mean field 'id'"):
        take(make_lake(), path, Typed)
    path.write_text(path.read_text().replace('"ID"', '"id"'))
    receipt = take(make_lake(), path, Typed).receipt
    assert (receipt.read, receipt.accepted, receipt.duplicates) == (6, 2, 1)
    assert json.loads(receipt.reasons) == {"word.type": 1, "share.type": 1, "id.type": 1}


def test_a_wide_source(lake: Lake, write: Write) -> None:
    names = ["call_id", "seconds", *(f"x{number}" for number in range(1998))]
    receipt = take(lake, write("wide.csv", ",".join(names) + "\n" + ("c1,5" + ",7" * 1998 + "\n"))).receipt
    assert (receipt.accepted, len(json.loads(receipt.extra_columns))) == (1, 1998)
    assert json.loads(receipt.absent_columns) == ["billed", "kind", "at"]


def test_awkward_names_of_columns(lake: Lake, write: Write) -> None:
    path = write("odd.csv", 'CALL_ID , Seconds,x,X,_row,"a""b",\nc1,5,1,2,3,4,5\nc2,x,1,2,3,4,5\n')
    receipt = take(lake, path).receipt
    assert json.loads(receipt.extra_columns) == ["x", "X", "_row", 'a"b', ""]
    (refused,) = rows_of(lake, "platform.quarantine")
    assert json.loads(str(refused["row"])) == {
        "CALL_ID": "c2", "Seconds": "x", "x": "1", "X": "2", "_row": "3", 'a"b': "4", "": "5"
    }  # fmt: skip


def test_looking_at_a_file_writes_nothing(lake: Lake, write: Write) -> None:
    path = write("look.csv", "call_id,Seconds\nc1,5\nshort\nc1,6\nc2,x\n,7\n")
    good, raw, reasons = checked_rows(path, Call, lake=lake)
    assert good.column("_row").to_pylist() == [1, 3]
    assert good.column_names == ["_row", *HEADER]
    assert raw.to_pylist()[0] == {"_row": 1, "call_id": "c1", "Seconds": "5"}
    assert raw.column("_row").to_pylist() == [1, 3, 4, 5]
    assert reasons == {"line.malformed": 1, "seconds.type": 1, "call_id.null": 1}
    assert lake.tables() == []
    without = write("unlabelled.csv", "call_id\nc1\n")
    with pytest.raises(SchemaError):
        checked_rows(without, Call, lake=lake)
    good, _, reasons = checked_rows(without, Call, lake=lake, optional=("seconds",))
    assert (good.num_rows, good.column("seconds").to_pylist(), reasons) == (1, [None], {})


def test_a_receipt_that_is_missing_is_written_again(lake: Lake, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("calls.csv", lines("c1,60,60,V,", "c2,-5,,,", "c1,5,,,"))
    append = lake.append

    def fail(table: str, *args: object, **kwargs: object) -> int:
        if table == "platform.receipts":
            raise RuntimeError("power cut")
        return append(table, *args, **kwargs)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(lake, "append", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        take(lake, path)
    monkeypatch.undo()
    receipt = take(lake, path, run_id="r2").receipt
    assert (receipt.read, receipt.accepted, receipt.quarantined, receipt.duplicates) == (3, 1, 1, 1)
    assert json.loads(receipt.reasons) == {"seconds.minimum": 1}
    assert len(rows_of(lake)) == len(rows_of(lake, "platform.quarantine")) == 1
    assert receipt.run_id == rows_of(lake)[0]["_run_id"] == "r1", "the run that ingested the rows"


@pytest.mark.slow
def test_a_million_rows_in_bounded_memory(tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w") as stream:
        stream.write(",".join(HEADER) + "\n")
        for number in range(1_000_000):
            stream.write(f"{number % 1_000_000},{number % 1000},,V,2026-01-01 12:00\n")
    code = """
import sys
from pathlib import Path
from runpy import run_path

run_path(sys.argv[1])["ingest"](Path(sys.argv[2]), Path(sys.argv[3]), memory_limit_mb=300)
"""
    drill = repository / "drills" / "ingest_kill.py"
    arguments = [sys.executable, "-c", code, str(drill), str(tmp_path / "lake"), str(path)]
    assert peak_mb(arguments, cwd=tmp_path) < 900, "MiB at most"
