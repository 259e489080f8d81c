"""Which rows a model has not been fitted to, told by hashes of their keys."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.keys import key_parts
from trunkline.plugins import load_usecase
from trunkline.serve.recording import entity_key
from trunkline.train import SEEN_FILE, entity_hashes, entity_keys, unseen_rows

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
USECASE = load_usecase("leavers", plugin_dir=PLUGINS)


def rows(*ids: str) -> pa.Table:
    return pa.table({"subscriber_id": list(ids)})


def model(folder: Path, *ids: str) -> Path:
    folder.mkdir()
    pq.write_table(pa.table({"entity": entity_hashes(USECASE, rows(*ids))}), folder / SEEN_FILE)
    return folder


def test_rows_of_either_model_are_left_out_and_the_order_stays(tmp_path: Path) -> None:
    models = [model(tmp_path / "a", "1", "2"), model(tmp_path / "b", "5")]
    assert unseen_rows(USECASE, rows("9", "1", "5", "3", "2", "0"), models)["subscriber_id"].to_pylist() == [
        "9",
        "3",
        "0",
    ]


def test_a_model_that_has_seen_nothing_leaves_all(tmp_path: Path) -> None:
    assert unseen_rows(USECASE, rows("1", "2"), [model(tmp_path / "a")]).num_rows == 2


class _Task:
    def __init__(self, group: str | None) -> None:
        self.group = group


class _Sales:
    """What of a use case the hashes read."""

    entity_key: tuple[str, ...] = ()
    contract = USECASE.contract

    def __init__(self, group: str | None = None) -> None:
        self.task = _Task(group)


def test_rows_without_a_key_are_known_by_all_their_columns() -> None:
    hashes = entity_hashes(_Sales(), rows("1", "2", "1")).to_pylist()  # type: ignore[arg-type]  # has what is read
    assert hashes[0] == hashes[2] != hashes[1]


def test_rows_of_one_group_are_one_and_the_same() -> None:
    sold_twice = pa.table({"house_id": ["7", "7", "8"], "sold_on": ["2026-01-01", "2026-02-01", "2026-01-01"]})
    hashes = entity_hashes(_Sales("house_id"), sold_twice).to_pylist()  # type: ignore[arg-type]  # as above
    assert hashes[0] == hashes[1] != hashes[2]


def test_keys_of_several_parts_are_one_text() -> None:
    class House:
        entity_key = ("house_id", "sold_on")

    table = pa.table({"house_id": ["7", "8"], "sold_on": ["2026-01-01", "2026-01-02"]})
    assert entity_keys(House(), table).to_pylist() == ["7|2026-01-01", "8|2026-01-02"]  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("one_part", ["a|b", "a\\b", "|", "\\"])
def test_a_key_of_one_part_is_that_part(one_part: str) -> None:
    assert entity_keys(USECASE, rows(one_part)).to_pylist() == [one_part]
    assert entity_key({"subscriber_id": one_part}, fields=["subscriber_id"]) == one_part


class _Pair:
    """A use case whose entities are known by two parts."""

    entity_key = ("left", "right")
    task = None


PARTS = st.text(alphabet="ab|\\", max_size=4)


@given(st.lists(st.tuples(PARTS, PARTS), unique=True, min_size=1, max_size=20))
def test_keys_of_two_parts_are_one_text_only_where_they_are_equal(pairs: list[tuple[str, str]]) -> None:
    lefts, rights = zip(*pairs, strict=True)
    table = pa.table({"left": pa.array(lefts, pa.string()), "right": pa.array(rights, pa.string())})
    keys = entity_keys(_Pair(), table).to_pylist()  # type: ignore[arg-type]  # has what is read
    assert len(set(keys)) == len(pairs)
    assert len(set(entity_hashes(_Pair(), table).to_pylist())) == len(pairs)  # type: ignore[arg-type]  # as above
    assert keys == [entity_key({"left": left, "right": right}, fields=_Pair.entity_key) for left, right in pairs]
    assert [key_parts(key) for key in keys] == pairs


def test_a_key_that_somebody_wrote_without_escapes_is_taken_apart() -> None:
    assert key_parts("a\\b|c|") == ("a\\b", "c", "")


@given(st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=50))
def test_different_keys_have_different_hashes_and_equal_keys_equal_ones(ids: list[str]) -> None:
    hashes = entity_hashes(USECASE, rows(*ids)).to_pylist()
    assert len(set(hashes)) == len(ids)
    assert hashes == entity_hashes(USECASE, rows(*ids)).to_pylist()


def test_the_hash_is_the_one_that_stored_models_hold() -> None:
    # BLAKE2b with a digest of 8 bytes, big-endian, computed with coreutils' b2sum -l 64
    assert entity_hashes(USECASE, rows("7590-VHVEG")).to_pylist() == [0x85ED1A398513F985]
