"""The records of an answer: where they stand, what they say of time, and how they are written down.

An answer is JSON in some envelope. The records become a JSON document of their own, an array with one record a line as
it came; the envelope is not kept. Nothing here talks to a server.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from trunkline.errors import SourceError
from trunkline.spec.rest import Since

__all__ = ["ABSENT", "as_document", "at_path", "list_in", "time_text", "times_in"]

ABSENT: Final = object()
"""Stands for a path that leads nowhere."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT: Final = {"epoch_s": timedelta(seconds=1), "epoch_ms": timedelta(milliseconds=1)}
_MOST_NAMES: Final = 12


def at_path(document: object, path: str) -> object:
    """Follow a dotted path; a name that holds dots itself (``@odata.nextLink``) is found too.

    Returns:
        What stands there, or ``ABSENT``.
    """
    if not isinstance(document, dict):
        return ABSENT
    if path in document:
        return document[path]
    place = path.find(".")
    while place >= 0:
        if path[:place] in document:
            found = at_path(document[path[:place]], path[place + 1 :])
            if found is not ABSENT:
                return found
        place = path.find(".", place + 1)
    return ABSENT


def list_in(document: object, path: str | None, *, where: str, omitted_is_empty: bool = False) -> list[object]:
    """Find the records of an answer.

    Args:
        document: The answer; None for one without a body.
        path: Dotted; ``.`` is the whole answer; None takes the whole answer if it is a list, else the only list in it.
        where: The address, for messages.
        omitted_is_empty: Whether an absent list stands for no records.

    Returns:
        The records; an object where a list could stand is one record.

    Raises:
        SourceError: There is no such list, or it does not hold objects with names.
    """
    if document is None:
        return []
    found = document if path == "." else _only_list(document, where) if path is None else at_path(document, path)
    if found is ABSENT and omitted_is_empty:
        return []
    if found is None:
        return []
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise SourceError(
            f"the answer has no list at {path!r}",
            where=where,
            allowed=_names(document),
            next_step="name the list in `records`; `omitted_is_empty` is for servers that leave an empty list out",
        )
    if found and not any(isinstance(record, dict) and record for record in found):
        raise SourceError("the records of the answer are no objects", where=where, next_step="check `records`")
    return found


def _only_list(document: object, where: str) -> object:
    if isinstance(document, list) or not isinstance(document, dict):
        return document
    lists = [name for name, value in document.items() if isinstance(value, list)]
    if len(lists) != 1:
        raise SourceError(
            f"the answer has {len(lists)} lists, and `records` does not say which",
            where=where,
            allowed=lists or _names(document),
            next_step="name the path in `records`; '.' is the whole answer",
        )
    return document[lists[0]]


def _names(document: object) -> tuple[str, ...]:
    names = [str(name)[:40] for name in document] if isinstance(document, dict) else []
    return tuple(names[:_MOST_NAMES])


def as_document(records: Iterable[object]) -> bytes:
    """Write records as a JSON array, one a line, in the order in which they came."""
    import orjson

    return b"[" + b",\n".join(orjson.dumps(record) for record in records) + b"]\n"


def times_in(records: Sequence[object], since: Since, *, where: str) -> list[datetime]:
    """Read the times of records.

    Args:
        records: At least one.
        since: The field and how it is written.
        where: The address, for messages.

    Returns:
        UTC. Records without a readable time are passed over; their rows are judged by the contract as all others.

    Raises:
        SourceError: Not one of them has a readable time, so that the next pull would not know where to begin.
    """
    times = [at for record in records if (at := _time(at_path(record, since.field), since.format)) is not None]
    if not times:
        raise SourceError(
            f"no record has a time ({since.format}) in {since.field!r}",
            where=where,
            next_step="check `since`: its field and its format",
        )
    return times


def _time(value: object, form: str) -> datetime | None:
    try:
        if form == "iso":
            if not isinstance(value, str):
                return None
            at = datetime.fromisoformat(value.strip())
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        number = float(value)
        return _EPOCH + _UNIT[form] * number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def time_text(at: datetime, form: str) -> str | int:
    """Write a time as a parameter; fractions that the form cannot hold are cut off, so that nothing is left out.

    >>> time_text(datetime(2026, 3, 1, 12, tzinfo=UTC), "iso")
    '2026-03-01T12:00:00Z'
    >>> time_text(datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC), "epoch_s")
    1772366400
    """
    if form == "iso":
        return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return (at - _EPOCH) // _UNIT[form]
