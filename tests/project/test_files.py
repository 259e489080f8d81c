"""Files that appear whole or not at all, for whoever writes and reads meanwhile."""

import stat
from pathlib import Path

import pytest

from trunkline.files import replacing


def test_two_that_write_the_same_file_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "VERSION"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_file_of_before_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("before")
    writing = replacing(path, durable=True)
    writing.__enter__().write_text("half")
    assert path.read_text() == "before"
    assert not writing.__exit__(OSError, OSError("the disk is full"), None)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "absent"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_rights_that_the_block_gave_stay(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with replacing(path, durable=True) as part:
        part.touch(mode=0o600)
        part.write_bytes(b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
