"""Scratch folders: gone when they are given back, and after a kill with the next."""

import subprocess
import sys
from pathlib import Path

from trunkline.run.scratch import scratch_folder

BORROWER = """
import sys
from pathlib import Path
from trunkline.run.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), purpose="recordings") as folder:
    (folder / "rows.ndjson").write_text("where ann is")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_gone_when_it_is_given_back(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, purpose="recordings") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
    assert not list(tmp_path.glob("recordings-*"))


def test_what_a_killed_process_left_goes_and_what_a_living_one_uses_stays(tmp_path: Path) -> None:
    def borrower() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", BORROWER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, left), (living, used) = borrower(), borrower()
    killed.kill()
    killed.communicate()
    assert (left / "rows.ndjson").exists()
    (tmp_path / "other-1").mkdir()
    with scratch_folder(tmp_path, purpose="recordings") as folder:
        assert sorted(tmp_path.glob("recordings-*")) == sorted([folder, used])
    assert (used / "rows.ndjson").exists()
    assert (tmp_path / "other-1").exists()
    living.communicate("")
    assert not list(tmp_path.glob("recordings-*"))
