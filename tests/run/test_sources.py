"""Mapping files, and the files behind a source."""

from pathlib import Path

import pytest

from trunkline.errors import InputError, SourceError
from trunkline.run import read_mapping, source_files


def test_a_mapping_is_the_table_columns(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[columns]\n"Kundennummer (neu)" = "subscriber_id"\n"Älter" = "tenure_months"\n', encoding="utf-8")
    assert read_mapping(path) == {"Kundennummer (neu)": "subscriber_id", "Älter": "tenure_months"}


def test_no_mapping_is_none() -> None:
    assert read_mapping(None) == {}


@pytest.mark.parametrize(
    "content", [b"", b"[columns", b"columns = 7", b"[columns]\na = 1", b"[columns]\na = ['b']", b"\xff\xfe"]
)
def test_a_malformed_mapping_says_what_one_looks_like(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "map.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_mapping(path)
    assert str(path) in refused.value.where
    assert "[columns]" in refused.value.next_step


def test_a_mapping_that_is_a_folder_or_absent(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.toml"):
        with pytest.raises(InputError):
            read_mapping(path)


def test_a_folder_stands_for_its_data_files_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "c.parquet", "notes.md", ".hidden.csv", "d.ndjson"):
        (tmp_path / name).touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "e.csv").touch()
    assert [path.name for path in source_files((str(tmp_path),))] == ["a.csv.gz", "b.csv", "c.parquet", "d.ndjson"]


def test_files_are_themselves_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).touch()
    given = (f"file://{tmp_path}/b.csv", str(tmp_path / "a.csv"))
    assert [path.name for path in source_files(given)] == ["b.csv", "a.csv"]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        source_files((str(tmp_path / "absent.csv"),))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no data file") as refused:
        source_files((str(tmp_path / "empty"),))
    assert ".csv" in refused.value.allowed
