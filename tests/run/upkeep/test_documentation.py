"""What docs/retention.md shows is what happens."""

import re
import tomllib
from pathlib import Path

import pytest
from tests.run.upkeep.conftest import Shop

from trunkline.settings import load_settings


def blocks(repository: Path, language: str) -> list[str]:
    page = (repository / "docs" / "retention.md").read_text(encoding="utf-8")
    return re.findall(rf"^`{{3}}{language}\n(.*?)^`{{3}}$", page, re.MULTILINE | re.DOTALL)


def test_the_contract_and_the_look_into_an_archive_run(fives: Shop, repository: Path) -> None:
    contract, look = blocks(repository, "python")
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(contract, "docs/retention.md", "exec"), names)
    assert "Call" in names
    fives.tidy()
    exec(compile(look, "docs/retention.md", "exec"), names)
    assert names["calls"] == [(5,)]


def test_the_settings_are_settings(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (text,) = blocks(repository, "toml")
    assert set(tomllib.loads(text)) == {"retention"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trunkline.toml").write_text(text)
    found = load_settings().retention.tables
    assert {name: one.days for name, one in found.items()} == {"phone.calls": 180.0, "platform.predictions": 365.0}
    monkeypatch.setenv("TRUNKLINE_RETENTION__TABLES", '{"phone.calls": {"days": null}}')
    assert load_settings().retention.tables["phone.calls"].keep_rows is None
