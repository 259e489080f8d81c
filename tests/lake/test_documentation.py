"""The page about the lake tells the truth."""

import re
from pathlib import Path

import pytest

from trunkline import lake
from trunkline.settings.lake import LakeSettings

PAGE = Path(__file__).parents[2] / "docs" / "lake.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(examples) == 1
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), {})
    assert (tmp_path / "workspace" / "lake" / "churn" / "subscribers" / "_delta_log").is_dir()


def test_settings_that_it_names_exist() -> None:
    named = set(re.findall(r"`lake\.([a-z_]+)`", PAGE.read_text(encoding="utf-8")))
    assert named
    assert named <= set(LakeSettings.model_fields)


def test_every_setting_says_its_unit_or_form() -> None:
    for name, field in LakeSettings.model_fields.items():
        text = field.description or ""
        if name not in {"tables", "lock_folder", "lease_url", "price_per_gb_month"}:
            assert re.search(r"\((days|hours|seconds|commits|files|MiB|attempts)", text), name


def test_exported_names_exist() -> None:
    assert [name for name in lake.__all__ if not hasattr(lake, name)] == []
