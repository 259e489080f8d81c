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
    app.include_router(_router(reader, dependencies=dependencies))


def _router(reader: ConsoleReader, *, dependencies: Sequence[Depends]) -> APIRouter:
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, dependencies=list(dependencies))

    @router.get("/")
    def usecases(request: Request) -> Response:
        return _page(request, "usecases", "Use cases", lambda: {"usecases": reader.usecases()})

    @router.get("/console/runs")
    def runs(request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return _page(
            request, "runs", "Runs", lambda: {"listing": reader.runs(usecase=usecase or None, page=Page(page))}
        )

    @router.get("/console/runs/{run_id}")
    def run(request: Request, run_id: str) -> Response:
        return _page(request, "run", f"Run {run_id}", lambda: {"detail": reader.run(run_id)})

    @router.get("/console/runs/{run_id}/report")
    def report(request: Request, run_id: str) -> Response:
        try:
            return HTMLResponse(reader.report(run_id), headers=_HEADERS)
        except TrunklineError as error:
            return _refused(request, error)

    @router.get("/console/models")
    def models(request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return _page(
            request,
            "models",
            "Models",
            lambda: {
                "versions": reader.models(usecase=usecase or None),
                "listing": reader.ledger(usecase=usecase or None, page=Page(page)),
                "metrics": {found.name: found.metric for found in reader.usecases()},
            },
        )

    @router.get("/console/models/{usecase}/{version}")
    def model(request: Request, usecase: str, version: str) -> Response:
        return _page(
            request, "model", f"{usecase}, version {version}", lambda: {"detail": reader.model(usecase, version)}
        )

    @router.get("/console/readings")
    def readings(request: Request, usecase: Name = None, family: Name = None, page: Number = 1) -> Response:
        return _page(
            request,
            "readings",
            "Readings",
            lambda: {
                "listing": reader.readings(usecase=usecase or None, family=family or None, page=Page(page)),
                "alerts": reader.alerts(usecase=usecase or None, page=Page(1, 10)),
                "families": _FAMILIES,
            },
        )

    @router.get("/console/receipts")
    def receipts(request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return _page(
            request,
            "receipts",
            "Receipts",
            lambda: {"listing": reader.receipts(usecase=usecase or None, page=Page(page))},
        )

    @router.get("/console/quarantine")
    def quarantine(
        request: Request, usecase: Name = None, batch: Name = None, state: Name = None, page: Number = 1
    ) -> Response:
        return _page(
            request,
            "quarantine",
            "Quarantine",
            lambda: {
                "listing": reader.quarantine(
                    usecase=usecase or None, batch=batch or None, state=state or None, page=Page(page)
                ),
                "states": _STATES,
            },
        )

    return router


def _page(request: Request, template: str, title: str, read: "Callable[[], dict[str, object]]") -> Response:
    try:
        facts = read()
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
