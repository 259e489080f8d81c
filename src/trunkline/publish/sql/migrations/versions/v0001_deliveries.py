"""What each table holds, and every delivery that made it so."""

from trunkline.publish.sql.migrations.columns import instant, long_text, options, text

revision = "0001"
down_revision = None


def upgrade(prefix: str) -> None:
    """Make the two tables.

    Args:
        prefix: Begins their names.
    """
    import sqlalchemy as sa
    from alembic import op

    op.create_table(
        f"{prefix}trunkline_tables",
        sa.Column("name", text(64), primary_key=True, comment="The table, prefix included"),
        sa.Column("usecase", text(40), primary_key=True),
        sa.Column("fingerprint", text(16), nullable=False, comment="Hash of its columns, key and mode"),
        sa.Column("batch_id", text(64), nullable=False, comment="The delivery that it holds"),
        sa.Column("published_at", instant(), nullable=False),
        if_not_exists=True,
        **options(),
    )
    op.create_table(
        f"{prefix}trunkline_deliveries",
        sa.Column("batch_id", text(64), primary_key=True),
        sa.Column("name", text(64), primary_key=True, comment="The table, prefix included"),
        sa.Column("usecase", text(40), nullable=False),
        sa.Column("run_id", text(64), nullable=False),
        sa.Column("source", long_text(), nullable=False, comment="JSON: versions of the lake's tables"),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False, comment="Whether it replaced all that was there"),
        sa.Column("published_at", instant(), nullable=False),
        if_not_exists=True,
        **options(),
    )
