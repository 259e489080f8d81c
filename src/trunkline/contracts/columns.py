"""What can be said of a table and of its columns: plain frozen data, read off a contract's class.

Nothing is executed here: ``judging`` and ``trunkline.checks`` turn it into verdicts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final, Literal

from pydantic import Field

from trunkline.contracts.expressions import Expr
from trunkline.contracts.kinds import KindName
from trunkline.contracts.privacy import Form, Kept, Pii
from trunkline.contracts.retention import KeepRows
from trunkline.contracts.written import WrittenName

__all__ = [
    "LONGEST_TEXT",
    "NULL_TOKENS",
    "Column",
    "Keep",
    "Missing",
    "Reference",
    "Rule",
    "Said",
    "Table",
    "Unique",
    "field",
]

NULL_TOKENS: Final = ("", "NA", "N/A", "NULL", "null", "None", "NaN", "nan", "?")
"""Texts that mean null unless a table says otherwise; compared after trimming."""

LONGEST_TEXT: Final = 10_000
"""Characters (code points) a text may have unless its field says otherwise."""

Keep = Literal["first", "last"]
"""Which of several rows with one key is kept: the first or the last of a batch."""

Unique = Literal["batch", "table"]
"""Among which rows a key counts as repeated."""

Missing = Literal["null", "quarantine", "refuse"]
"""What becomes of a source that lacks a column, see :attr:`Table.on_missing_column`."""


@dataclass(frozen=True)
class Rule:
    """A condition over the columns of one row.

    Attributes:
        name: Identifies the rule in reasons; unique within its contract.
        condition: Broken where it is false; null passes.
        message: What a person reads in the quarantine.
    """

    name: str
    condition: Expr
    message: str = ""


@dataclass(frozen=True)
class Reference:
    """Fields of a row that name a row of another dataset. Where one of them is null, nothing is named.

    Attributes:
        columns: The fields, in the order of ``to``.
        dataset: A dataset of the same use case, or a derived table of it.
        to: Its fields.
        missing: What becomes of a row that names what is not there: ``quarantine`` it, or take it in and ``report``
            how many there were.
        name: Identifies the reference in reasons (``reference.NAME``); the dataset's name if empty.
    """

    columns: tuple[str, ...]
    dataset: str
    to: tuple[str, ...]
    missing: Literal["quarantine", "report"] = "quarantine"
    name: str = ""

    @property
    def reason(self) -> str:
        """The reason of rows whose reference is missing."""
        return f"reference.{self.name or self.dataset}"


@dataclass(frozen=True)
class Table:
    """What is said of the table as a whole.

    Attributes:
        key: Fields that identify a row; empty when rows have no identity.
        event_at: The instant field that orders versions of a row; None when the order of arrival does.
        ordered_by: The field that orders versions of a row instead of ``event_at``: it grows with every change, like
            the place of a change in a database's log. Texts are compared by code points; null is oldest.
        deleted: The flag that is true in a row that says that its key is gone. Readers of current rows leave the key
            out; the row itself stays in the table, and an older one that comes late does not bring the key back. Of
            such a row only the key, what orders versions, and this flag must be there, whatever else is needed of
            others.
        keep: Which of several rows with one key in a batch is kept; the others count as duplicates.
        unique: Where keys are looked for. ``batch``: among the rows of a batch alone; a row whose key the table holds
            already is added, and readers take the newest. ``table``: a row whose key the table holds already counts as
            a duplicate, too, and is not added; unless ``keep`` is ``last`` and the row is newer by ``event_at`` or
            ``ordered_by``, or neither orders them, when what arrives is newer.
        null_tokens: Texts that mean null.
        rules: Conditions over several fields.
        reject_budget: Largest share of a batch's rows that may break the contract, in [0, 1]; with more of them the
            batch is stopped and nothing of it is taken in. None leaves it to the settings.
        references: Fields that name rows of other datasets.
        on_missing_column: What becomes of a source that lacks a field's column. ``null``: a field that may be null is
            null, and reported; for any other field the source is refused. ``quarantine``: the same, but without a
            field that may not be null every row goes to the quarantine. ``refuse``: it is refused whichever is missing.
        on_new_column: What becomes of a source with a column that no field claims: ``report`` it in the receipt, or
            ``refuse`` the source.
        on_two_columns: What becomes of a source in which two columns mean one field. ``refuse`` it, or ``coalesce``
            them row by row: the one that is not null counts, and a row that has both is quarantined (``field.twice``).
        most_malformed: Largest share of a batch's rows in which one column may be malformed, in [0, 1]; with more of
            them it counts as retyped, and the batch is refused. None refuses none: malformed rows are quarantined.
        keep_rows: How long rows are kept; None for ever, or as the settings say (`retention.tables`).
    """

    key: tuple[str, ...] = ()
    event_at: str | None = None
    ordered_by: str | None = None
    deleted: str | None = None
    keep: Keep = "last"
    unique: Unique = "batch"
    null_tokens: tuple[str, ...] = NULL_TOKENS
    rules: tuple[Rule, ...] = ()
    reject_budget: float | None = None
    references: tuple[Reference, ...] = ()
    on_missing_column: Missing = "null"
    on_new_column: Literal["report", "refuse"] = "report"
    on_two_columns: Literal["refuse", "coalesce"] = "refuse"
    most_malformed: float | None = None
    keep_rows: KeepRows | None = None

    @property
    def versions_by(self) -> str | None:
        """The field that orders versions of a row; None where the order of arrival does."""
        return self.ordered_by or self.event_at

    @property
    def version_order(self) -> tuple[str, ...]:
        """The same as columns to order by: one, or none."""
        return () if self.versions_by is None else (self.versions_by,)

    def spares(self, name: str) -> bool:
        """Whether a row that says that its key is gone may leave a field out.

        It has to say which row, when, and that it is gone: logs of databases tell no more of a row that was deleted.
        """
        return self.deleted is not None and name not in (*self.key, *self.version_order, self.deleted)


@dataclass(frozen=True)
class Column:
    """One field of a contract, read off its class.

    Attributes:
        name: The field's name, also the column's name in the lake.
        kind: The kind of its values.
        nullable: Whether null is allowed; a column that is not nullable must be present in a source.
        description: What it means, for people.
        unit: Unit of a number, e.g. ``months``, ``Mbit/s``; empty for pure numbers.
        minimum: Smallest allowed number, inclusive.
        maximum: Largest allowed number, inclusive.
        max_length: Most characters (code points) of a text; None means ``LONGEST_TEXT``.
        pattern: Regular expression the whole text must match, in the subset RE2, Rust and Java share.
        values: The closed set of a category.
        aliases: Other names under which real-world sources carry the column; matched ignoring case.
        null_tokens: Texts that mean null in this column, beside the table's.
        mapping: Texts replaced after trimming and before the grammar applies, e.g. ``{"Two year": "two_year"}``.
        impute: Value that replaces null, also where null is not allowed; limits and rules see it. None imputes nothing.
        scale: Factor from the source's unit to ``unit``; a whole number must be whole afterwards.
        zone: IANA zone of instants without an offset.
        written: How days or instants are written where not as 2026-11-22, e.g. ``DD.MM.YYYY``, ``epoch_ms``. An instant
            has its clock after such a day, ``22.11.2026 10:15``.
        decimal: ``,`` where numbers are written with a decimal comma; None for a point.
        thousands: What stands between groups of three digits: ``.``, ``,`` or a space; None for nothing. With ``.`` a
            number of JSON like 1.125 is read as 1125, too: what counts is its text.
        pii: Identifier type of personal data (``subscriber``, ``phone``, ...); empty for none.
        keep: What the lake holds of it, see :class:`~trunkline.contracts.privacy.Pii`.
        form: Its canonical form, of which pseudonyms are made; ``as_is`` where the value is kept in clear.
        country: Calling code of national numbers in that form.
    """

    name: str
    kind: KindName
    nullable: bool
    description: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    null_tokens: tuple[str, ...] = ()
    mapping: Mapping[str, str] = dataclass_field(default_factory=dict)
    impute: str | int | float | bool | None = None
    scale: float | None = None
    zone: str | None = None
    written: WrittenName | None = None
    decimal: str | None = None
    thousands: str | None = None
    pii: str = ""
    keep: Kept = "clear"
    form: Form = "as_is"
    country: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether a row must have a value: null is not allowed, and nothing takes its place."""
        return not self.nullable and self.impute is None

    @property
    def is_protected(self) -> bool:
        """Whether the lake holds pseudonyms instead of the values."""
        return self.keep != "clear"


@dataclass(frozen=True)
class Said:
    """What ``field`` was told, before the annotation is known."""

    unit: str
    minimum: float | None
    maximum: float | None
    max_length: int | None
    pattern: str | None
    aliases: tuple[str, ...]
    null_tokens: tuple[str, ...]
    mapping: Mapping[str, str]
    impute: str | int | float | bool | None
    scale: float | None
    zone: str | None
    written: WrittenName | None
    decimal: str | None
    thousands: str | None
    pii: str
    keep: Kept
    form: Form
    country: str


def field(  # noqa: PLR0913 - one keyword per thing that can be said of a column
    description: str = "",
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    aliases: Sequence[str] = (),
    null_tokens: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    impute: str | float | bool | None = None,
    scale: float | None = None,
    zone: str | None = None,
    written: WrittenName | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    pii: str | Pii = "",
) -> Any:  # noqa: ANN401 - like pydantic.Field, it stands where a value of the field's type is expected
    """Say more about a field than its type does; see :class:`Column` for each keyword.

    A nullable field (``Number | None``) may be absent from a source or message and is null then.
    """
    personal = Pii(pii) if isinstance(pii, str) else pii
    is_protected = personal.keep != "clear"
    said = Said(
        unit=unit,
        minimum=minimum,
        maximum=maximum,
        max_length=max_length,
        pattern=pattern,
        aliases=tuple(aliases),
        null_tokens=tuple(null_tokens),
        mapping=dict(mapping or {}),
        impute=impute,
        scale=scale,
        zone=zone,
        written=written,
        decimal=decimal,
        thousands=thousands,
        pii=personal.kind,
        keep=personal.keep,
        form=personal.spelled if is_protected else "as_is",
        country=personal.country if is_protected else "",
    )
    info: Any = Field(description=description or None)
    info.metadata.append(said)
    return info
