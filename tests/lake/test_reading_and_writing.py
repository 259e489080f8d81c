"""Rows go in and come out as they are, whatever files they are in."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from trunkline.engine import Engine, FilesVanishedError
from trunkline.errors import AuthorError, InputError, SchemaError, UnavailableError, UnknownNameError
from trunkline.lake import Lake, Transaction
from trunkline.settings.lake import LakeSettings

T = "churn.subscribers"
INSTANT = pa.timestamp("us", tz="UTC")
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def folder(lake: Lake, table: str) -> Path:
    return Path(lake.root, *table.split("."))


def sorted_rows(table: pa.Table, by: str) -> list[dict[str, object]]:
    return sorted(table.to_pylist(), key=lambda row: str(row[by]))


def test_every_kind_comes_back_as_it_went_in(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    given = pa.table(
        {
            "text": pa.array(["007", "", None]),
            "integer": pa.array([2**62, -1, None], pa.int64()),
            "number": pa.array([0.1, float("nan"), None], pa.float64()),
            "flag": pa.array([True, False, None]),
            "seen_at": pa.array([NOON, datetime(1969, 12, 31, 23, 59, tzinfo=UTC), None], INSTANT),
            "day_on": pa.array([date(2026, 2, 28), date(1900, 1, 1), None]),
            "payload": pa.array([b"\x00\xff", b"", None]),
            "parts": pa.array([["a", None], [], None], pa.list_(pa.field("element", pa.string()))),
        }
    )
    assert lake.append(T, given) == 0
    read = lake.arrow(T)
    assert read.schema.equals(given.schema)
    for name in given.column_names:
        assert str(read.column(name).to_pylist()) == str(given.column(name).to_pylist())  # NaN equals itself as text


def test_versions_count_up_and_old_ones_stay(lake: Lake) -> None:
    assert lake.version(T) is None
    assert not lake.exists(T)
    assert lake.append(T, pa.table({"a": [1]})) == 0
    assert lake.append(T, pa.table({"a": [2]})) == 1
    assert lake.version(T) == 1
    assert lake.arrow(T, version=0).to_pylist() == [{"a": 1}]
    assert lake.arrow(T).num_rows == 2


def test_an_added_column_is_null_in_older_rows(lake: Lake) -> None:
    lake.append(T, pa.table({"a": ["x"]}))
    lake.append(T, pa.table({"b": [1.5], "a": ["y"]}))
    lake.append(T, pa.table({"a": ["z"]}))
    assert lake.schema(T).names == ["a", "b"]
    assert [row["b"] for row in sorted_rows(lake.arrow(T), "a")] == [None, 1.5, None]
    assert lake.schema(T, version=0).names == ["a"]


def test_columns_are_matched_by_name(lake: Lake) -> None:
    lake.append(T, pa.table({"a": ["1"], "b": ["2"]}))
    lake.append(T, pa.table({"b": ["20"], "a": ["10"]}))
    assert sorted_rows(lake.arrow(T), "a") == [{"a": "1", "b": "2"}, {"a": "10", "b": "20"}]


def test_no_rows_make_an_empty_typed_table_and_no_further_commits(lake: Lake) -> None:
    empty = pa.table({"a": pa.array([], pa.string()), "seen_at": pa.array([], INSTANT)})
    assert lake.append(T, empty) == 0
    assert lake.append(T, empty) == 0
    assert lake.arrow(T).schema.equals(empty.schema)
    assert lake.append(T, pa.table({"b": pa.array([], pa.int64())})) == 1
    assert lake.arrow(T).schema.names == ["a", "seen_at", "b"]


def test_a_stream_is_written_as_it_comes(lake: Lake) -> None:
    table = pa.table({"a": list(range(1000)), "seen_at": pa.array([NOON] * 1000, pa.timestamp("ms", tz="Asia/Tokyo"))})
    assert lake.append(T, table.to_reader(max_chunksize=100)) == 0
    assert sorted(lake.arrow(T, columns=["a"]).column("a").to_pylist()) == list(range(1000))
    assert lake.schema(T).field("seen_at").type == INSTANT


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (pa.array(["a"]).dictionary_encode(), pa.string()),
        (pa.array(["a"], pa.large_string()), pa.string()),
        (pa.array(["a"], pa.string_view()), pa.string()),
        (pa.array([2**32 - 1], pa.uint32()), pa.int64()),
        (pa.array([2**63 - 1], pa.uint64()), pa.int64()),
        (pa.array([255], pa.uint8()), pa.int16()),
        (pa.array([7], pa.int32()), pa.int32()),
        (pa.array([1000], pa.timestamp("ns", tz="Europe/Berlin")), INSTANT),
        (pa.array([{"b": 1}]), pa.struct([pa.field("b", pa.int64())])),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_layouts_of_arrow_become_the_lakes_types(lake: Lake, given: pa.Array, stored: pa.DataType) -> None:
    lake.append(T, pa.table({"a": given}))
    assert lake.schema(T).field("a").type == stored
    assert lake.arrow(T).column("a").to_pylist() == given.cast(stored).to_pylist()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (pa.array([1.5]), "changes its type"),
        (pa.array(["1"]), "changes its type"),
        (pa.array([True]), "changes its type"),
        (pa.array([NOON], INSTANT), "changes its type"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_retyped_column_is_refused_by_name(lake: Lake, given: pa.Array, says: str) -> None:
    lake.append(T, pa.table({"calls": [1], "other": ["x"]}))
    with pytest.raises(SchemaError, match=says) as failure:
        lake.append(T, pa.table({"calls": given}))
    assert "column calls" in failure.value.where
    assert failure.value.allowed == ("int64",)
    assert lake.version(T) == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (pa.table({"a": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us"))}), "no time zone"),
        (pa.table({"a": pa.array([[NOON.replace(tzinfo=None)]], pa.list_(pa.timestamp("us")))}), "no time zone"),
        (pa.table({"a": pa.array([1], pa.time64("us"))}), "does not store time64"),
        (pa.table({"a": pa.array([1], pa.duration("us"))}), "does not store duration"),
        (pa.table({"a": pa.array([None], pa.null())}), "has no type"),
        (pa.table([[1], [2]], names=["a", "A"]), "differ only in case"),
        (pa.table({"two words": [1]}), "does not allow|do not allow"),
        (pa.table({}), "no columns"),
        (pa.table({"a": pa.array([1], pa.timestamp("ns", tz="UTC"))}), "does not fit"),
        (pa.table({"a": pa.array([2**63], pa.uint64())}), "does not fit"),
    ],
    ids=lambda value: str(value.schema).replace("\n", " ") if isinstance(value, pa.Table) else "",
)
@pytest.mark.parametrize("as_stream", [False, True], ids=["table", "stream"])
def test_what_would_lose_something_is_refused(lake: Lake, given: pa.Table, says: str, as_stream: bool) -> None:
    with pytest.raises(SchemaError, match=says):
        lake.append(T, given.to_reader() if as_stream else given)
    assert lake.version(T) is None
    assert lake.tables() == []


def test_a_refused_value_is_not_shown(lake: Lake) -> None:
    with pytest.raises(SchemaError) as failure:
        lake.append(T, pa.table({"a": pa.array([18446744073709551615], pa.uint64())}))
    assert "18446744073709551615" not in str(failure.value)


def test_a_stream_that_breaks_leaves_nothing(lake: Lake) -> None:
    schema = pa.schema([pa.field("a", pa.int64())])

    def batches() -> object:
        yield pa.record_batch({"a": [1]}, schema=schema)
        raise OSError("the source went away")

    with pytest.raises(UnavailableError):
        lake.append(T, pa.RecordBatchReader.from_batches(schema, batches()))
    assert lake.version(T) is None


def test_a_column_in_another_case_is_refused(lake: Lake) -> None:
    lake.append(T, pa.table({"calls": [1]}))
    with pytest.raises(SchemaError, match="another case"):
        lake.append(T, pa.table({"Calls": [1]}))


def test_narrower_numbers_and_all_null_columns_take_the_tables_type(lake: Lake) -> None:
    lake.append(T, pa.table({"a": pa.array([1], pa.int64()), "b": [0.5], "c": ["x"]}))
    lake.append(T, pa.table({"a": pa.array([2], pa.int8()), "b": pa.array([1.5], pa.float32()), "c": pa.nulls(1)}))
    assert sorted_rows(lake.arrow(T), "a") == [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": 1.5, "c": None}]


def test_a_contract_is_imposed_on_top_of_the_log(lake: Lake) -> None:
    lake.append(T, pa.table({"calls": pa.array([3], pa.int32()), "id": ["007"], "_row": [0]}))
    contract = pa.schema(
        [pa.field("id", pa.string()), pa.field("calls", pa.float64()), pa.field("spend", pa.float64(), nullable=False)]
    )
    read = lake.arrow(T, schema=contract)
    assert read.to_pylist() == [{"id": "007", "calls": 3.0, "spend": None}]
    assert read.schema.types == contract.types


def test_text_is_never_read_as_a_number(lake: Lake) -> None:
    lake.append(T, pa.table({"id": ["007"]}))
    with pytest.raises(SchemaError, match="without loss") as failure:
        lake.read(T, schema=pa.schema([pa.field("id", pa.int64())]))
    assert "column id" in failure.value.where


def test_rows_are_chosen_and_columns_picked(lake: Lake) -> None:
    lake.append(T, pa.table({"id": ["a", "b"], "calls": [1, 2], "x": [0, 0]}))
    read = lake.arrow(T, columns=["calls", "id"], where=lambda rows: rows.calls > 1)
    assert read.to_pylist() == [{"calls": 2, "id": "b"}]
    with pytest.raises(SchemaError, match="lacks the column nope"):
        lake.arrow(T, columns=["nope"])


def test_unknown_tables_and_versions_are_named(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1]}))
    with pytest.raises(UnknownNameError) as failure:
        lake.read("churn.nobody")
    assert failure.value.allowed == (T,)
    with pytest.raises(UnknownNameError, match="no version 5"):
        lake.read(T, version=5)


@pytest.mark.parametrize("name", ["", "Churn.x", "a..b", "../x", "a/b", ".hidden", "a.b ", "ä.b", "a.b\n", "x" * 201])
def test_names_are_checked(lake: Lake, name: str) -> None:
    for call in (lake.version, lake.read, lambda table: lake.append(table, pa.table({"a": [1]}))):
        with pytest.raises(InputError):
            call(name)


def test_a_table_does_not_lie_inside_another(lake: Lake) -> None:
    lake.append("a.b", pa.table({"a": [1]}))
    for clash in ("a", "a.b.c"):
        with pytest.raises(InputError, match="inside"):
            lake.append(clash, pa.table({"a": [1]}))
    assert lake.tables() == ["a.b"]


def test_history_says_who_wrote(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1]}), metadata={"run_id": "r1", "batch_id": "b1"})
    lake.append(T, pa.table({"a": [2]}), metadata={"run_id": "r2"})
    newest, oldest = lake.history(T)
    assert (newest.version, newest.operation, newest.metadata) == (1, "WRITE", {"run_id": "r2"})
    assert (oldest.version, oldest.metadata) == (0, {"run_id": "r1", "batch_id": "b1"})
    assert abs((newest.at - datetime.now(UTC)).total_seconds()) < 60
    assert [commit.version for commit in lake.history(T, limit=1)] == [1]
    with pytest.raises(InputError, match="metadata key"):
        lake.append(T, pa.table({"a": [1]}), metadata={"operation": "x"})


def test_repeated_and_lower_transactions_change_nothing(lake: Lake) -> None:
    rows = pa.table({"a": [1, 2]})
    assert lake.transaction_version(T, "file:x") is None
    first = lake.append(T, rows, transaction=Transaction("file:x", 5))
    assert lake.append(T, rows, transaction=Transaction("file:x", 5)) == first
    assert lake.append(T, rows, transaction=Transaction("file:x", 3)) == first
    assert lake.append(T, rows, transaction=Transaction("file:y", 1)) == first + 1
    assert lake.append(T, rows, transaction=Transaction("file:x", 6)) == first + 2
    assert lake.arrow(T).num_rows == 6
    assert lake.transaction_version(T, "file:x") == 6


def test_an_empty_transaction_moves_on(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1]}), transaction=Transaction("s", 1))
    assert lake.append(T, pa.table({"a": pa.array([], pa.int64())}), transaction=Transaction("s", 9)) == 1
    assert lake.transaction_version(T, "s") == 9


def test_replace_swaps_rows_and_schema_at_once(lake: Lake) -> None:
    assert lake.replace(T, pa.table({"a": [1], "b": [2]})) == 0
    assert lake.replace(T, pa.table({"a": ["x"]}), metadata={"run_id": "r"}) == 1
    assert lake.arrow(T).to_pylist() == [{"a": "x"}]
    assert lake.arrow(T, version=0).to_pylist() == [{"a": 1, "b": 2}]
    lake.replace(T, pa.table({"a": pa.array([], pa.string())}))
    assert lake.arrow(T).num_rows == 0


def test_collect_joins_tables_at_versions(lake: Lake) -> None:
    lake.append("a.left", pa.table({"id": [1, 2]}))
    lake.append("a.right", pa.table({"id": [2], "x": ["old"]}))
    lake.replace("a.right", pa.table({"id": [2], "x": ["new"]}))

    def build(left: object, right: object) -> object:
        return left.inner_join(right, "id")  # type: ignore[attr-defined]  # Ibis ships no types

    assert lake.collect(build, "a.left", "a.right").to_pylist() == [{"id": 2, "x": "new"}]
    old = lake.collect(build, "a.left", "a.right", versions={"a.right": 0})
    assert old.to_pylist() == [{"id": 2, "x": "old"}]


def test_a_reader_whose_files_vanish_tries_once_more_on_a_new_snapshot(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1, 2]}))
    tries = []

    def build(rows: object) -> object:
        tries.append(1)
        if len(tries) == 1:  # another process folds and vacuums between opening the snapshot and reading it
            old = DeltaTable(folder(lake, T)).file_uris()
            lake.replace(T, pa.table({"a": [3]}))
            for path in old:
                Path(path).unlink()
        return rows

    assert lake.collect(build, T).to_pylist() == [{"a": 3}]
    assert len(tries) == 2
    with pytest.raises(FilesVanishedError):
        lake.arrow(T, version=0)


def set_protocol(lake: Lake, reader: int, features: list[str], configuration: dict[str, str]) -> None:
    """Rewrite the first commit, as a table from another writer would have it."""
    path = folder(lake, T) / "_delta_log" / f"{0:020d}.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if "protocol" in line:
            line["protocol"] = {"minReaderVersion": reader, "minWriterVersion": 7 if features else 5}
            if features:
                line["protocol"] |= {"readerFeatures": features, "writerFeatures": features}
        if "metaData" in line:
            line["metaData"]["configuration"] |= configuration
            if configuration:
                columns = json.loads(line["metaData"]["schemaString"])
                for number, column in enumerate(columns["fields"], start=1):
                    physical = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"c{number}"}
                    column["metadata"] = physical
                line["metaData"]["schemaString"] = json.dumps(columns)
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")


@pytest.mark.parametrize("feature", ["deletionVectors", "timestampNtz", "v2Checkpoint", "columnMapping"])
def test_unknown_reader_features_are_refused_by_name(lake: Lake, feature: str) -> None:
    lake.append(T, pa.table({"a": [1]}))
    set_protocol(lake, 3, [feature], {})
    with pytest.raises(SchemaError, match=feature):
        lake.read(T)
    with pytest.raises(SchemaError, match=feature):
        lake.append(T, pa.table({"a": [1]}))


def test_column_mapping_of_the_older_protocol_is_refused(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1]}))
    set_protocol(lake, 2, [], {"delta.columnMapping.mode": "name"})
    with pytest.raises(SchemaError, match="columnMapping"):
        lake.read(T)


def test_directory_partitions_are_refused(lake: Lake) -> None:
    write_deltalake(str(folder(lake, T)), pa.table({"a": [1], "p": ["x"]}), partition_by=["p"])
    with pytest.raises(SchemaError, match="directory partitions"):
        lake.read(T)


def test_a_log_that_cannot_be_read_is_the_worlds_fault(lake: Lake) -> None:
    lake.append(T, pa.table({"a": [1]}))
    (folder(lake, T) / "_delta_log" / f"{0:020d}.json").write_text("{ not json")
    with pytest.raises(UnavailableError, match="log"):
        lake.read(T)


def test_a_url_goes_through_the_same_door(lake: Lake, engine: Engine, tmp_path: Path) -> None:
    settings = LakeSettings(lock_folder=tmp_path / "locks")
    remote = Lake(f"file://{lake.root}/", engine=engine, settings=settings, clock=lambda: NOON)
    Path(lake.root).mkdir()
    remote.append(T, pa.table({"a": ["007"], "seen_at": pa.array([NOON], INSTANT)}))
    remote.append(T, pa.table({"b": [1]}))
    assert remote.tables() == lake.tables() == [T]
    assert sorted_rows(remote.arrow(T), "b") == sorted_rows(lake.arrow(T), "b")
    assert remote.arrow(T).schema.equals(lake.arrow(T).schema)
    contract = pa.schema([pa.field("z", pa.float64()), pa.field("b", pa.float64())])
    assert remote.arrow(T, schema=contract).schema.equals(contract)
    gone = remote.erase(T, "a", ["007"])
    assert (gone.rows, remote.arrow(T).num_rows) == (1, 1)


def test_a_url_without_locks_is_read_only(lake: Lake, engine: Engine) -> None:
    lake.append(T, pa.table({"a": [1]}))
    remote = Lake(f"file://{lake.root}", engine=engine, settings=LakeSettings(), clock=lambda: NOON)
    assert remote.arrow(T).num_rows == 1
    with pytest.raises(AuthorError, match="needs locks"):
        remote.append(T, pa.table({"a": [1]}))


def test_a_log_gets_checkpoints(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(checkpoint_every=5)
    for number in range(12):
        lake.append(T, pa.table({"a": [number]}))
    names = {path.name for path in (folder(lake, T) / "_delta_log").iterdir()}
    assert f"{4:020d}.checkpoint.parquet" in names
    assert f"{9:020d}.checkpoint.parquet" in names
    assert sorted(lake.arrow(T).column("a").to_pylist()) == list(range(12))
