"""Views over the platform's tables for tools that draw: predictions, outcomes and readings by model, day and segment.

Each is declared once, in PostgreSQL's words, and written in the SQL of a database by sqlglot. Days are days of UTC:
databases other than PostgreSQL keep instants in UTC, so there ``DATE`` is the day already. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["DAILY_VIEWS", "DailyView", "daily_query"]


@dataclass(frozen=True)
class DailyView:
    """One view.

    Attributes:
        tables: The platform's tables that it reads, by their names in the query.
        query: What it shows.
    """

    tables: tuple[str, ...]
    query: str


_JUDGED: Final = "o.usecase, o.observed_at, o.value, p.model_version, p.segment, p.score"

DAILY_VIEWS: Final[Mapping[str, DailyView]] = {
    "predictions_daily": DailyView(
        ("predictions",),
        """
        SELECT p.usecase, p.model_version, p.alias, p.channel, p.segment,
          DATE(p.predicted_at AT TIME ZONE 'UTC') AS predicted_on,
          COUNT(*) AS prediction_count, AVG(p.score) AS mean_score,
          SUM(CASE WHEN p.decision THEN 1 ELSE 0 END) AS decided_count
        FROM predictions AS p
        GROUP BY p.usecase, p.model_version, p.alias, p.channel, p.segment, DATE(p.predicted_at AT TIME ZONE 'UTC')
        """,
    ),
    # the answer that an outcome judges: the one it names, or the newest before it
    "outcomes_daily": DailyView(
        ("outcomes", "predictions"),
        f"""
        SELECT j.usecase, j.model_version, j.segment, DATE(j.observed_at AT TIME ZONE 'UTC') AS observed_on,
          COUNT(*) AS outcome_count, AVG(j.value) AS mean_outcome, AVG(j.score) AS mean_score,
          AVG((j.value - j.score) * (j.value - j.score)) AS mean_squared_error
        FROM (
          SELECT {_JUDGED} FROM outcomes AS o JOIN predictions AS p ON p.prediction_id = o.prediction_id
          UNION ALL
          SELECT n.usecase, n.observed_at, n.value, n.model_version, n.segment, n.score
          FROM (
            SELECT {_JUDGED}, ROW_NUMBER() OVER (
              PARTITION BY o.outcome_id ORDER BY p.predicted_at DESC NULLS LAST, p.prediction_id DESC NULLS LAST
            ) AS nth
            FROM outcomes AS o JOIN predictions AS p
              ON p.usecase = o.usecase AND p.entity_key = o.entity_key AND p.predicted_at <= o.observed_at
            WHERE o.prediction_id IS NULL
          ) AS n
          WHERE n.nth = 1
        ) AS j
        GROUP BY j.usecase, j.model_version, j.segment, DATE(j.observed_at AT TIME ZONE 'UTC')
        """,  # noqa: S608 - words of ours
    ),
    "readings_daily": DailyView(
        ("readings",),
        """
        SELECT r.usecase, r.model_version, r.family, r.metric, r.subject,
          DATE(r.read_at AT TIME ZONE 'UTC') AS read_on,
          COUNT(*) AS reading_count, AVG(r.value) AS mean_value, MIN(r.value) AS least_value,
          MAX(r.value) AS greatest_value, MAX(r."limit") AS limit_value,
          SUM(CASE WHEN r.crossed THEN 1 ELSE 0 END) AS crossed_count
        FROM readings AS r
        GROUP BY r.usecase, r.model_version, r.family, r.metric, r.subject, DATE(r.read_at AT TIME ZONE 'UTC')
        """,
    ),
}
"""The views by the ends of their names."""

_SPOKEN: Final = {"postgresql": "postgres", "mariadb": "mysql"}


def daily_query(view: str, *, dialect: str, tables: Mapping[str, Sequence[str]]) -> str:
    """Write what a view shows.

    Args:
        view: One of :data:`DAILY_VIEWS`.
        dialect: The database, by SQLAlchemy's or sqlglot's name.
        tables: Where each of its tables is: the parts of its name, the table's own last.

    >>> query = daily_query("readings_daily", dialect="bigquery", tables={"readings": ("p", "d", "readings_churn")})
    >>> query.partition(" FROM ")[2]
    '`p`.`d`.`readings_churn` AS r GROUP BY r.usecase, r.model_version, r.family, r.metric, r.subject, DATE(r.read_at)'
    """
    import sqlglot
    from sqlglot import exp

    spoken = _SPOKEN.get(dialect, dialect)

    def written(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.AtTimeZone) and spoken != "postgres":
            inner: exp.Expression = node.this
            return inner
        if isinstance(node, exp.Table):
            parts = [exp.to_identifier(part, quoted=True) for part in reversed(tables[node.name])]
            named = dict(zip(("this", "db", "catalog"), parts, strict=False))
            return exp.Table(**named, alias=node.args.get("alias"))
        return node

    return sqlglot.parse_one(DAILY_VIEWS[view].query, read="postgres").transform(written).sql(dialect=spoken)
