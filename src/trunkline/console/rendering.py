"""Pages of the console from their templates: addresses, small pictures, the menu; errors are pages as well."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from trunkline.console.listing import Listing, Series
from trunkline.console.quality import DatasetQuality
from trunkline.console.sparkline import sparkline
from trunkline.errors import TrunklineError, UnknownNameError
from trunkline.report.figures import metric
from trunkline.report.page import TEMPLATES, environment, style
from trunkline.serve.refusals import RefusedRequestError

if TYPE_CHECKING:
    import jinja2

__all__ = ["HEADERS", "link", "refused", "rendered", "rendered_text", "templates", "turned"]

_FOLDER: Final = Path(__file__).resolve().parent / "templates"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every page: nothing is loaded, framed or kept."""
_MENU: Final = (
    ("/", "Use cases"),
    ("/console/runs", "Runs"),
    ("/console/campaigns", "Campaigns"),
    ("/console/models", "Models"),
    ("/console/ledger", "Ledger"),
    ("/console/readings", "Readings"),
    ("/console/quality", "Data quality"),
    ("/console/alarms", "Alarms"),
    ("/console/forecasts", "Forecasts"),
    ("/console/live", "Live"),
    ("/console/tables", "Tables"),
    ("/console/receipts", "Receipts"),
    ("/console/quarantine", "Quarantine"),
)


def refused(request: Request, error: TrunklineError) -> Response:
    """Say on a page what cannot be shown, and why."""
    status, title = 500, "The workspace cannot be read"
    if isinstance(error, UnknownNameError):
        status, title = 404, "Not found"
    elif isinstance(error, RefusedRequestError):
        status, title = error.status, "Not understood"
    return rendered(request, "refused", title, {"error": error}, status=status)


def rendered(request: Request, template: str, title: str, facts: dict[str, object], *, status: int) -> Response:
    """Make a page of a template."""
    return HTMLResponse(rendered_text(request, template, title, facts), status_code=status, headers=HEADERS)


def rendered_text(request: Request, template: str, title: str, facts: dict[str, object]) -> str:
    """Fill a template: with the menu, the style, and what all pages draw and link to."""
    return str(
        templates()
        .get_template(f"{template}.html.j2")
        .render(
            title=title,
            menu=_MENU,
            path=request.url.path,
            query=dict(request.query_params),
            style=style(),
            spark=_spark,
            spark_rows=_spark_rows,
            link=link,
            turned=lambda listing, by: turned(request, listing, by=by),
            **facts,
        )
    )


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


def _spark_rows(found: DatasetQuality) -> Markup:
    return sparkline([float(day.read) for day in found.days])


def _spark(series: Series) -> Markup:
    known = metric(series.metric)
    values = [None if reading.value is None else known.value(reading.value) for reading in series.readings]
    limit = series.newest.limit
    return sparkline(values, limit=None if limit is None else known.value(limit))


@cache
def templates() -> "jinja2.Environment":
    """Give the templates of the console and of reports."""
    return environment(_FOLDER, TEMPLATES)
