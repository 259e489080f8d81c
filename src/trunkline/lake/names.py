"""Names of lake tables: ``usecase.dataset``, which are folders below the lake's root.

Takes a name, gives its parts, refuses what is no name. Only lower-case ASCII letters, digits and underscores: the same
name is a folder on every file system and an identifier in every engine.
"""

import re

from trunkline.errors import InputError

_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*\Z")
_LONGEST = 200


def parts(table: str) -> tuple[str, ...]:
    """Split a table's name into its folders.

    Args:
        table: A name such as ``churn.subscribers``.

    Returns:
        The folders below the root, outermost first.

    Raises:
        InputError: It is not a table's name.

    >>> parts("churn.subscribers")
    ('churn', 'subscribers')
    """
    if len(table) > _LONGEST or not _NAME.match(table):
        raise InputError(
            "that is not the name of a lake table",
            where=table[:_LONGEST],
            allowed=("lower-case letters, digits and _ in parts joined by dots, e.g. churn.subscribers",),
        )
    return tuple(table.split("."))


def ancestors(table: str) -> tuple[str, ...]:
    """Names whose folders hold this table's folder.

    >>> ancestors("a.b.c")
    ('a', 'a.b')
    """
    folders = parts(table)
    return tuple(".".join(folders[:depth]) for depth in range(1, len(folders)))
