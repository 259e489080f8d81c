"""docs/publish.md names what is there: sinks, tables and views, modes, and how a receiver checks a signature."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from trunkline.publish import SCHEMES, planned
from trunkline.settings.publish import SinkSettings
from trunkline.spec.publish import Mode
from trunkline.usecases.churn import usecase as churn
from trunkline.usecases.response_time import usecase as response_time
from trunkline.usecases.towers import usecase as towers
from trunkline.usecases.upgrade import usecase as upgrade

PAGE = Path(__file__).parents[2] / "docs" / "publish.md"


def test_every_sink_and_mode_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    addresses = set(re.findall(r"`([a-z0-9]+)(?:\+[a-z]+)?://", page))
    aliases = {"mysql", "postgres", "http", "abfs"}
    assert set(SCHEMES) - aliases <= addresses
    for mode in get_args(Mode):
        assert f"| `{mode}` |" in page


def test_every_key_of_a_sink_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in SinkSettings.model_fields if f"| `{name}` |" not in page] == []


def test_every_shipped_table_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for usecase in (churn, response_time, towers, upgrade):
        for one in planned(usecase):
            assert f"`{one.name}" in page
            assert not one.view or f"`{one.view}`" in page


def test_tables_and_views_of_the_page_are_there(tmp_path: Path) -> None:
    sa = pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
    from trunkline.publish.sql.migrations import migrate

    with sa.create_engine(f"sqlite:///{tmp_path}/x.db").connect() as connection:
        migrate(connection, prefix="", shown="here")
        found = sa.inspect(connection)
        there = {*found.get_table_names(), *found.get_view_names()} - {"trunkline_version"}
    section = PAGE.read_text(encoding="utf-8").split("## The platform's tables")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(trunkline_\w+)`", section, re.MULTILINE)) == there


def test_a_receiver_of_the_page_knows_our_signature() -> None:
    pytest.importorskip("httpx2", reason="the extra rest is not installed")
    from trunkline.publish.webhook import signature

    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "def is_ours" in block]
    names: dict[str, Any] = {}
    exec(code, names)
    headers = {"Trunkline-Timestamp": "7", "Idempotency-Key": "b-0"}
    headers["Trunkline-Signature"] = signature(b"s", at=7, key="b-0", body=b"{}")
    assert names["is_ours"](headers, b"{}", b"s")
    assert not names["is_ours"](headers, b"{ }", b"s")
