"""The routes of the console and the pages behind them.

Takes a reader, adds routes to an application: ``/`` and everything below ``/console``. Only GET; nothing is written.
Each page is one template over the reader's records, everything escaped; errors are pages as well.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.params import Depends
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from trunkline.console.listing import ConsoleReader, Listing, Page, Series
from trunkline.console.sparkline import sparkline
from trunkline.errors import TrunklineError, UnknownNameError
from trunkline.report.figures import metric
from trunkline.report.page import TEMPLATES, environment, style

if TYPE_CHECKING:
    import jinja2

__all__ = ["mount"]

_FOLDER: Final = Path(__file__).resolve().parent / "templates"
_MOST_PAGES: Final = 1_000_000
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MENU: Final = (
    ("/", "Use cases"),
    ("/console/runs", "Runs"),
    ("/console/models", "Models"),
    ("/console/ledger", "Ledger"),
    ("/console/readings", "Readings"),
    ("/console/receipts", "Receipts"),
    ("/console/quarantine", "Quarantine"),
)
_FAMILIES: Final = ("drift", "score_drift", "performance", "estimate", "freshness", "volume")
_STATES: Final = ("open", "replayed", "discarded")

Name = Annotated[str | None, Query(max_length=200)]
Number = Annotated[int, Query(ge=1, le=_MOST_PAGES)]


def mount(app: FastAPI, reader: ConsoleReader, *, dependencies: Sequence[Depends] = ()) -> None:
    """Add the console to an application.

    Args:
        app: The application; its routes win over the console's.
        reader: Reads what is shown.
        dependencies: What every page demands first, e.g. the role of a reader.
    """
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, dependencies=list(dependencies))
    pages = _Pages(reader)
    for path, page in (
        ("/", pages.usecases),
        ("/console/runs", pages.runs),
        ("/console/runs/{run_id}", pages.run),
        ("/console/runs/{run_id}/report", pages.report),
        ("/console/models", pages.models),
        ("/console/models/{usecase}/{version}", pages.model),
        ("/console/ledger", pages.ledger),
        ("/console/readings", pages.readings),
        ("/console/receipts", pages.receipts),
        ("/console/quarantine", pages.quarantine),
    ):
        router.add_api_route(path, page, methods=["GET"])
    app.include_router(router)


class _Pages:
    """One method per page; FastAPI runs them in its threads, as they are no coroutines."""

    def __init__(self, reader: ConsoleReader) -> None:
        self._reader = reader

    def usecases(self, request: Request) -> Response:
        return self._shown(request, "usecases", "Use cases", lambda: {"usecases": self._reader.usecases()})

    def runs(self, request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return self._listed(
            request, "runs", "Runs", lambda: self._reader.runs(usecase=usecase or None, page=Page(page))
        )

    def run(self, request: Request, run_id: str) -> Response:
        return self._shown(request, "run", f"Run {run_id}", lambda: {"detail": self._reader.run(run_id)})

    def report(self, request: Request, run_id: str) -> Response:
        try:
            return HTMLResponse(self._reader.report(run_id), headers=_HEADERS)
        except TrunklineError as error:
            return _refused(request, error)

    def models(self, request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return self._shown(
            request,
            "models",
            "Models",
            lambda: {
                "listing": self._reader.models(usecase=usecase or None, page=Page(page)),
                "ledger": self._reader.ledger(usecase=usecase or None, page=Page(1, 10)),
            },
        )

    def model(self, request: Request, usecase: str, version: str) -> Response:
        title = f"{usecase}, version {version}"
        return self._shown(request, "model", title, lambda: {"detail": self._reader.model(usecase, version)})

    def ledger(self, request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return self._listed(
            request, "ledger", "Ledger", lambda: self._reader.ledger(usecase=usecase or None, page=Page(page))
        )

    def readings(self, request: Request, usecase: Name = None, family: Name = None, page: Number = 1) -> Response:
        return self._shown(
            request,
            "readings",
            "Readings",
            lambda: {
                "listing": self._reader.readings(usecase=usecase or None, family=family or None, page=Page(page)),
                "alerts": self._reader.alerts(usecase=usecase or None, page=Page(1, 10)),
                "families": _FAMILIES,
            },
        )

    def receipts(self, request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return self._listed(
            request, "receipts", "Receipts", lambda: self._reader.receipts(usecase=usecase or None, page=Page(page))
        )

    def quarantine(
        self, request: Request, usecase: Name = None, batch: Name = None, state: Name = None, page: Number = 1
    ) -> Response:
        return self._shown(
            request,
            "quarantine",
            "Quarantine",
            lambda: {
                "listing": self._reader.quarantine(
                    usecase=usecase or None, batch=batch or None, state=state or None, page=Page(page)
                ),
                "states": _STATES,
            },
        )

    def _listed(self, request: Request, template: str, title: str, read: Callable[[], Listing[object]]) -> Response:
        return self._shown(request, template, title, lambda: {"listing": read()})

    def _shown(self, request: Request, template: str, title: str, read: Callable[[], dict[str, object]]) -> Response:
        try:
            facts = {"metrics": self._reader.metrics(), **read()}
        except TrunklineError as error:
            return _refused(request, error)
        return _rendered(request, template, title, facts, status=200)


def _refused(request: Request, error: TrunklineError) -> Response:
    status = 404 if isinstance(error, UnknownNameError) else 500
    title = "Not found" if status == 404 else "The workspace cannot be read"
    return _rendered(request, "refused", title, {"error": error}, status=status)


def _rendered(request: Request, template: str, title: str, facts: dict[str, object], *, status: int) -> Response:
    text = (
        _environment()
        .get_template(f"{template}.html.j2")
        .render(
            title=title,
            menu=_MENU,
            path=request.url.path,
            query=dict(request.query_params),
            style=style(),
            spark=_spark,
            link=link,
            turned=lambda listing, by: turned(request, listing, by=by),
            **facts,
        )
    )
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


def link(*parts: str, **query: str) -> str:
    """Make the address of a console page; parts and query may be any text.

    >>> link("runs", "a/b", usecase="churn")
    '/console/runs/a%2Fb?usecase=churn'
    """
    path = "/".join(quote(part, safe="") for part in ("console", *parts))
    return f"/{path}?{urlencode(query)}" if query else f"/{path}"


def turned(request: Request, listing: Listing[object], *, by: int) -> str:
    """Give the address of a page before or after this one, filters kept; empty where there is none."""
    number = listing.page.number + by
    if not 1 <= number <= listing.pages:
        return ""
    return f"{request.url.path}?{urlencode({**request.query_params, 'page': str(number)})}"


def _spark(series: Series) -> Markup:
    known = metric(series.metric)
    values = [None if reading.value is None else known.value(reading.value) for reading in series.readings]
    limit = series.newest.limit
    return sparkline(values, limit=None if limit is None else known.value(limit))


@cache
def _environment() -> "jinja2.Environment":
    return environment(_FOLDER, TEMPLATES)
