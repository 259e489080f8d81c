"""Which commit a file belongs to, and which code a use case is."""

import shutil
import subprocess
from pathlib import Path

import pytest

from trunkline.plugins.code import code_sha256
from trunkline.run.code import code_version, commit_of

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's repository: one file is in it, another one only lies there."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for arguments in (
        ("init", "--quiet"),
        ("-c", "user.name=n", "-c", "user.email=e@example.com", "commit", "--quiet", "--allow-empty", "-m", "first"),
    ):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "installed.py").write_text("")
    return tmp_path


def test_a_repository_that_only_encloses_a_file_says_nothing_of_it(project: Path) -> None:
    file = project / "environment" / "installed.py"
    assert commit_of(file) == ""
    subprocess.run(["git", "-C", str(project), "add", str(file)], check=True)
    assert commit_of(file).endswith("-dirty")


def test_a_file_outside_of_any_repository_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / "installed.py").write_text("")
    assert commit_of(tmp_path / "installed.py") == ""
    assert commit_of(tmp_path / "absent" / "installed.py") == ""


def test_the_version_begins_with_that_of_the_package() -> None:
    from trunkline import __version__

    assert code_version().partition("+")[0] == __version__


def copied(folder: Path) -> Path:
    shutil.copytree(PLUGINS / "leavers", folder / "leavers", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_code_of_a_use_case_is_its_python_files(tmp_path: Path) -> None:
    known = code_sha256("leavers", plugin_dir=PLUGINS)
    assert len(known) == 64
    same = copied(tmp_path / "same")
    (same / "leavers" / "README.md").write_text("other words")
    (same / "leavers" / "tests").mkdir(exist_ok=True)
    (same / "leavers" / "tests" / "test_more.py").write_text("")
    assert code_sha256("leavers", plugin_dir=same) == known
    for name in ("__init__.py", "parts/more.py"):
        other = copied(tmp_path / name.replace("/", "-"))
        (other / "leavers" / name).parent.mkdir(exist_ok=True)
        with (other / "leavers" / name).open("a") as code:
            code.write("# changed\n")
        assert code_sha256("leavers", plugin_dir=other) != known
    assert code_sha256("churn") != code_sha256("house_prices") != ""
    assert code_sha256("churn", plugin_dir=PLUGINS) == code_sha256("churn")
