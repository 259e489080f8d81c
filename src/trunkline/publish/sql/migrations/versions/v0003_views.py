"""Views for Looker, Superset or Power BI: predictions, outcomes and readings by model, day and segment."""

from trunkline.publish.sql.migrations.columns import utc_day

revision = "0003"
down_revision = "0002"


def upgrade(prefix: str) -> None:
    """Make the three views.

    Args:
        prefix: Begins their names.
    """
    from alembic import op

    dialect = op.get_bind().dialect.name
    quoted = op.get_bind().dialect.identifier_preparer.quote_identifier
    predictions, outcomes = f"{prefix}trunkline_predictions", f"{prefix}trunkline_outcomes"
    day = {name: utc_day(name, dialect=dialect) for name in ("p.predicted_at", "o.observed_at", "r.read_at")}
    views = {
        "predictions_daily": (
            f"SELECT p.usecase, p.model_version, p.alias, p.channel, p.segment, {day['p.predicted_at']} "  # noqa: S608 - names of ours
            " AS predicted_on, COUNT(*) AS prediction_count, AVG(p.score) AS mean_score,"
            " SUM(CASE WHEN p.decision THEN 1 ELSE 0 END) AS decided_count"
            f" FROM {predictions} p"
            f" GROUP BY p.usecase, p.model_version, p.alias, p.channel, p.segment, {day['p.predicted_at']}"
        ),
        # the answer that an outcome judges: the one it names, or the newest before it
        "outcomes_daily": (
            f"SELECT o.usecase, p.model_version, p.segment, {day['o.observed_at']} AS observed_on,"  # noqa: S608
            " COUNT(*) AS outcome_count, AVG(o.value) AS mean_outcome, AVG(p.score) AS mean_score,"
            " AVG((o.value - p.score) * (o.value - p.score)) AS mean_squared_error"
            f" FROM {outcomes} o JOIN {predictions} p ON p.prediction_id = COALESCE(o.prediction_id,"
            f" (SELECT q.prediction_id FROM {predictions} q WHERE q.usecase = o.usecase"
            " AND q.entity_key = o.entity_key AND q.predicted_at <= o.observed_at"
            " ORDER BY q.predicted_at DESC, q.prediction_id DESC LIMIT 1))"
            f" GROUP BY o.usecase, p.model_version, p.segment, {day['o.observed_at']}"
        ),
        "readings_daily": (
            f"SELECT r.usecase, r.model_version, r.family, r.metric, r.subject, {day['r.read_at']} AS read_on,"  # noqa: S608
            " COUNT(*) AS reading_count, AVG(r.value) AS mean_value, MIN(r.value) AS least_value,"
            f" MAX(r.value) AS greatest_value, MAX(r.{quoted('limit')}) AS limit_value,"
            " SUM(CASE WHEN r.crossed THEN 1 ELSE 0 END) AS crossed_count"
            f" FROM {prefix}trunkline_readings r"
            f" GROUP BY r.usecase, r.model_version, r.family, r.metric, r.subject, {day['r.read_at']}"
        ),
    }
    made = "CREATE VIEW IF NOT EXISTS" if dialect == "sqlite" else "CREATE OR REPLACE VIEW"
    for name, query in views.items():
        op.execute(f"{made} {prefix}trunkline_{name} AS {query}")
