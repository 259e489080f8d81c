"""The platform's own tables in a database that rows are published to, version by version.

Alembic walks from the version that a database has to the newest; each step says in ``versions`` what it changes, and
may be repeated, because MariaDB keeps what a step did before it was killed. Tables of use cases are not here: they
follow the contracts.
"""

from typing import TYPE_CHECKING, Final

from trunkline.errors import InputError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

__all__ = ["VERSION_TABLE", "has_version", "migrate", "newest_version", "refuse_newer"]

VERSION_TABLE: Final = "trunkline_version"
"""Name of the table that holds the version, without prefix."""

_HERE: Final = "trunkline.publish.sql:migrations"


def newest_version() -> str:
    """Give the version to which :func:`migrate` leads."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(_config()).get_current_head())


def has_version(connection: "Connection", *, prefix: str) -> str | None:
    """Give the version that a database has; None where it has none yet.

    Args:
        connection: To the database.
        prefix: Begins the names of tables.
    """
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"version_table": f"{prefix}{VERSION_TABLE}"})
    return context.get_current_revision()


def migrate(connection: "Connection", *, prefix: str, shown: str) -> bool:
    """Bring the platform's tables to the newest version.

    Args:
        connection: Inside a transaction; the caller commits.
        prefix: Begins the names of tables.
        shown: The database, for messages.

    Returns:
        Whether anything changed.

    Raises:
        InputError: They were made by a newer Trunkline.
    """
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    if refuse_newer(connection, prefix=prefix, shown=shown) == newest_version():
        return False
    script = ScriptDirectory.from_config(_config())
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": f"{prefix}{VERSION_TABLE}",
            "fn": lambda revision, _: script._upgrade_revs("head", revision),  # noqa: SLF001 - as Alembic's own docs do
            "transaction_per_migration": False,
        },
    )
    with Operations.context(context):
        context.run_migrations(prefix=prefix)
    return True


def refuse_newer(connection: "Connection", *, prefix: str, shown: str) -> str | None:
    """Refuse tables whose version is not known here.

    Args:
        connection: To the database.
        prefix: Begins the names of tables.
        shown: The database, for messages.

    Returns:
        Their version; None where there are none.

    Raises:
        InputError: They were made by a newer Trunkline.
    """
    from alembic.script import ScriptDirectory
    from alembic.script.revision import ResolutionError
    from alembic.util import CommandError

    script = ScriptDirectory.from_config(_config())
    found = has_version(connection, prefix=prefix)
    try:
        script.get_revision(found or "base")
    except (CommandError, ResolutionError):
        raise InputError(
            f"the tables there were made by a newer Trunkline: their version is {str(found)[:20]!r}",
            where=f"{shown}, table {prefix}{VERSION_TABLE}",
            allowed=[str(one.revision) for one in script.walk_revisions()][::-1],
            next_step="publish with that Trunkline or a newer one, or set another `prefix`",
        ) from None
    return found


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _HERE)
    config.set_main_option("path_separator", "os")
    return config


if TYPE_CHECKING:
    from alembic.config import Config
