"""Use cases are found in three places, and two of one name in none."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from trunkline import plugins
from trunkline.errors import UnknownNameError, UseCaseError
from trunkline.plugins import load_usecase, usecase_names

LEAVERS = Path(__file__).resolve().parents[1] / "plugins" / "leavers" / "__init__.py"


def plug_in(folder: Path, name: str, text: str | None = None) -> Path:
    (folder / name).mkdir(parents=True)
    if text is None:
        text = LEAVERS.read_text().replace('name="leavers"', f'name="{name}"')
    (folder / name / "__init__.py").write_text(text)
    return folder


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[EntryPoint]]:
    """Entry points of another package that is on the path: ``roaming_package.roaming``."""
    plug_in(tmp_path / "site", "roaming_package").joinpath("roaming_package", "roaming.py").write_text(
        LEAVERS.read_text().replace('name="leavers"', 'name="roaming"')
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = [EntryPoint("roaming", "roaming_package.roaming", plugins.ENTRY_POINTS)]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: found if group == plugins.ENTRY_POINTS else [])
    yield found
    for name in [name for name in sys.modules if name.startswith("roaming_package")]:
        del sys.modules[name]


def test_shipped_use_cases_are_found_without_being_imported() -> None:
    assert {"churn", "house_prices"} <= set(usecase_names())
    assert load_usecase("churn").name == "churn"


def test_a_folder_of_plug_ins(tmp_path: Path) -> None:
    plug_in(tmp_path, "mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.md").write_text("no use case")
    assert set(usecase_names(plugin_dir=tmp_path)) - set(usecase_names()) == {"mine"}
    assert load_usecase("mine", plugin_dir=tmp_path) is load_usecase("mine", plugin_dir=tmp_path)


def test_a_plug_in_of_several_files(tmp_path: Path) -> None:
    text = LEAVERS.read_text().replace('name="leavers"', 'name="mine"').replace("trials", "trials")
    plug_in(tmp_path, "mine", text + "\nfrom .more import TITLE\n\nassert TITLE\n")
    (tmp_path / "mine" / "more.py").write_text('TITLE = "More"\n')
    assert load_usecase("mine", plugin_dir=tmp_path).name == "mine"


def test_two_folders_with_a_plug_in_of_one_name_each(tmp_path: Path) -> None:
    first = load_usecase("mine", plugin_dir=plug_in(tmp_path / "a", "mine"))
    second = load_usecase("mine", plugin_dir=plug_in(tmp_path / "b", "mine"))
    assert first is not second


def test_an_entry_point_of_another_package(installed: list[EntryPoint]) -> None:
    assert "roaming" in usecase_names()
    assert load_usecase("roaming").name == "roaming"


def test_an_entry_point_may_name_the_object(installed: list[EntryPoint]) -> None:
    installed[:] = [EntryPoint("roaming", "roaming_package.roaming:usecase", plugins.ENTRY_POINTS)]
    assert load_usecase("roaming").name == "roaming"


def test_two_of_one_name_are_refused_with_both_places(installed: list[EntryPoint], tmp_path: Path) -> None:
    plug_in(tmp_path / "own", "roaming")
    with pytest.raises(UseCaseError, match="two use cases are called 'roaming'") as refused:
        usecase_names(plugin_dir=tmp_path / "own")
    assert "roaming_package.roaming" in refused.value.where
    assert str(tmp_path / "own" / "roaming") in refused.value.where


def test_nobody_takes_the_name_of_a_shipped_use_case(tmp_path: Path) -> None:
    with pytest.raises(UseCaseError, match="'churn'"):
        usecase_names(plugin_dir=plug_in(tmp_path, "churn"))


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError) as refused:
        load_usecase("churns")
    assert "churn" in refused.value.allowed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "holds no use case", id="nothing"),
        pytest.param("usecase = 7\n", "holds no use case", id="something else"),
        pytest.param(None, "called 'leavers'", id="another name"),
        pytest.param("import math\n1 / 0\n", "ZeroDivisionError", id="fails"),
        pytest.param("usecase = (\n", "SyntaxError", id="no Python"),
    ],
)
def test_a_folder_that_holds_no_use_case_of_its_name(tmp_path: Path, text: str | None, said: str) -> None:
    plug_in(tmp_path, "mine", LEAVERS.read_text() if text is None else text)
    with pytest.raises(UseCaseError, match=said) as refused:
        load_usecase("mine", plugin_dir=tmp_path)
    assert "mine" in refused.value.where
