"""The exceptions of Trunkline, by whose fault they are.

::

    TrunklineError
    ├── AuthorError            the use case or the settings are wrong; mend the code
    │   ├── ContractError      a contract's class is malformed                   (exit code 2)
    │   ├── UseCaseError       a use case is malformed, or two have one name     (exit code 2)
    │   └── MissingExtraError  an optional dependency is not installed           (exit code 2)
    ├── InputError             what was handed in is wrong; mend the input          (exit code 2)
    │   ├── SourceError        missing, unreadable, truncated or empty source
    │   ├── SchemaError        a source lacks columns, or has too many claims on one
    │   │   └── MappingError   a mapping of columns names what is not there
    │   ├── RowsRefusedError   rows break their contract (raised by ``validate``)
    │   ├── LabelError         the label cannot be learned from
    │   ├── UnknownNameError   no such use case, run, model, table, dataset
    │   └── TamperedError      a stored model or ledger is not what was written
    ├── GateRefusedError       a candidate failed its evidence                      (exit code 3)
    ├── BusyError              somebody else holds the run or the table             (exit code 2)
    │   └── BatchBusyError     somebody else takes the same batch in; others go on
    └── WorldError             the world failed; the only class that is retried     (exit code 1)
        ├── ConflictError      a concurrent commit won
        └── UnavailableError   a server, disk or network did not answer
            └── FullError      it takes nothing more until others have caught up

An exception carries facts and renders its text late and bounded: *what* happened, *where*, what is *allowed*, what to
do *next*. Neither facts nor text may hold subscriber data or secrets.
"""

from collections.abc import Iterable, Sequence
from typing import Self

__all__ = [
    "AuthorError",
    "BatchBusyError",
    "BusyError",
    "ConflictError",
    "ContractError",
    "FullError",
    "GateRefusedError",
    "InputError",
    "LabelError",
    "MappingError",
    "MissingExtraError",
    "RowsRefusedError",
    "SchemaError",
    "SourceError",
    "TamperedError",
    "TrunklineError",
    "UnavailableError",
    "UnknownNameError",
    "UseCaseError",
    "WorldError",
    "listed",
]

_MOST_VALUES = 12
_LONGEST_TEXT = 400


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def listed(values: Sequence[str]) -> str:
    """Put values into one text: the first dozen, and how many more there are.

    >>> listed(["a", "b"])
    'a, b'
    >>> listed([str(number) for number in range(5_000)])
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 4988 more'
    """
    more = len(values) - _MOST_VALUES
    return f"{_bounded(', '.join(values[:_MOST_VALUES]))}{f' and {more} more' if more > 0 else ''}"


class TrunklineError(Exception):
    """Base of all exceptions that Trunkline raises on purpose.

    Attributes:
        what: What happened, one sentence without a full stop.
        where: The file, table, field or setting it happened in; empty when there is none.
        allowed: The values that would have been accepted; rendered up to a dozen.
        next_step: What the reader can do about it; empty when there is nothing to say.
        exit_code: The exit code of the command line for this class.
    """

    exit_code: int = 1

    def __init__(self, what: str, *, where: str = "", allowed: Iterable[str] = (), next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.allowed = tuple(allowed)
        self.next_step = next_step

    def at(self, where: str) -> Self:
        """Give the same error in another place; this one stays as it is, since several files may share it."""
        # copy.copy would call the class with ``args`` alone, which those with facts of their own refuse
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        other.where = where
        return other

    def __str__(self) -> str:
        """Render the four facts, one line each, bounded in length."""
        return self.rendered([self.where])

    def rendered(self, places: Iterable[str]) -> str:
        """Render the four facts of an error that happened in several places, one line each and one per place.

        Args:
            places: What stands for ``where``; empty ones are left out, and those after a dozen are counted.
        """
        named = [place for place in places if place]
        lines = [_bounded(self.what), *(f"  where:   {_bounded(place)}" for place in named[:_MOST_VALUES])]
        if len(named) > _MOST_VALUES:
            lines.append(f"           and {len(named) - _MOST_VALUES} more")
        if self.allowed:
            lines.append(f"  allowed: {listed(self.allowed)}")
        if self.next_step:
            lines.append(f"  next:    {_bounded(self.next_step)}")
        return "\n".join(lines)


class AuthorError(TrunklineError):
    """The code or configuration of a use case is wrong."""


class ContractError(AuthorError):
    """A contract's class is malformed; raised when the class is made."""

    exit_code = 2


class UseCaseError(AuthorError):
    """A use case is malformed, cannot be imported, or its name is taken."""

    exit_code = 2


class MissingExtraError(AuthorError):
    """An optional dependency is not installed.

    Attributes:
        extra: The extra of the ``trunkline`` package that brings it.
    """

    exit_code = 2

    def __init__(self, module: str, *, extra: str) -> None:
        super().__init__(
            f"the Python package {module!r} is not installed", next_step=f"pip install 'trunkline[{extra}]'"
        )
        self.extra = extra


class InputError(TrunklineError):
    """What was handed in is wrong."""

    exit_code = 2


class SourceError(InputError):
    """A source is missing, unreadable, truncated or empty."""


class SchemaError(InputError):
    """The columns of a source do not fit the contract."""


class MappingError(SchemaError):
    """A mapping from source columns to fields names a column or a field that is not there.

    Attributes:
        column: The source column, as the mapping spells it.
        field: The field, as the mapping spells it.
    """

    def __init__(
        self, what: str, *, column: str, field: str, where: str = "", allowed: Iterable[str] = (), next_step: str = ""
    ) -> None:
        super().__init__(what, where=where, allowed=allowed, next_step=next_step)
        self.column = column
        self.field = field


class RowsRefusedError(InputError):
    """Rows break their contract.

    Attributes:
        reasons: How many rows failed for each reason.
        read: Rows of a batch that was stopped over its reject budget; None where it was none.
        broken: Rows of it that broke their contract; likewise.
        budget: The largest share of them that was allowed, in [0, 1]; likewise.
    """

    def __init__(
        self,
        what: str,
        *,
        reasons: dict[str, int],
        read: int | None = None,
        broken: int | None = None,
        budget: float | None = None,
        where: str = "",
        allowed: Iterable[str] = (),
        next_step: str = "",
    ) -> None:
        super().__init__(what, where=where, allowed=allowed, next_step=next_step)
        self.reasons = dict(reasons)
        self.read = read
        self.broken = broken
        self.budget = budget


class LabelError(InputError):
    """The label cannot be learned from, e.g. it has one class."""


class UnknownNameError(InputError):
    """There is no use case, run, model, table or dataset of that name."""


class TamperedError(InputError):
    """A stored file is not what was written: corrupt, truncated or changed."""


class GateRefusedError(TrunklineError):
    """A candidate failed its evidence.

    Attributes:
        failed: Names of the gates that refused, in their order.
    """

    exit_code = 3

    def __init__(self, what: str, *, failed: Iterable[str], where: str = "", next_step: str = "") -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.failed = tuple(failed)


class BusyError(TrunklineError):
    """Somebody else holds the lock.

    Attributes:
        holder: Who holds it: host, process and since when.
    """

    exit_code = 2

    def __init__(self, what: str, *, holder: str, where: str = "", next_step: str = "") -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.holder = holder


class BatchBusyError(BusyError):
    """Somebody else takes the same batch in; other batches are free."""


class WorldError(TrunklineError):
    """The world failed; trying again may help."""


class ConflictError(WorldError):
    """A concurrent commit won."""


class UnavailableError(WorldError):
    """A server, disk or network did not answer."""


class FullError(UnavailableError):
    """A queue or log takes nothing more until its consumers have caught up."""
