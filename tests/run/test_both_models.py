"""Who will stay and will upgrade, on Cell2Cell: both models are trained by the real command, the audience is the join.

The use cases are those that ship, under other names and with one quick learner each, so that minutes become seconds;
their contracts, features, labels, segments and offers are the shipped ones.
"""

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")

from trunkline.contracts.records import AUDIENCES, PREDICTIONS
from trunkline.run import Workspace
from trunkline.settings import load_settings

pytestmark = pytest.mark.slow

Trunkline = Callable[..., tuple[int, str, str]]
EVERY = 8
"""One customer in so many is taken."""

PLUGIN = '''
"""The shipped use case {shipped}, quick to train."""

from dataclasses import replace

from trunkline.spec import MinimumMetric
from trunkline.usecases.{shipped} import usecase as shipped

quick = {{"learners": tuple(one for one in shipped.task.learners if one.kind == "logistic_regression")}}
quick |= {{"tune": "none", "folds": 3, "repeats": 1, "blend": False, "weights": {{}}, "slices": ()}}
usecase = replace(
    shipped,
    name="{name}",
    task=shipped.task.model_copy(update=quick),
    gates=(MinimumMetric(metric="roc_auc", limit=0.55),),
    audience={audience},
    chosen=None,
    choices=None,
)
'''


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    for shipped, name, audience in (
        ("churn", "staying", "None"),
        ("upgrade", "renewing", 'replace(shipped.audience, companion="staying")'),
    ):
        (folder / name).mkdir()
        text = PLUGIN.format(shipped=shipped, name=name, audience=audience)
        (folder / name / "__init__.py").write_text(text, encoding="utf-8")
        (folder / name / "README.md").write_text(f"# {name}\n", encoding="utf-8")
    return folder


def test_the_audience_is_who_will_stay_and_will_upgrade(
    data_dir: Path, trunkline: Trunkline, plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_PLUGIN_DIR", str(plugins))
    folder, source = tmp_path / "ws", tmp_path / "customers.csv"
    with gzip.open(data_dir / "cell2cell" / "train.csv.gz", "rt", encoding="utf-8") as stream:
        head, *lines = stream.readlines()
    source.write_text("".join([head, *lines[::EVERY]]), encoding="utf-8")
    said = {}
    for name in ("staying", "renewing"):
        code, out, err = trunkline("run", name, "--source", source, "--workspace", folder, "--run-id", name, "--json")
        assert code == 0, err
        said[name] = json.loads(out)
    assert said["staying"]["metrics"]["roc_auc"]["value"] > 0.58
    assert said["renewing"]["metrics"]["roc_auc"]["value"] > 0.65
    audience = said["renewing"]["audience"]
    assert (audience["companion"], audience["companion_version"]) == ("staying", "1")

    with Workspace(load_settings(workspace=folder, plugin_dir=plugins)) as workspace:
        answers = workspace.lake.arrow(PREDICTIONS, columns=["usecase", "entity_key", "score"]).to_pylist()
        members = {row["entity_key"]: row for row in workspace.lake.arrow(AUDIENCES).to_pylist()}
        rows = workspace.lake.arrow("renewing.subscribers").to_pylist()
    scores = {name: {row["entity_key"]: row["score"] for row in answers if row["usecase"] == name} for name in said}
    assert scores["staying"].keys() == scores["renewing"].keys(), "one customer has one name in both"
    assert len(scores["renewing"]) == len(rows) == said["renewing"]["predictions"]["rows"]

    worth = {"flagship": (90.0, 6.0), "family_bundle": (70.0, 5.0), "better_radio": (60.0, 5.0)}
    worth["trade_in"] = (40.0, 5.0)
    wanted = {}
    for row in rows:  # the rules once more, row by row
        key = row["subscriber_id"]
        offer = offer_of(row)
        value, cost = worth[offer]
        stays = 1.0 - scores["staying"][key]
        gained = scores["renewing"][key] * stays * value - cost
        if (row["tenure_months"] or 0) > 6 and not row["opted_out_of_mailings"] and stays >= 0.6 and gained > 0:
            wanted[key] = (offer, gained)
    assert members.keys() == wanted.keys()
    assert audience["members"] == len(wanted) > 100
    for key, (offer, gained) in wanted.items():
        assert members[key]["offer"] == offer
        assert members[key]["expected_value"] == pytest.approx(gained)
    published = tmp_path / "published.db"
    code, _, err = trunkline("publish", "renewing", "--workspace", folder, "--to", f"sqlite:///{published}", "--json")
    assert code == 0, err
    latest = ask(published, "SELECT entity_key, score FROM latest_upgrade_predictions")
    published_audience = ask(published, "SELECT entity_key, offer FROM upgrade_audience")
    segments = {name for (name,) in ask(published, "SELECT DISTINCT segment FROM trunkline_predictions_daily")}
    tables = {name for (name,) in ask(published, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert dict(latest) == scores["renewing"]
    assert dict(published_audience) == {key: offer for key, (offer, _) in wanted.items()}
    assert segments == {str(row["area_type"]) for row in rows}
    assert "messages" not in tables, "they leave to who names them"

    leaving = [key for key, score in scores["staying"].items() if score > 0.4]
    assert leaving, "some are left out because they will go"


def ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as there:
        rows: list[tuple[Any, ...]] = there.execute(query).fetchall()
        return rows


def offer_of(row: dict[str, object]) -> str:
    """The offer of a subscriber's first segment."""

    def number(name: str) -> float:
        return float(str(row[name])) if row[name] is not None else 0.0

    if number("monthly_minutes") >= 800 or number("overage_minutes") >= 100:
        return "flagship"
    if number("active_subscriptions") >= 2 or row["children"]:
        return "family_bundle"
    return "better_radio" if number("dropped_blocked_calls") >= 12 else "trade_in"
