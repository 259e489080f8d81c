"""Views for Looker, Superset or Power BI: predictions, outcomes and readings by model, day and segment.

They are as ``DAILY_VIEWS`` says: who changes a view there writes a migration that replaces it here, and keeps in this
one the text of before.
"""

from trunkline.publish.daily_views import DAILY_VIEWS, daily_query

revision = "0003"
down_revision = "0002"


def upgrade(prefix: str) -> None:
    """Make the three views.

    Args:
        prefix: Begins their names.
    """
    from alembic import op

    dialect = op.get_bind().dialect.name
    made = "CREATE VIEW IF NOT EXISTS" if dialect == "sqlite" else "CREATE OR REPLACE VIEW"
    for name, view in DAILY_VIEWS.items():
        tables = {table: (f"{prefix}trunkline_{table}",) for table in view.tables}
        op.execute(f"{made} {prefix}trunkline_{name} AS {daily_query(name, dialect=dialect, tables=tables)}")
