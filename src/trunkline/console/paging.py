"""Parts of long lists: which rows a page shows, and how many pages there are."""

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["PAGE_ROWS", "Listing", "Page"]

Row_co = TypeVar("Row_co", covariant=True)

PAGE_ROWS = 100
"""Rows of one page; further ones are on the next."""


@dataclass(frozen=True)
class Page:
    """A part of a long list.

    Attributes:
        number: From 1.
        rows: Rows of a page.
    """

    number: int = 1
    rows: int = PAGE_ROWS

    @property
    def offset(self) -> int:
        """Rows before the page."""
        return (self.number - 1) * self.rows


@dataclass(frozen=True)
class Listing(Generic[Row_co]):
    """One page of a list.

    Attributes:
        rows: The rows of the page.
        total: Rows of the whole list.
        page: Which page it is.
    """

    rows: tuple[Row_co, ...]
    total: int
    page: Page

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // self.page.rows))
