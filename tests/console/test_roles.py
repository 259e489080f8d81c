"""Who may ask for what: every route of API and console, with every role, none left out."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from trunkline.cli.server import build_app
from trunkline.console import live_page
from trunkline.settings import Settings
from trunkline.settings.serve import ApiKey

KEYS: Final = {role: f"{role}-key-0123456789abcdef" for role in ("reader", "operator", "admin")}
RANK: Final = {"anybody": 0, "reader": 1, "operator": 2, "admin": 3}

ROLES: Final = {
    "GET /": "reader",
    "GET /console": "reader",
    "GET /console/ledger": "reader",
    "GET /console/models": "reader",
    "GET /console/models/{usecase}/{version}": "reader",
    "GET /console/quality": "reader",
    "GET /console/quality/{usecase}/{dataset}": "reader",
    "GET /console/quarantine": "reader",
    "GET /console/readings": "reader",
    "GET /console/alarms": "reader",
    "GET /console/alarms/{usecase}": "reader",
    "GET /console/forecasts": "reader",
    "GET /console/forecasts/{usecase}": "reader",
    "GET /console/live": "reader",
    "GET /console/live/events": "reader",
    "GET /console/receipts": "reader",
    "GET /console/runs": "reader",
    "GET /console/runs/{run_id}": "reader",
    "GET /console/runs/{run_id}/report": "reader",
    "GET /console/runs/{run_id}/audience": "reader",
    "GET /console/campaigns": "reader",
    "GET /console/tables": "reader",
    "GET /console/tables/{usecase}/{dataset}": "reader",
    "GET /console/tables/{usecase}/{dataset}/export": "operator",
    "GET /docs": "anybody",
    "GET /metrics": "reader",
    "GET /openapi.json": "anybody",
    "GET /asyncapi.json": "anybody",
    "GET /v2": "reader",
    "GET /v2/health/live": "anybody",
    "GET /v2/health/ready": "anybody",
    "GET /v2/models/{model}": "reader",
    "GET /v2/models/{model}/ready": "anybody",
    "GET /v2/models/{model}/versions/{version}": "reader",
    "GET /v2/models/{model}/versions/{version}/ready": "anybody",
    "POST /v1/ingest/{usecase}/{dataset}": "operator",
    "POST /v1/{usecase}/outcomes": "operator",
    "POST /v1/{usecase}/predict": "reader",
    "POST /v2/models/{model}/infer": "reader",
    "POST /v2/models/{model}/versions/{version}/infer": "reader",
}
"""Every route of the server with the least role that may ask for it; a route that is not here fails the test."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The whole application, two keys by their digest and one as it is."""
    root: Path = tmp_path_factory.mktemp("roles")
    keys = [
        {"name": role, "role": role, "key_sha256": hashlib.sha256(KEYS[role].encode()).hexdigest()}
        for role in ("reader", "operator")
    ]
    settings = Settings.model_validate(
        {
            "workspace": root / "workspace",
            "plugin_dir": root / "none",
            "serve": {"api_keys": [*keys, {"name": "admin", "role": "admin", "key": KEYS["admin"]}]},
        }
    )
    built, reader = build_app(settings)
    yield built
    reader.close()


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def routes(app: FastAPI) -> dict[str, str]:
    """Each route as ``METHOD path`` with a path that can be asked for."""
    found = {}
    for route in app.router.routes:
        if isinstance(route, WebSocketRoute):  # asks for the same role: tests/serve/test_devices.py
            continue
        assert isinstance(route, Route | APIRoute), f"a kind of route that this test does not know: {route}"
        path = route.path.replace("{usecase}", "churn").replace("{dataset}", "subscribers").replace("{model}", "churn")
        for method in (route.methods or set()) - {"HEAD"}:
            # one route per installed use case and dataset
            name = re.sub(r"^/v1/ingest/[a-z_]+/[a-z_]+$", "/v1/ingest/{usecase}/{dataset}", route.path)
            name = re.sub(r"^/v1/(?!ingest/)[a-z_]+/", "/v1/{usecase}/", name)
            found[f"{method} {name}"] = path.replace("{version}", "1").replace("{run_id}", "run-1")
    return found


def test_every_route_has_a_declared_role(app: FastAPI) -> None:
    assert set(routes(app)) == set(ROLES)


@pytest.mark.parametrize("route", sorted(ROLES))
def test_a_role_gets_what_it_may_and_no_more(
    app: FastAPI, client: TestClient, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_page, "_EVENTS", 1)  # the client of tests reads a stream to its end
    monkeypatch.setattr(live_page, "_EVERY_S", 0.01)
    method, path = route.split(maxsplit=1)[0], routes(app)[route]
    needed = RANK[ROLES[route]]
    for role in ("anybody", "reader", "operator", "admin"):
        ways = [{}] if role == "anybody" else [{"x-api-key": KEYS[role]}, {"authorization": f"Bearer {KEYS[role]}"}]
        for headers in ways:
            status = client.request(method, path, content=b"{}", headers=headers).status_code
            if RANK[role] >= needed:
                assert status not in (401, 403), (role, status)
            else:
                assert status == (401 if role == "anybody" else 403), (role, status)
    wrong = client.request(method, path, content=b"{}", headers={"x-api-key": "x" * 24}).status_code
    assert (wrong == 401) is (needed > 0)


def test_a_browser_sends_the_key_as_its_password(client: TestClient) -> None:
    assert client.get("/console/tables", auth=("whoever", KEYS["reader"])).status_code == 200
    refused = client.get("/console/tables", auth=("whoever", "wrong"))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    for told in ("Basic \xe9", "Basic =", "Basic"):
        odd = client.get("/console/tables", headers={b"authorization": told.encode("latin-1")})
        assert odd.status_code == 401, told
    export = "/console/tables/churn/subscribers/export"
    assert client.get(export, auth=("whoever", KEYS["reader"])).status_code == 403


def test_a_digest_is_no_key(client: TestClient) -> None:
    digest = hashlib.sha256(KEYS["reader"].encode()).hexdigest()
    assert client.get("/console/tables", headers={"x-api-key": digest}).status_code == 401


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"key": "k" * 16, "key_sha256": "0" * 64},
        {"key": "short"},
        {"key_sha256": "0" * 63},
        {"key_sha256": "G" * 64},
    ],
)
def test_keys_that_cannot_be(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ApiKey.model_validate({"name": "crm", **given})
