"""Settings that the documentation names exist: a misspelt one would be copied, and refused."""

import difflib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from trunkline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
OPEN = ("sources", "scheduler.runs", "notify.targets", "notify.templates", "publish.sinks")
"""Tables whose keys are names that a user gives."""


def settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every setting and table of settings with the names of its tables before it."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{prefix}{name}.")


KNOWN = frozenset(settings())
TABLES = tuple(sorted({name.partition(".")[0] for name in KNOWN if "." in name}))


def is_code(name: str) -> bool:
    """Whether a dotted name is one of the package instead, e.g. ``lake.current``."""
    module, _, rest = name.partition(".")
    found: object = importlib.import_module(f"trunkline.{module}")
    classes = [value for value in vars(found).values() if isinstance(value, type)]
    try:
        importlib.import_module(f"trunkline.{name}")
    except ImportError:
        return hasattr(found, rest) or any(hasattr(one, rest) for one in classes)
    return True


def wrong(text: str) -> list[str]:
    """Names in backticks that look like ``table.setting`` and are none."""
    found = []
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?: ?=[^`]*)?`", text):
        table = name.partition(".")[0]
        if name in KNOWN or any(name.startswith(f"{one}.") for one in OPEN):
            continue
        if table in TABLES:
            found += [] if is_code(name) else [name]
        elif difflib.get_close_matches(table, TABLES, n=1, cutoff=0.85):
            found.append(name)
    for variable in re.findall(r"\bTRUNKLINE_[A-Z0-9_]+\b", text):
        name = variable.removeprefix("TRUNKLINE_").lower().replace("__", ".")
        name = name.removesuffix(".x").removesuffix(".")  # any setting of a table
        if "__" in variable and name not in KNOWN and not name.startswith(tuple(f"{one}." for one in OPEN)):
            found.append(variable)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_a_page_names_exist(page: Path) -> None:
    assert wrong(page.read_text(encoding="utf-8")) == []


def test_what_is_wrong_is_seen() -> None:
    said = "`brokers.synchronous = FULL`, `broker.synchronous = FULL`, `lake.current`, `serve.prot`, `platform.steps`"
    assert wrong(f"{said}, `sources.crm.url`, TRUNKLINE_SERVE__PORT, TRUNKLINE_SERVE__PROT, TRUNKLINE_DEBUG") == [
        "brokers.synchronous",
        "serve.prot",
        "TRUNKLINE_SERVE__PROT",
    ]
