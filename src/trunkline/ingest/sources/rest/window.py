"""Where a pull stands: a window of time, and the page in it. Values in, values out; nothing here talks to a server."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trunkline.errors import SourceError
from trunkline.ingest.sources.protocol import Position
from trunkline.ingest.sources.rest.exchange import Answer
from trunkline.ingest.sources.rest.records import ABSENT, at_path
from trunkline.spec.rest import CursorPaging, LinkPaging, OffsetPaging, PagePaging, Paging

__all__ = ["Page", "Times", "Window", "first_page", "following", "page_params", "said_total"]

_END: Final = None
Page = str | int | None
"""Names a page: its number, offset, cursor or address; None where the first has no name, and behind the end."""
Times = tuple[datetime | None, str | None]
"""The newest time of rows, and rows by step; None without them."""


@dataclass(frozen=True)
class Window:
    """All pages that answer one question.

    Attributes:
        since: Time from which rows were asked for, ISO and UTC, before the overlap; None at the first pull.
        newest: Newest time that its rows had so far; None without ``since``.
        page: The page to ask for next.
        rows: How many rows its pages gave.
        page_sha256: Of the newest page that landed, of this window or the one before.
        steps: Rows by step of time, where the source tells gaps; see ``Steps``.
        asked: Time from which rows were asked for, where a gap or a step lies before the overlap; ISO and UTC.
        until: Time up to which rows were asked for, the same for all pages, where servers want it; ISO and UTC.
        before: What ``since`` was when gaps were asked for last; written down with a gap alone.
        gap: Whether it asks for a gap, from ``asked`` to ``until``: ``since`` then stays as it is.
    """

    since: str | None = None
    newest: str | None = None
    page: Page = None
    rows: int = 0
    page_sha256: str | None = None
    steps: str | None = None
    asked: str | None = None
    until: str | None = None
    before: str | None = None
    gap: bool = False

    @classmethod
    def read(cls, position: Position | None, paging: Paging) -> "tuple[Window, bool]":
        """Read a position.

        Returns:
            The window, and whether it was cut and goes on. A window whose pages were counted in another way than is
            declared now begins again.
        """
        if position is None:
            return cls(page=first_page(paging)), False
        since, newest = _text(position.get("since")), _text(position.get("newest"))
        digest, steps = _text(position.get("page_sha256")), _text(position.get("steps"))
        page, gap, before = position.get("page"), position.get("gap") is True, _text(position.get("before"))
        if isinstance(page, str | int) and position.get("paging") == _counted_by(paging):
            asked = _text(position.get("asked"))
            until = _text(position.get("until"))
            rows = _count(position.get("rows"))
            return cls(since, newest, page, rows, digest, steps, asked, until, before, gap), True
        ended = cls(since, newest, None, 0, digest, steps, before=before, gap=gap)
        if page is None or gap:
            return ended.next(paging), False
        return replace(ended, newest=None, page=first_page(paging)), False

    def next(self, paging: Paging) -> "Window":
        """Give the window after this one, which has ended."""
        begins, before = (self.since, self.before) if self.gap else (self.newest or self.since, self.since)
        return Window(begins, None, first_page(paging), 0, self.page_sha256, self.steps, before=before)

    def is_of_gap(self, at: datetime) -> bool:
        """Say whether an instant lies in the gap that is asked for; servers may give more."""
        assert self.asked is not None
        assert self.until is not None
        return datetime.fromisoformat(self.asked) <= at < datetime.fromisoformat(self.until)

    def position(self, paging: Paging) -> Position:
        """Write it down."""
        return {
            "since": self.since,
            "newest": self.newest,
            "page": self.page,
            "rows": self.rows,
            "page_sha256": self.page_sha256,
            "paging": _counted_by(paging),
            **({} if self.steps is None else {"steps": self.steps, "asked": self.asked}),
            **({} if self.until is None else {"until": self.until}),
            **({"gap": True, "before": self.before} if self.gap else {}),
        }

    def after(self, *, content: bytes, rows: int, page: Page, times: "Times") -> "Window":
        """Give the window behind a page.

        Args:
            content: What landed.
            rows: How many records the server gave.
            page: The next page.
            times: The newest time of its rows, and the rows by step so far.
        """
        newest, steps = times
        known = self.newest
        if newest is not None:
            at = newest.isoformat()
            known = at if known is None or datetime.fromisoformat(known) < newest else known
        return replace(
            self, newest=known, page=page, rows=self.rows + rows, page_sha256=sha256(content), steps=steps or self.steps
        )

    def unsure(self, before: "Window", *, paging: Paging, rows: int) -> "Window":
        """Give the window as the next pull should find it where nobody knows what comes after its newest page.

        A numbered page that is not full may be the last one, and get more rows until then: it is asked for again.

        Args:
            before: The window before its newest page.
            paging: As declared.
            rows: How many rows that page has.
        """
        if not isinstance(paging, PagePaging) or (paging.size_param and rows >= paging.size):
            return self
        return replace(self, page=before.page, rows=before.rows, steps=before.steps)


def sha256(content: bytes) -> str:
    """Hash a page."""
    return hashlib.sha256(content).hexdigest()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _counted_by(paging: Paging) -> str:
    """Name what a page's number means: pages of another size have other rows."""
    return f"page/{paging.size}" if isinstance(paging, PagePaging) else paging.kind


def first_page(paging: Paging) -> Page:
    """Name the first page."""
    if isinstance(paging, PagePaging):
        return paging.first
    return 0 if isinstance(paging, OffsetPaging) else None


def page_params(paging: Paging, page: Page) -> Mapping[str, str | int]:
    """Give the parameters that ask for a page."""
    if not isinstance(paging, PagePaging | OffsetPaging | CursorPaging):
        return {}
    asked: dict[str, str | int] = {paging.size_param: paging.size} if paging.size_param else {}
    return asked if page is None else {**asked, paging.param: page}


def said_total(paging: Paging, document: object) -> int | None:
    """Give the number of all rows, where the answer tells it."""
    if not isinstance(paging, PagePaging | OffsetPaging) or not paging.total:
        return None
    total = at_path(document, paging.total)
    if isinstance(total, str) and total.isascii() and total.isdigit():
        return int(total[:18])
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def following(
    paging: Paging,
    window: Window,
    *,
    answer: Answer,
    records: Sequence[object],
    where: str,
    link: Callable[[str], str],
) -> Page:
    """Name the page after an answer.

    Args:
        paging: As declared.
        window: Before the answer.
        answer: The answer.
        records: Its records.
        where: The address, for messages.
        link: Makes of the address of a next page what may be kept.

    Returns:
        Its name; None when there is none.

    Raises:
        SourceError: The answer leads to itself.
    """
    if isinstance(paging, PagePaging | OffsetPaging):
        total = said_total(paging, answer.document)
        is_short = paging.stop == "short" and len(records) < paging.size
        if not records or is_short or (total is not None and window.rows + len(records) >= total):
            return _END
        assert isinstance(window.page, int)
        return window.page + (1 if isinstance(paging, PagePaging) else len(records))
    if isinstance(paging, CursorPaging):
        page = _cursor(paging, answer, records, where=where)
    elif isinstance(paging, LinkPaging):
        named = at_path(answer.document, paging.next) if paging.next else answer.next_link
        page = link(named) if isinstance(named, str) and named else _END
    else:
        return _END
    if page is not None and page == window.page:
        if not records:  # a feed whose end has been reached
            return _END
        raise SourceError(
            "a page names itself as the next one",
            where=where,
            next_step="check `paging`: its parameter may be one that the server does not know",
        )
    return page


def _cursor(paging: CursorPaging, answer: Answer, records: Sequence[object], *, where: str) -> Page:
    if not paging.last_field:
        found = at_path(answer.document, paging.next)
    elif not records:
        return _END
    else:
        found = at_path(records[-1], paging.last_field)
        if found is ABSENT:
            raise SourceError(f"the last record has no {paging.last_field!r}", where=where, next_step="check `paging`")
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    is_name = isinstance(found, str | int) and not isinstance(found, bool) and found != ""
    return found if is_name and isinstance(found, str | int) else _END
