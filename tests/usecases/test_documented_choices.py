"""What the documentation sets of a use case may be set."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.plugins import load_usecase

ROOT = Path(__file__).resolve().parents[2]


def documented() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Page, use case and choices of each table ``[usecases.NAME]``."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for name, choices in tomllib.loads(block).get("usecases", {}).items():
                yield page.name, name, choices


FOUND = list(documented())


@pytest.mark.parametrize(("page", "name", "choices"), FOUND, ids=[f"{page}-{name}" for page, name, _ in FOUND])
def test_choices_of_a_page_are_taken(page: str, name: str, choices: dict[str, object]) -> None:
    chosen = load_usecase(name).with_choices(choices)
    assert chosen.name == name, page


def test_limits_of_servers_are_documented() -> None:
    assert any(name == "response_time" and "limits_ms" in choices for _, name, choices in FOUND)
