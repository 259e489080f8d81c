"""Pages of a REST API: each page with records is a piece, and its position says which page comes next.

A pull that was cut goes on at the next page of the same window, and then with the next window. What landed is never
asked for again, except where that is the safe side: the overlap of ``since``, a cursor that names no successor.
"""

import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import SourceError, UnavailableError
from trunkline.ingest.sources.protocol import Position, Pulled
from trunkline.ingest.sources.rest.calling import Caller
from trunkline.ingest.sources.rest.exchange import Answer, Asked, Timing, plain
from trunkline.ingest.sources.rest.links import Links
from trunkline.ingest.sources.rest.records import as_document, list_in, time_text, times_in
from trunkline.ingest.sources.rest.steps import Steps
from trunkline.ingest.sources.rest.window import Page, Times, Window, following, page_params, sha256
from trunkline.ingest.unfolding import taken_apart
from trunkline.spec.rest import CursorPaging, LinkPaging, PagePaging, Since
from trunkline.spec.sources import RestSource

if TYPE_CHECKING:
    from trunkline.spec import Unwrap

__all__ = ["RestPages"]

_logger = logging.getLogger(__name__)

_MOST_REPEATS: Final = 3
"""A last page may come again where rows are inserted meanwhile; it lands once. So often, it is the server's answer."""


class RestPages:
    """A REST API that gives pages.

    Args:
        name: Its name.
        declared: What is said of it.
        timing: Clocks, sleep and chance.
        unwrap: Takes records apart that hold several rows each; None where a record is a row.
    """

    def __init__(self, name: str, declared: RestSource, *, timing: Timing, unwrap: "Unwrap | None" = None) -> None:
        self.name = name
        self._declared, self._timing, self._unwrap = declared, timing, unwrap
        self._where = plain(declared.url)
        Caller(declared, timing=timing).close()  # what cannot work is said now
        self._links = Links(declared)

    def pull(self, position: Position | None, *, folder: Path) -> Iterator[Pulled]:
        """Ask for what is new; see ``Source.pull``."""
        paging, since = self._declared.paging, self._declared.since
        window, was_cut = Window.read(position, paging)
        most = self._declared.max_pages
        numbers = _Numbers(1, most, where=self._where)
        with Caller(self._declared, timing=self._timing) as caller:
            if was_cut and not window.gap:
                window, gave = yield from self._window(caller, window, folder=folder, numbers=numbers)
                is_feed = isinstance(paging, CursorPaging) and paging.keep
                if is_feed or (since is None and gave):
                    return
                window = window.next(paging)
            of_gaps = _Numbers(most + 1, max(most // 2, 1), where=self._where)
            window, refused = yield from self._gaps(caller, window, folder=folder, numbers=of_gaps)
            yield from self._window(caller, self._begun(window), folder=folder, numbers=numbers)
            if refused is not None:
                raise refused

    def _gaps(
        self, caller: Caller, window: Window, *, folder: Path, numbers: "_Numbers"
    ) -> Generator[Pulled, None, tuple[Window, SourceError | UnavailableError | None]]:
        """Ask for the gap that was cut, and for those that are due, each alone, where the server takes an end.

        Gives the window to go on with, and what was wrong with the last gap that could not be had: neither one beyond
        what the server keeps, nor many of them, may hide what is new.
        """
        since, paging = self._declared.since, self._declared.paging
        refused: SourceError | UnavailableError | None = None
        if window.gap:
            try:
                window, _ = yield from self._window(caller, window, folder=folder, numbers=numbers)
            except (SourceError, UnavailableError) as error:
                refused = error
            window = window.next(paging)
        if since is None or not since.until_param or isinstance(refused, UnavailableError):
            return window, refused
        for begin, end in self._due(window, since):
            if numbers.are_given:
                break
            steps = _steps(window, since).without(begin, end)
            asked = replace(window, asked=begin.isoformat(), until=end.isoformat(), steps=steps.text, gap=True)
            try:
                ended, _ = yield from self._window(caller, asked, folder=folder, numbers=numbers)
            except SourceError as error:
                refused = error
            except UnavailableError as error:
                return window, error
            else:
                window = ended.next(paging)
        return window, refused

    def _due(self, window: Window, since: Since) -> tuple[tuple[datetime, datetime], ...]:
        """Give begin and end of the gaps that are due and lie before what is asked for anyway."""
        if since.step is None or window.since is None:
            return ()
        anyway = _overlap_begin(window, since)
        before = datetime.fromisoformat(window.before) if window.before else None
        found = _steps(window, since).due(before, share=since.gap_share)
        due = tuple((begin, min(end, anyway)) for begin, end in found if begin < anyway)
        if due:
            told = {"since": due[0][0].isoformat(), "until": due[-1][1].isoformat(), "gaps": len(due)}
            _logger.warning("gaps asked for again", extra={"source": self.name, **told})
        return due

    def _window(
        self, caller: Caller, window: Window, *, folder: Path, numbers: "_Numbers"
    ) -> Generator[Pulled, None, tuple[Window, bool]]:
        """Give the pages of a window from where it stands; returns it as it was left, and whether it gave any.

        A page is held back until the next answer is there: only then is it known whether the window ends with it. A
        window that ended must not go on later, when its last page may have got more rows.
        """
        paging = self._declared.paging
        held: Pulled | None = None
        unsure: Position = {}
        repeats, is_first, gave = 0, True, False
        while True:
            try:
                number = numbers.next()
                records, page = self._answer(caller, window)
                rows = list(taken_apart(records, unwrap=self._unwrap))
                content = as_document(rows)
                is_known = bool(rows) and sha256(content) == window.page_sha256
                repeats = repeats + 1 if is_known and not is_first else 0
                if repeats == _MOST_REPEATS:
                    raise self._repeated()
                times = self._times(rows, window) if rows else (None, None)
            except (SourceError, UnavailableError):
                if held is not None:
                    yield replace(held, position=unsure)
                raise
            if rows and not is_known and held is not None:
                yield held
                held = None
            after = replace(window, page=page, rows=window.rows + len(records)) if records else window
            if rows:
                after = window.after(content=content, rows=len(records), page=page, times=times)
            if rows and not is_known:
                path = folder / f"{number}.json"
                path.write_bytes(content)
                gave = True
                held = Pulled(path, self._origin(window, rows=len(records)), after.position(paging))
                unsure = after.unsure(window, paging=paging, rows=len(records)).position(paging)
            if page is None:
                # a feed without a successor has no end: it is asked from the same cursor again
                is_feed = isinstance(paging, CursorPaging) and paging.keep
                end = replace(after, page=window.page if is_feed else None)
                if held is not None:
                    yield replace(held, position=end.position(paging))
                return end, gave
            window, is_first = replace(after, page=page), False

    def _answer(self, caller: Caller, window: Window) -> tuple[list[object], Page]:
        """Ask for the page at which a window stands; gives its records, and what comes after it."""
        declared = self._declared
        answer = caller.page(self._asked(window))
        if answer.status == 404:
            return [], None
        records = list_in(
            answer.document, declared.records, where=self._where, omitted_is_empty=declared.omitted_is_empty
        )
        link = partial(self._link, answer=answer, secrets=caller.auth_secrets())
        return records, following(declared.paging, window, answer=answer, records=records, where=self._where, link=link)

    def _repeated(self) -> SourceError:
        return SourceError(
            f"{_MOST_REPEATS + 1} pages after one another are the same",
            where=self._where,
            next_step="check `paging`: its parameter may be one that the server does not know",
        )

    def _asked(self, window: Window) -> Asked:
        """Make the request for the page at which a window stands."""
        declared, paging = self._declared, self._declared.paging
        accepts = frozenset((404,)) if isinstance(paging, PagePaging) and paging.missing_ends else frozenset[int]()
        accepts = accepts if window.rows else frozenset()
        if isinstance(paging, LinkPaging) and isinstance(window.page, str):
            return Asked(self._links.whole(window.page), method=declared.method, json=declared.body)
        extra = {**page_params(paging, window.page), **self._since_params(window)}
        if declared.params_in == "query":
            params = {**declared.params, **extra}
            return Asked(declared.url, method=declared.method, params=params, json=declared.body, accepts=accepts)
        body: dict[str, object] = dict(declared.body or {})
        for name, value in extra.items():
            body = _with(body, name.split("."), value)
        return Asked(declared.url, method=declared.method, params=declared.params, json=body, accepts=accepts)

    def _since_params(self, window: Window) -> Mapping[str, str | int]:
        since = self._declared.since
        if since is None:
            return {}
        form = since.param_format or since.format
        until = self._timing.now() if window.until is None else datetime.fromisoformat(window.until)
        asked = {since.until_param: time_text(until, form)} if since.until_param else {}
        if window.since is None:
            return asked if since.first is None else {**asked, since.param: since.first}
        begin = datetime.fromisoformat(window.asked or window.since)
        return {**asked, since.param: time_text(begin if window.asked else begin - since.overlap, form)}

    def _begun(self, window: Window) -> Window:
        """Let a window end now; without an end to say, it begins with the earliest gap that is due."""
        since = self._declared.since
        if since is not None and since.until_param:
            window = replace(window, until=self._timing.now().isoformat())
        if since is None or since.step is None or window.since is None:
            return window
        begin = _overlap_begin(window, since)
        if not since.until_param:
            begin = min((begin, *(gap for gap, _ in self._due(window, since))))
        return replace(window, asked=begin.isoformat(), steps=_steps(window, since).before(begin).text)

    def _times(self, rows: list[object], window: Window) -> Times:
        """Give the newest time of rows, and rows by step; one that lies ahead does not hide what comes until then.

        Of a gap only its own rows count, and none is news.
        """
        since, now = self._declared.since, self._timing.now()
        if since is None:
            return None, None
        times = times_in(rows, since, where=self._where)
        newest = None if window.gap else min(max(times), now)
        if since.step is None:
            return newest, None
        counted = (at for at in times if (window.is_of_gap(at) if window.gap else at <= now))
        return newest, _steps(window, since).counted(counted).text

    def _link(self, page: str, *, answer: Answer, secrets: tuple[str, ...]) -> str:
        """Make the address of the next page whole, and take the credentials out of it."""
        import httpx2

        home = httpx2.URL(self._declared.url)
        try:
            url = httpx2.URL(answer.url).join(page)
        except httpx2.InvalidURL:
            raise SourceError("the address of the next page is malformed", where=self._where) from None
        if (url.scheme, url.host, url.port) != (home.scheme, home.host, home.port) or url.userinfo:
            raise SourceError(
                "the next page lies on another server",
                where=f"{self._where}, which names {plain(str(url.copy_with(userinfo=b'')))}",
                next_step="declare the address of that server, if it is the right one",
            )
        return self._links.kept(url, secrets=secrets)

    def _origin(self, window: Window, *, rows: int) -> str:
        since = f" since {window.since}" if window.since else ""
        since = f" from {window.asked} to {window.until}" if window.gap else since
        return f"{self._where}{since}, rows {window.rows + 1} to {window.rows + rows}"


class _Numbers:
    """Numbers pages of one pull, up to a limit."""

    def __init__(self, first: int, most: int, *, where: str) -> None:
        self._first, self._most, self._where, self._given = first, most, where, 0

    @property
    def are_given(self) -> bool:
        """Whether none is left."""
        return self._given == self._most

    def next(self) -> int:
        if self.are_given:
            raise SourceError(
                f"it has more than {self._most:,} pages",
                where=self._where,
                next_step="check that its paging ends; if it does, raise `max_pages`, or pull again: it goes on there",
            )
        self._given += 1
        return self._first + self._given - 1


def _steps(window: Window, since: Since) -> Steps:
    """Give the rows by step that a window knows of."""
    assert since.step is not None
    return Steps.read(window.steps, width=since.step, reach=since.reach)


def _overlap_begin(window: Window, since: Since) -> datetime:
    """Give the begin of the step in which the overlap of a window begins."""
    assert window.since is not None
    return _steps(window, since).begin_of(datetime.fromisoformat(window.since) - since.overlap)


def _with(body: Mapping[str, object], names: list[str], value: object) -> dict[str, object]:
    """Give a body with a value at a path."""
    if len(names) == 1:
        return {**body, names[0]: value}
    inner = body.get(names[0])
    return {**body, names[0]: _with(inner if isinstance(inner, dict) else {}, names[1:], value)}
