"""The routes of the console and the pages behind them.

Takes a reader, adds routes to an application: ``/`` and everything below ``/console``. Only GET. Every route names the
least role that may ask for it; what a table shows depends on who asks. Each page is one template over the reader's
records, everything escaped; errors are pages as well.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from inspect import signature
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from markupsafe import Markup

from trunkline.console.alarms import SEVERITIES, FleetAlarms
from trunkline.console.day_chart import band_chart
from trunkline.console.forecasts import WEEKS, server_charts
from trunkline.console.listing import ConsoleReader, Listing, Page
from trunkline.console.live_page import LivePage
from trunkline.console.quality import quality_charts
from trunkline.console.rendering import HEADERS, link, refused, rendered, rendered_text, templates
from trunkline.console.site_map import site_map
from trunkline.console.tables import Form
from trunkline.errors import TrunklineError
from trunkline.report.drawing import draw
from trunkline.serve import Holder
from trunkline.serve.options import refuse_unknown_options
from trunkline.serve.refusals import RefusedRequestError
from trunkline.settings.serve import Role

__all__ = ["mount"]

_MOST_PAGES: Final = 1_000_000
_FAMILIES: Final = ("drift", "score_drift", "performance", "estimate", "freshness", "volume")
_STATES: Final = ("open", "replayed", "discarded")
_SPANS: Final = (7, 30, 90, 365)
_PREVIEW_ROWS: Final = 50

Name = Annotated[str | None, Query(max_length=200)]
Number = Annotated[int, Query(ge=1, le=_MOST_PAGES)]
Days = Annotated[int, Query(ge=1, le=366)]


Demanding = Callable[[Role], Callable[[Request], Holder]]
"""From a role to a FastAPI dependency that lets through who has it, and says who that is."""


def mount(
    app: FastAPI, reader: ConsoleReader, *, access: Demanding | None = None, broken: Mapping[str, str] | None = None
) -> None:
    """Add the console to an application.

    Args:
        app: The application; its routes win over the console's.
        reader: Reads what is shown.
        access: Tells who asks and refuses who may not; None lets everybody look as a reader, for whom personal data is
            masked.
        broken: Use cases that are installed and cannot be used, and why; told on the first page.
    """
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, route_class=_PageRoute)
    pages = _Pages(reader, broken or {})
    for path, role, page in _routes(pages):
        options = [name for name in signature(page).parameters if name != "request" and f"{{{name}}}" not in path]
        known = _known((access or _anybody)(role), options)
        router.add_api_route(path, page, methods=["GET"], dependencies=[Depends(known)])
    app.include_router(router)


def _routes(pages: "_Pages") -> tuple[tuple[str, Role, Callable[..., Response]], ...]:
    """Every route with the least role that may ask for it."""
    return (
        ("/", "reader", pages.usecases),
        ("/console", "reader", pages.begin),
        ("/console/runs", "reader", pages.runs),
        ("/console/runs/{run_id}", "reader", pages.run),
        ("/console/runs/{run_id}/report", "reader", pages.report),
        ("/console/runs/{run_id}/audience", "reader", pages.audience),
        ("/console/campaigns", "reader", pages.campaigns),
        ("/console/models", "reader", pages.models),
        ("/console/models/{usecase}/{version}", "reader", pages.model),
        ("/console/ledger", "reader", pages.ledger),
        ("/console/readings", "reader", pages.readings),
        ("/console/quality", "reader", pages.quality),
        ("/console/quality/{usecase}/{dataset}", "reader", pages.quality_of),
        ("/console/alarms", "reader", pages.alarms),
        ("/console/alarms/{usecase}", "reader", pages.alarms_of),
        ("/console/forecasts", "reader", pages.forecasts),
        ("/console/forecasts/{usecase}", "reader", pages.forecasts_of),
        ("/console/live", "reader", pages.live),
        ("/console/live/events", "reader", pages.live_events),
        ("/console/tables", "reader", pages.tables),
        ("/console/tables/{usecase}/{dataset}", "reader", pages.table),
        ("/console/tables/{usecase}/{dataset}/export", "operator", pages.export),
        ("/console/receipts", "reader", pages.receipts),
        ("/console/quarantine", "reader", pages.quarantine),
    )


class _PageRoute(APIRoute):
    """A route whose refusals of options are pages, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give what answers a request."""
        answered = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await answered(request)
            except RequestValidationError as error:
                return refused(request, _misasked(error))

        return shown


def _misasked(error: RequestValidationError) -> RefusedRequestError:
    """Say which option cannot be read, and what it may be; not what it was."""
    first = error.errors()[0]
    name, wanted = first["loc"][-1], str(first["msg"])
    return RefusedRequestError(
        f"the option {name!r} cannot be read: {wanted[:1].lower()}{wanted[1:]}",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        next_step="mend the address, or begin at a page of the menu",
    )


def _anybody(_role: Role) -> Callable[[Request], Holder]:
    return lambda _request: Holder("anybody", "reader")


def _known(allowed: Callable[[Request], Holder], options: Sequence[str]) -> Callable[[Request], None]:
    """Remember who asks, and which options the page takes, for as long as the request lasts."""

    def remembered(request: Request) -> None:
        request.state.holder = allowed(request)
        request.state.options = options

    return remembered


def _holder(request: Request) -> Holder:
    found = request.state.holder
    assert isinstance(found, Holder)
    return found


class _Pages:
    """One method per page; FastAPI runs them in its threads, as they are no coroutines."""

    def __init__(self, reader: ConsoleReader, broken: Mapping[str, str]) -> None:
        self._reader = reader
        self._broken = broken
        self._live = LivePage(reader, environment=templates)

    def begin(self) -> Response:
        """Lead who asks for the console to its first page."""
        return RedirectResponse("/", headers=HEADERS)

    def usecases(self, request: Request) -> Response:
        return self._shown(
            request, "usecases", "Use cases", lambda: {"usecases": self._reader.usecases(), "broken": self._broken}
        )

    def runs(self, request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return self._listed(
            request, "runs", "Runs", lambda: self._reader.runs(usecase=usecase or None, page=Page(page))
        )

    def run(self, request: Request, run_id: str) -> Response:
        return self._shown(request, "run", f"Run {run_id}", lambda: {"detail": self._reader.run(run_id)})

    def report(self, request: Request, run_id: str) -> Response:
        return self._written(request, lambda: self._reader.report(run_id))

    def audience(self, request: Request, run_id: str) -> Response:
        return self._written(request, lambda: self._reader.audience(run_id))

    def campaigns(self, request: Request, usecase: Name = None, page: Number = 1) -> Response:
        return self._listed(
            request, "campaigns", "Campaigns", lambda: self._reader.campaigns(usecase=usecase or None, page=Page(page))
        )

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

    def live(self, request: Request) -> Response:
        return self._live.page(lambda facts: rendered_text(request, "live", "Live", {"metrics": {}, **facts}))

    def live_events(self, request: Request) -> Response:
        return self._live.events(request)

    def quality(self, request: Request, days: Days = 30) -> Response:
        return self._shown(
            request,
            "quality",
            "Data quality",
            lambda: {"found": self._reader.quality(days=days), "spans": _SPANS, "days": days},
        )

    def quality_of(self, request: Request, usecase: str, dataset: str, days: Days = 30) -> Response:
        def read() -> dict[str, object]:
            found = self._reader.quality_of(usecase, dataset, days=days)
            drawings = {chart.name: draw(chart) for chart in quality_charts(found)}
            return {"found": found, "drawings": drawings, "spans": _SPANS, "days": days}

        return self._shown(request, "quality_of", f"Data quality of {usecase}.{dataset}", read)

    def alarms(self, request: Request) -> Response:
        return self._shown(
            request,
            "alarms",
            "Alarms",
            lambda: {"found": self._reader.alarms_by_severity(), "severities": SEVERITIES, "site_map": _fleet_map},
        )

    def alarms_of(self, request: Request, usecase: str, name: Name = None) -> Response:
        def read() -> dict[str, object]:
            return {"found": self._reader.cell_day(usecase, name or ""), "band": band_chart}

        return self._shown(request, "alarms_of", f"{name or 'nothing'} of {usecase}", read)

    def forecasts(self, request: Request) -> Response:
        return self._shown(request, "forecasts", "Forecasts", lambda: {"found": self._reader.forecasts()})

    def forecasts_of(self, request: Request, usecase: str, name: Name = None) -> Response:
        def read() -> dict[str, object]:
            found = self._reader.server_forecast(usecase, name or "")
            drawings = {chart.name: draw(chart) for chart in server_charts(found)}
            return {"found": found, "drawings": drawings, "weeks": WEEKS}

        return self._shown(request, "forecasts_of", f"{name or 'nothing'} of {usecase}", read)

    def tables(self, request: Request) -> Response:
        return self._shown(request, "tables", "Tables", lambda: {"tables": self._reader.tables()})

    def table(self, request: Request, usecase: str, dataset: str, page: Number = 1) -> Response:
        holder = _holder(request)

        def read() -> dict[str, object]:
            shown = self._reader.table(usecase, dataset, holder=holder, page=Page(page, _PREVIEW_ROWS))
            return {"listing": shown, "may_export": holder.role != "reader"}

        return self._shown(request, "table", f"Table {usecase}.{dataset}", read)

    def export(self, request: Request, usecase: str, dataset: str, form: Form = "csv") -> Response:
        try:
            refuse_unknown_options(request.scope, request.state.options)
            made = self._reader.export(usecase, dataset, holder=_holder(request), form=form)
        except TrunklineError as error:
            return refused(request, error)
        said = {
            "content-disposition": f'attachment; filename="{made.name}"',
            "x-trunkline-rows": f"{made.rows} of {made.total}",
            "x-trunkline-masked": ", ".join(made.masked),
        }
        return Response(made.content, media_type=made.media_type, headers={**HEADERS, **said})

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

    def _written(self, request: Request, read: Callable[[], bytes]) -> Response:
        """Give a page that a run wrote, as it is."""
        try:
            refuse_unknown_options(request.scope, request.state.options)
            return HTMLResponse(read(), headers=HEADERS)
        except TrunklineError as error:
            return refused(request, error)

    def _listed(self, request: Request, template: str, title: str, read: Callable[[], Listing[object]]) -> Response:
        return self._shown(request, template, title, lambda: {"listing": read()})

    def _shown(self, request: Request, template: str, title: str, read: Callable[[], dict[str, object]]) -> Response:
        try:
            refuse_unknown_options(request.scope, request.state.options)
            facts = {"metrics": self._reader.metrics(), **read()}
        except TrunklineError as error:
            return refused(request, error)
        return rendered(request, template, title, facts, status=200)


def _fleet_map(fleet: FleetAlarms) -> Markup:
    return site_map(fleet.placed, lambda name: link("alarms", fleet.usecase, name=name))
