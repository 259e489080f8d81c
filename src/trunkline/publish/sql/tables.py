"""Tables of use cases in a database: made from their contract, widened as it grows, never taken from anybody else.

A table belongs to Trunkline when the list of its deliveries names it. Any other table of that name is refused: what
somebody else keeps there is not ours to replace.
"""

from typing import TYPE_CHECKING, Any, Final

from trunkline.errors import InputError
from trunkline.ingest.sources.sql.address import DatabaseName
from trunkline.publish.protocol import Target
from trunkline.publish.sql.ways import column_type, ways

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

__all__ = ["declared", "exists", "ledger", "made", "noted", "refuse_unfit", "widened"]

_MADE_BY: Final = "trunkline:"


def declared(target: Target, *, database: DatabaseName, name: str = "", batch_id: str = "") -> "Table":
    """Give the table that a target needs.

    Args:
        target: The target.
        database: Says which types there are.
        name: Its name; that of the target by default.
        batch_id: Noted in its comment.
    """
    import sqlalchemy as sa

    is_keyed = bool(target.key) and target.mode != "append"
    columns = [
        sa.Column(
            column.name,
            column_type(database, column, key=target.key if is_keyed else ()),
            nullable=not (is_keyed and column.name in target.key),
            comment=f"{column.description}{f' ({column.unit})' if column.unit else ''}"[:1000] or None,
        )
        for column in target.columns
    ]
    # a unique index, not a primary key: a key may hold null
    key = [sa.PrimaryKeyConstraint(*target.key)] if is_keyed and _is_full(target) else []
    unique = [sa.UniqueConstraint(*target.key)] if is_keyed and not key else []
    for column in columns:
        if unique and column.name in target.key:
            column.nullable = True
    options: dict[str, Any] = dict(ways(database).options)
    if batch_id:
        options["comment"] = f"{_MADE_BY}{batch_id}:{target.fingerprint}"
    return sa.Table(name or target.name, sa.MetaData(), *columns, *key, *unique, **options)


def _is_full(target: Target) -> bool:
    return not any(column.nullable for column in target.columns if column.name in target.key)


def exists(connection: "Connection", name: str) -> bool:
    """Say whether there is a table of that name."""
    import sqlalchemy as sa

    return sa.inspect(connection).has_table(name)


def noted(connection: "Connection", name: str) -> tuple[str, str] | None:
    """Read batch and fingerprint from the comment of a table; None where Trunkline did not make it.

    Args:
        connection: To a database that keeps comments.
        name: A table that is there.
    """
    import sqlalchemy as sa

    comment = str(sa.inspect(connection).get_table_comment(name)["text"] or "")
    if not comment.startswith(_MADE_BY):
        return None
    batch_id, _, fingerprint = comment.removeprefix(_MADE_BY).partition(":")
    return batch_id, fingerprint


def made(connection: "Connection", table: "Table") -> None:
    """Make a table; what is there already stays."""
    table.create(connection, checkfirst=True)


def widened(connection: "Connection", table: "Table") -> tuple[str, ...]:
    """Add the columns that the table there lacks; rows of before have null in them.

    Args:
        connection: To the database.
        table: As it should be.

    Returns:
        The columns that were added.
    """
    import sqlalchemy as sa
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    there = {str(column["name"]) for column in sa.inspect(connection).get_columns(table.name)}
    missing = [column for column in table.columns if column.name not in there]
    with Operations.context(MigrationContext.configure(connection)) as operations:
        for column in missing:
            operations.add_column(
                table.name, sa.Column(column.name, column.type, nullable=True, comment=column.comment)
            )
    return tuple(column.name for column in missing)


def refuse_unfit(connection: "Connection", table: "Table", *, shown: str) -> None:
    """Refuse a table whose columns are of another family of types than the contract's, or whose key is another.

    Raises:
        InputError: It is; the first column is named.
    """
    import sqlalchemy as sa

    inspected = sa.inspect(connection)
    there = {str(column["name"]): column["type"] for column in inspected.get_columns(table.name)}
    for column in table.columns:
        found = there.get(column.name)
        if found is not None and _family(found) != _family(column.type):
            raise InputError(
                f"the column {column.name!r} there is {_family(found)}, and {_family(column.type)} by the contract",
                where=f"{shown}, table {table.name}",
                next_step="drop or rename the table there, it is filled again from the lake; or set another `prefix`",
            )
    keyed = [part for part in table.constraints if isinstance(part, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
    wanted = {tuple(sorted(str(name) for name in part.columns.keys())) for part in keyed}  # noqa: SIM118 - SQLAlchemy's
    keys = {tuple(sorted(inspected.get_pk_constraint(table.name)["constrained_columns"]))}
    keys |= {tuple(sorted(one["column_names"])) for one in inspected.get_unique_constraints(table.name)}
    if wanted - keys - {()}:
        raise InputError(
            f"the table there has another key than {', '.join(min(wanted))}",
            where=f"{shown}, table {table.name}",
            next_step="drop or rename the table there, it is filled again from the lake; or set another `prefix`",
        )


def _family(kind: object) -> str:
    import sqlalchemy as sa

    families: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (sa.Boolean, "whole number"),
        (sa.Integer, "whole number"),
        ((sa.Float, sa.Numeric), "number"),
        (sa.DateTime, "instant"),
        (sa.Date, "day"),
        (sa.String, "text"),
    )
    return next((name for one, name in families if isinstance(kind, one)), type(kind).__name__)


def ledger(prefix: str) -> "tuple[Table, Table]":
    """Give the list of tables and the list of deliveries, which the migrations make.

    Args:
        prefix: Begins their names.
    """
    import sqlalchemy as sa

    from trunkline.publish.sql.migrations.columns import instant

    tables = sa.Table(
        f"{prefix}trunkline_tables",
        sa.MetaData(),
        *(sa.Column(name, sa.Text()) for name in ("name", "usecase", "fingerprint", "batch_id")),
        sa.Column("published_at", instant()),
    )
    deliveries = sa.Table(
        f"{prefix}trunkline_deliveries",
        sa.MetaData(),
        *(sa.Column(name, sa.Text()) for name in ("batch_id", "name", "usecase", "run_id", "source")),
        sa.Column("row_count", sa.BigInteger()),
        sa.Column("is_whole", sa.Boolean()),
        sa.Column("published_at", instant()),
    )
    return tables, deliveries
