"""``--csv KEY=VALUE``: what a command line says of the dialect of CSV files."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from trunkline.spec.dialect import CsvDialect

__all__ = ["Csv", "dialect_of"]

Csv = Annotated[
    tuple[str, ...],
    Parameter(
        name="--csv",
        negative="",
        show_default=False,
        help="Dialect of the CSV files, KEY=VALUE, e.g. delimiter=; or encoding=cp1251; may be given again.",
    ),
]
"""The option of a command."""


def dialect_of(said: tuple[str, ...]) -> "CsvDialect | None":
    """What options say of the dialect of CSV files; None where they say nothing.

    Raises:
        InputError: One of them says nothing of a dialect.
    """
    from pydantic import ValidationError

    from trunkline.errors import InputError
    from trunkline.settings.refusals import dialect_refusal
    from trunkline.spec.dialect import CsvDialect

    if not said:
        return None
    what, where = "--csv says nothing of a dialect", "the command line"
    told = dict(option.partition("=")[::2] for option in said if "=" in option)
    if len(told) != len(said):
        allowed = [f"{name}=..." for name in CsvDialect.model_fields]
        raise InputError(f"{what}: each option once, KEY=VALUE", where=where, allowed=allowed)
    try:
        return CsvDialect.model_validate(told)
    except ValidationError as error:
        next_step = "see `ingest.csv` in docs/settings.md for what each key takes"
        raise dialect_refusal(error, what, where=where, next_step=next_step) from None
