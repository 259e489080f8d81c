"""A monitoring API of the tests' own: it serves `metric-data` items from a file, and fails as it is told to.

The form is AppDynamics': items with metricPath, frequency and metricValues by startTimeInMillis, for a time range, to
who shows a token of the client credentials.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

from tests.ingest.rest.loopback import Api, Reply, Seen, running

METRICS: Mapping[str, str] = {"response_time": "Average Response Time (ms)", "calls": "Calls per Minute"}


def millis(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def write_items(path: Path, *, since: datetime, values: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Write a file of `metric-data` items: by tier and metric, one value an hour."""
    items = []
    for number, (tier, metrics) in enumerate(values.items()):
        for place, (metric, hourly) in enumerate(metrics.items()):
            told = [
                {
                    "startTimeInMillis": millis(since + timedelta(hours=hour)),
                    "occurrences": 1,
                    "current": round(value),
                    "min": round(value * 0.5),
                    "max": round(value * 2),
                    "count": 60,
                    "sum": round(value * 60),
                    "value": round(value),
                    "standardDeviation": 0,
                    "useRange": True,
                }
                for hour, value in enumerate(hourly)
            ]
            items.append(
                {
                    "metricId": 1000 * number + place,
                    "metricName": f"BTM|Application Summary|{METRICS[metric]}",
                    "metricPath": f"Overall Application Performance|{tier}|{METRICS[metric]}",
                    "frequency": "SIXTY_MIN",
                    "metricValues": told,
                }
            )
    path.write_text(json.dumps(items))


@dataclass
class Monitoring:
    """A running monitoring API.

    Attributes:
        file: What it serves.
        now: The newest instant that it knows.
        hidden: Instants whose values it does not give yet, by tier; all tiers under the empty name.
        faults: What it answers instead, one after the other.
        tokens: How many tokens it gave.
        asked: Begin and end of the range of each request for data, milliseconds since 1970.
        url: Where it listens.
    """

    file: Path
    now: datetime
    hidden: dict[str, set[datetime]] = field(default_factory=dict)
    faults: list[Reply] = field(default_factory=list)
    tokens: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)
    url: str = ""

    def declared(self, **more: object) -> dict[str, object]:
        """The source as an operator declares it."""
        return {
            "kind": "rest",
            "usecase": "response_time",
            "dataset": "metrics",
            "url": f"{self.url}/controller/rest/applications/shop/metric-data",
            "params": {
                "metric-path": "Overall Application Performance|*|*",
                "time-range-type": "BETWEEN_TIMES",
                "rollup": "false",
                "output": "JSON",
            },
            "since": {
                "param": "start-time",
                "until_param": "end-time",
                "field": "at",
                "first": "0",
                "format": "iso",
                "param_format": "epoch_ms",
                "step": "PT1H",
                "gap_share": 0.9,
                "overlap": "PT2H",
            },
            "auth": {
                "kind": "oauth2",
                "token_url": f"{self.url}/controller/api/oauth/access_token",
                "client_id": "trunkline@customer1",
                "client_secret": "s3cret",
                "place": "form",
            },
            "longest_wait_s": 0.01,
            **more,
        }

    def __call__(self, seen: Seen) -> Reply:
        if seen.path.endswith("/access_token"):
            form = parse_qs(seen.body.decode())
            assert (form["grant_type"], form["client_secret"]) == (["client_credentials"], ["s3cret"])
            self.tokens += 1
            return Reply({"access_token": f"token-{self.tokens}", "expires_in": 300})
        if seen.headers.get("Authorization") != f"Bearer token-{self.tokens}":
            return Reply(status=401)
        if self.faults:
            return self.faults.pop(0)
        since, until = int(seen.query["start-time"]), int(seen.query["end-time"])
        self.asked.append((since, until))
        return Reply(
            [self._part(item, since, min(until, millis(self.now))) for item in json.loads(self.file.read_text())]
        )

    def _part(self, item: dict[str, object], since: int, until: int) -> dict[str, object]:
        tier = str(item["metricPath"]).split("|")[1]
        hidden = {millis(at) for at in (*self.hidden.get("", ()), *self.hidden.get(tier, ()))}
        values = item["metricValues"]
        assert isinstance(values, list)
        kept = [
            one
            for one in values
            if since <= one["startTimeInMillis"] <= until and one["startTimeInMillis"] not in hidden
        ]
        return {**item, "metricValues": kept}


@contextmanager
def monitoring(file: Path, *, now: datetime) -> Iterator[tuple[Monitoring, Api]]:
    """Run a monitoring API while the context lasts."""
    api = Monitoring(file, now)
    with running(api) as server:
        api.url = server.url
        yield api, server
