"""Whose a table or a view of a database is: what somebody else keeps there is never replaced."""

import re
from typing import TYPE_CHECKING

from trunkline.errors import InputError
from trunkline.publish.protocol import Latest, Target
from trunkline.publish.sql import tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Owners"]


class Owners:
    """Says whose a table or a view is, from the list of deliveries and from the comments of tables.

    Args:
        prefix: Begins the names of the platform's own tables there.
        comments: Whether the database's tables carry the batch in their comment.
        shown: The address without the password.
    """

    def __init__(self, *, prefix: str, comments: bool, shown: str) -> None:
        self._prefix = prefix
        self._comments = comments
        self._shown = shown

    def refuse_foreign(self, connection: "Connection", target: Target) -> None:
        """Refuse a table that Trunkline did not make, or made for another use case.

        Raises:
            InputError: There is one.
        """
        import sqlalchemy as sa

        if target.shared or not tables.exists(connection, target.name):
            return
        listed, _ = tables.ledger(self._prefix)
        owners = connection.execute(sa.select(listed.c.usecase).where(listed.c.name == target.name)).scalars().all()
        if target.usecase in owners:
            return
        if not owners and self._comments and tables.noted(connection, target.name) is not None:
            return
        whose = f"belongs to the use case {owners[0]!r}" if owners else "was not made by Trunkline"
        raise InputError(
            f"there is a table {target.name!r}, and it {whose}",
            where=self._shown,
            next_step="set a `prefix` under [publish], or rename that table",
        )

    def refuse_unmade(self, connection: "Connection", name: str) -> None:
        """Refuse to drop a table beside which a new one is filled, unless a delivery that broke off left it.

        Raises:
            InputError: There is one, and Trunkline did not make it.
        """
        if not tables.exists(connection, name) or tables.noted(connection, name) is not None:
            return
        raise InputError(
            f"there is a table {name!r}, and it was not made by Trunkline",
            where=self._shown,
            next_step="rename it: rows that are replaced are filled there first",
        )

    def refuse_no_view(self, connection: "Connection", latest: Latest) -> None:
        """Refuse a table of the view's name, and a view that shows none of the use case's own tables.

        Raises:
            InputError: There is one.
        """
        import sqlalchemy as sa

        inspected, name = sa.inspect(connection), latest.name
        if name in inspected.get_table_names():
            raise InputError(
                f"there is a table {name!r} where a view is to be made",
                where=self._shown,
                next_step="set a `prefix` under [publish], or rename that table",
            )
        if name not in inspected.get_view_names():
            return
        listed, _ = tables.ledger(self._prefix)
        own = connection.execute(sa.select(listed.c.name).where(listed.c.usecase == latest.target.usecase))
        shows = set(re.findall(r"\w+", str(inspected.get_view_definition(name) or "")))
        if not shows & {str(one) for one in own.scalars()}:
            raise InputError(
                f"there is a view {name!r}, and it was not made by Trunkline for {latest.target.usecase!r}",
                where=self._shown,
                next_step="set a `prefix` under [publish], or rename that view",
            )
