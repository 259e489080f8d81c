"""Where one table is, and how to open it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import UnavailableError, UnknownNameError
from trunkline.lake import delta

if TYPE_CHECKING:
    from deltalake import DeltaTable

_LOGGED: Final = re.compile(r"\d{20}\.(json|checkpoint(\..+)?\.parquet)")
"""A commit of a Delta log, or what stands for those before it."""


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

    def exists(self) -> bool:
        """Say whether there is a table; in a folder a look at the names in its log is enough.

        Raises:
            UnavailableError: The store did not answer.
        """
        if self.is_url:
            return self.open() is not None
        try:
            return any(_LOGGED.fullmatch(entry.name) for entry in Path(self.uri, "_delta_log").iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise UnavailableError(
                f"the table {self.name!r} cannot be read: {error.strerror}", where=self.uri
            ) from None

    def newest(self) -> DeltaTable:
        """Open the newest version.

        Raises:
            UnknownNameError: There is no such table.
        """
        opened = self.open()
        if opened is None:
            raise UnknownNameError("there is no such table", where=f"table {self.name}")
        return opened
