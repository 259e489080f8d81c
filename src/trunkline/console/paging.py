"""Parts of long lists: which rows a page shows."""

from dataclasses import dataclass

__all__ = ["PAGE_ROWS", "Page"]

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
