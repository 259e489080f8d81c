"""Where one table is, and how to open it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.errors import UnknownNameError
from trunkline.lake import delta

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class Place:
    """Where one table is.

    Attributes:
        name: The table's name.
        uri: Its folder or URL.
        options: Options of the store.
    """

    name: str
    uri: str
    options: Mapping[str, str]

    @property
    def is_url(self) -> bool:
        """Whether it is in a store rather than in a local folder."""
        return delta.is_url(self.uri)

    def open(self, version: int | None = None) -> DeltaTable | None:
        """Open a snapshot; None when there is no table. Raises as :func:`trunkline.lake.delta.open_table`."""
        return delta.open_table(self.uri, name=self.name, options=self.options, version=version)

    def newest(self) -> DeltaTable:
        """Open the newest version.

        Raises:
            UnknownNameError: There is no such table.
        """
        opened = self.open()
        if opened is None:
            raise UnknownNameError("there is no such table", where=f"table {self.name}")
        return opened
