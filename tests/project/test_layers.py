"""The import rules of pyproject.toml name every module that there is. Whether they hold, `make layers` tells."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "trunkline"
OPEN_TO_USE_CASES = {"contracts", "features", "stats", "simulate", "tasks", "spec", "errors"}
OPEN_TO_THEIR_TESTS = {"testing"}


@pytest.fixture(scope="module")
def contracts() -> dict[str, dict[str, Any]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return {rule["name"]: rule for rule in tomllib.load(file)["tool"]["importlinter"]["contracts"]}


def parts() -> set[str]:
    """The layers that exist, as names of modules directly below `trunkline`."""
    found = {file.stem for file in PACKAGE.glob("*.py")} | {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    return found - {"__init__", "__main__", "usecases"}


def test_every_part_is_a_layer(contracts: dict[str, dict[str, Any]]) -> None:
    layers = contracts["Data flows one way"]["layers"]
    named = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    assert parts() <= named


def test_use_cases_are_kept_from_every_part_that_is_not_open_to_them(contracts: dict[str, dict[str, Any]]) -> None:
    rule = contracts["A use case speaks only contracts, features, stats, simulate, tasks, spec, errors"]
    forbidden = {name.removeprefix("trunkline.") for name in rule["forbidden_modules"]}
    assert forbidden == parts() - OPEN_TO_USE_CASES - OPEN_TO_THEIR_TESTS


def test_no_part_is_exempt(contracts: dict[str, dict[str, Any]]) -> None:
    doors = [rule for rule in contracts.values() if rule["name"].startswith("Only ")]
    assert len(doors) >= 6
    for rule in doors:
        assert rule["source_modules"] == ["trunkline"]
        allowed = {line.split(" -> ")[0].removesuffix(".**") for line in rule["ignore_imports"]}
        assert len(allowed) == 1, f"{rule['name']}: one door each"
