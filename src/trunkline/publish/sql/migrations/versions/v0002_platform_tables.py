"""Predictions, outcomes and readings of all use cases."""

from trunkline.publish.sql.migrations.columns import instant, long_text, options, text

revision = "0002"
down_revision = "0001"


def upgrade(prefix: str) -> None:
    """Make the three tables.

    Args:
        prefix: Begins their names.
    """
    import sqlalchemy as sa
    from alembic import op

    predictions = f"{prefix}trunkline_predictions"
    op.create_table(
        predictions,
        sa.Column("prediction_id", text(128), primary_key=True),
        sa.Column("request_id", text(128), nullable=False),
        sa.Column("usecase", text(40), nullable=False),
        sa.Column("entity_key", text(512)),
        sa.Column("segment", text(200)),
        sa.Column("model_version", text(64), nullable=False),
        sa.Column("alias", text(40), nullable=False),
        sa.Column("channel", text(20), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("decision", sa.Boolean()),
        sa.Column("reasons", long_text()),
        sa.Column("predicted_at", instant(), nullable=False),
        if_not_exists=True,
        **options(),
    )
    op.create_index(f"{predictions}_entity", predictions, ["usecase", "entity_key", "predicted_at"], if_not_exists=True)
    op.create_table(
        f"{prefix}trunkline_outcomes",
        sa.Column("outcome_id", text(128), primary_key=True),
        sa.Column("usecase", text(40), nullable=False),
        sa.Column("entity_key", text(512), nullable=False),
        sa.Column("prediction_id", text(128)),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("observed_at", instant(), nullable=False),
        sa.Column("recorded_at", instant(), nullable=False),
        if_not_exists=True,
        **options(),
    )
    op.create_table(
        f"{prefix}trunkline_readings",
        sa.Column("reading_id", text(200), primary_key=True),
        sa.Column("run_id", text(64), nullable=False),
        sa.Column("usecase", text(40), nullable=False),
        sa.Column("model_version", text(64), nullable=False),
        sa.Column("family", text(20), nullable=False),
        sa.Column("metric", text(80), nullable=False),
        sa.Column("subject", long_text(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("low", sa.Double()),
        sa.Column("high", sa.Double()),
        sa.Column("limit", sa.Double()),
        sa.Column("crossed", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("window_start_at", instant()),
        sa.Column("window_end_at", instant()),
        sa.Column("read_at", instant(), nullable=False),
        if_not_exists=True,
        **options(),
    )
