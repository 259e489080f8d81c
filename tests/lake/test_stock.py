"""What a table takes, compared with what the file system says."""

from pathlib import Path

import pyarrow as pa
import pytest

from trunkline.errors import UnknownNameError
from trunkline.lake import Lake


def sizes(folder: Path, pattern: str) -> tuple[int, int]:
    files = [path for path in folder.glob(pattern) if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)


def test_live_superseded_and_log_add_up_to_the_folder(lake: Lake) -> None:
    for number in range(4):
        lake.append("a.rows", pa.table({"id": [f"{number}-{one}" for one in range(50)]}))
    folder = Path(lake.root, "a", "rows")
    first = lake.stock("a.rows")
    assert (first.files, first.live_bytes) == sizes(folder, "*.parquet")
    assert (first.superseded_files, first.superseded_bytes, first.versions) == (0, 0, 4)
    lake.compact("a.rows")
    found = lake.stock("a.rows")
    assert (found.files, found.superseded_files, found.superseded_bytes) == (1, 4, first.live_bytes)
    assert (found.log_files, found.log_bytes) == sizes(folder, "_delta_log/**/*")
    assert found.versions == 5
    assert found.total_bytes == sizes(folder, "**/*")[1]


def test_a_table_that_there_is_not_takes_nothing(lake: Lake) -> None:
    with pytest.raises(UnknownNameError):
        lake.stock("a.nothing")
