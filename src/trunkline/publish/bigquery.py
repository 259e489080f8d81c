"""BigQuery as a sink: load jobs whose ids are made of the batch, so that BigQuery itself refuses to do one twice.

Rows go as Parquet. A table that is replaced is truncated and loaded by one job, which is atomic; rows by key are loaded
beside it and merged by one statement. Labels of the table say which batch it holds.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from trunkline.contracts.kinds import KindName
from trunkline.errors import InputError, MissingExtraError, SourceError, UnavailableError
from trunkline.ingest.sources.bigquery.faults import told
from trunkline.publish.daily_views import daily_query
from trunkline.publish.files import schema_of
from trunkline.publish.protocol import Capabilities, Delivery, Latest, Rows, Summed, Target
from trunkline.settings.drills import point

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.bigquery import Client, LoadJobConfig, SchemaField

__all__ = ["CRASH_POINTS", "BigQuerySink", "merge_statement"]

CRASH_POINTS: Final = ("publish.bigquery.before_load", "publish.bigquery.after_load", "publish.bigquery.noted")
"""Points at which a drill kills the publishing process."""

_TYPES: Final[Mapping[KindName, str]] = {
    "integer": "INT64",
    "number": "FLOAT64",
    "flag": "BOOL",
    "instant": "TIMESTAMP",
    "day": "DATE",
}
_OPTIONS: Final = ("location", "credentials_file", "endpoint")
_MOST_JOBS: Final = 50
_AGAIN: Final = "nothing is lost: the next delivery brings what is owed, by jobs of the same ids"


def merge_statement(target: Target, *, table: str, staging: str) -> str:
    """Write the statement that brings rows over by key.

    Args:
        target: What they are.
        table: Where they go, ``project.dataset.table``.
        staging: Where they were loaded.

    >>> from trunkline.publish.protocol import TargetColumn
    >>> columns = (TargetColumn("id", "text", nullable=False), TargetColumn("n", "integer", nullable=True))
    >>> merge_statement(Target("t", "u", columns, ("id",), "upsert"), table="p.d.t", staging="p.d.s")
    'MERGE `p.d.t` AS t USING `p.d.s` AS s ON t.`id` = s.`id` WHEN MATCHED THEN UPDATE SET `n` = s.`n` WHEN NOT MATCHED THEN INSERT (`id`, `n`) VALUES (s.`id`, s.`n`)'
    """  # noqa: E501 - one statement
    on = " AND ".join(f"t.`{name}` = s.`{name}`" for name in target.key)
    others = ", ".join(f"`{name}` = s.`{name}`" for name in target.names if name not in target.key)
    matched = f" WHEN MATCHED THEN UPDATE SET {others}" if others else ""
    names = ", ".join(f"`{name}`" for name in target.names)
    values = ", ".join(f"s.`{name}`" for name in target.names)
    inserted = f" WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"  # noqa: S608 - names of ours, quoted
    return f"MERGE `{table}` AS t USING `{staging}` AS s ON {on}{matched}{inserted}"


class BigQuerySink:
    """A dataset; see :class:`~trunkline.publish.protocol.Sink`.

    Args:
        url: ``bigquery://PROJECT/DATASET``; the dataset has to be there.
        options: ``location``; ``credentials_file``, the key file of a service account (else the application's
            default); ``endpoint``, the address of an emulator.
        timeout_s: Longest wait for an answer (seconds); a job may take twenty times as long.

    Raises:
        InputError: The address or an option is malformed.
        MissingExtraError: The client is not installed.
    """

    def __init__(self, url: str, *, options: Mapping[str, str] | None = None, timeout_s: float = 30.0) -> None:
        try:
            from google.cloud import bigquery  # noqa: F401 - looked for early, used when something is asked
        except ImportError:
            raise MissingExtraError("google.cloud.bigquery", extra="bigquery") from None
        parts = urlsplit(url)
        self._project, self._dataset = parts.netloc, parts.path.strip("/")
        if not self._project or not self._dataset or "/" in self._dataset:
            raise InputError(
                "the address names a project and a dataset",
                where="`url` of the sink",
                allowed=("bigquery://my-project/my_dataset",),
            )
        self._options = dict(options or {})
        if unknown := sorted(set(self._options) - set(_OPTIONS)):
            raise InputError(f"there is no option {unknown[0]!r}", where="`options` of the sink", allowed=_OPTIONS)
        self._timeout_s = timeout_s
        self._opened: Client | None = None

    @property
    def capabilities(self) -> Capabilities:
        """In what this sink differs from others."""
        return Capabilities(
            name="bigquery",
            modes=frozenset(("append", "upsert", "replace")),
            remembers=True,
            views=True,
            keeps=True,
        )

    @property
    def shown(self) -> str:
        """Its address."""
        return f"bigquery://{self._project}/{self._dataset}"

    def check(self) -> None:
        """Ask for the dataset."""
        with self._faults():
            self._client.get_dataset(f"{self._project}.{self._dataset}", timeout=self._timeout_s, retry=self._retry)

    def held(self, target: Target) -> str | None:
        """Say which batch a table holds, by its labels."""
        labels = self._labels(target)
        if labels.get("trunkline_columns") != target.fingerprint:
            return None
        return labels.get("trunkline_batch")

    def deliver(self, delivery: Delivery, rows: Rows) -> int:
        """Load rows by jobs that BigQuery does once.

        Raises:
            InputError: Rights or types are wrong, or somebody else's table has that name.
            UnavailableError: BigQuery did not answer.
        """
        target = delivery.target
        labels = self._labels(target)
        self._refuse_foreign(target, labels)
        if self.held(target) == delivery.batch_id:
            return 0
        self._widen(target, labels)
        attempt = labels.get("trunkline_batch", "none")  # a table that was dropped is loaded again, by another job
        with tempfile.TemporaryDirectory(prefix="trunkline-publish-") as folder:
            path = Path(folder) / "rows.parquet"
            count = _written(path, target, rows)
            point("publish.bigquery.before_load")
            with self._faults():
                self._load(delivery, path, attempt=attempt)
        point("publish.bigquery.after_load")
        with self._faults():
            self._note(delivery)
        point("publish.bigquery.noted")
        return count

    def would(self, delivery: Delivery) -> tuple[str, ...]:
        """Say which jobs would run."""
        target = delivery.target
        fields = ", ".join(f"`{one.name}` {_TYPES.get(one.kind, 'STRING')}" for one in target.columns)
        made = f"CREATE TABLE IF NOT EXISTS `{self._table(target.name)}` ({fields})"
        if delivery.whole or target.mode == "append":
            how = "WRITE_TRUNCATE" if delivery.whole else "WRITE_APPEND"
            return (made, f"load job {_job(delivery, 'load', 'none')}: Parquet into {target.name}, {how}")
        merged = merge_statement(target, table=self._table(target.name), staging=self._table(f"{target.name}__new"))
        return (made, merged)

    def show(self, latest: Latest) -> None:
        """Make a view of the newest dated table."""
        columns = ", ".join(f"`{name}`" for name in latest.target.names)
        query = f"SELECT {columns} FROM `{self._table(latest.target.name)}`"  # noqa: S608 - names of ours, quoted
        with self._faults():
            self._done(f"CREATE OR REPLACE VIEW `{self._table(latest.name)}` AS {query}")

    def summing(self, summed: Summed) -> str:
        """Give the statement that makes a view over the platform's tables of a use case."""
        tables = {name: (self._project, self._dataset, table) for name, table in summed.tables.items()}
        query = daily_query(summed.view, dialect="bigquery", tables=tables)
        return f"CREATE OR REPLACE VIEW `{self._table(summed.name)}` AS {query}"

    def sum_up(self, summed: Summed) -> None:
        """Make a view over the platform's tables; the delivery of the last of them does."""
        with self._faults():
            if all(self._is_there(table) for table in summed.tables.values()):
                self._done(self.summing(summed))

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()  # type: ignore[no-untyped-call]  # it has no types
            self._opened = None

    # -- inside

    def _load(self, delivery: Delivery, path: Path, *, attempt: str) -> None:
        target = delivery.target
        merges = not delivery.whole and target.mode == "upsert"
        name = f"{target.name}__new" if merges else target.name
        truncates = delivery.whole or merges
        config = self._config(target, truncates=truncates)

        def load(job_id: str) -> "_Job":
            with path.open("rb") as stream:
                # no tries of its own: a minute of them would come to each of ours
                return self._client.load_table_from_file(
                    stream, self._table(name), num_retries=0, job_id=job_id, job_config=config, timeout=self._timeout_s
                )

        self._once(target, load, _job(delivery, "load", attempt))
        if not merges:
            return
        statement = merge_statement(target, table=self._table(target.name), staging=self._table(name))
        self._once(
            target,
            lambda job_id: self._client.query(statement, job_id=job_id, job_retry=None, retry=self._retry),
            _job(delivery, "merge", attempt),
        )
        self._client.delete_table(self._table(name), not_found_ok=True)

    def _once(self, target: Target, start: "Callable[[str], _Job]", job_id: str) -> None:
        """Do a job that was not done yet; one that failed, or whose table was dropped since, under the next id."""
        from google.api_core.exceptions import Conflict

        for number in range(_MOST_JOBS):
            named = f"{job_id}_{number}"
            try:
                job = start(named)
            except Conflict:  # it was begun before: by us, and we were not told
                job = self._client.get_job(named, timeout=self._timeout_s)
                with suppress(Exception):  # whether it went well is asked next
                    job.result(timeout=self._timeout_s * 20)
                if job.error_result or not self._is_there(target.name):
                    continue
            job.result(timeout=self._timeout_s * 20)
            return
        raise UnavailableError("the job failed again and again", where=self.shown, next_step=_AGAIN)

    def _config(self, target: Target, *, truncates: bool) -> "LoadJobConfig":
        from google.cloud.bigquery import LoadJobConfig

        config = LoadJobConfig()
        config.source_format = "PARQUET"
        config.write_disposition = "WRITE_TRUNCATE" if truncates else "WRITE_APPEND"
        config.create_disposition = "CREATE_IF_NEEDED"
        config.schema = _fields(target)
        return config

    def _widen(self, target: Target, labels: Mapping[str, str]) -> None:
        """Add the columns that a table lacks."""
        if not labels or labels.get("trunkline_columns") == target.fingerprint:
            return
        with self._faults():
            table = self._client.get_table(self._table(target.name), timeout=self._timeout_s, retry=self._retry)
            there = {one.name for one in table.schema}
            missing = [one for one in target.columns if one.name not in there]
            for one in missing:
                kind = _TYPES.get(one.kind, "STRING")
                statement = f"ALTER TABLE `{self._table(target.name)}` ADD COLUMN IF NOT EXISTS `{one.name}` {kind}"
                self._done(statement)

    def _done(self, statement: str) -> None:
        """Run a statement that may be repeated."""
        self._client.query(statement, job_retry=None, retry=self._retry).result(timeout=self._timeout_s * 20)

    def _is_there(self, table: str) -> bool:
        from google.api_core.exceptions import NotFound

        try:
            self._client.get_table(self._table(table), timeout=self._timeout_s, retry=self._retry)
        except NotFound:
            return False
        return True

    def _labels(self, target: Target) -> dict[str, str]:
        from google.api_core.exceptions import NotFound

        with self._faults():
            try:
                found = self._client.get_table(self._table(target.name), timeout=self._timeout_s, retry=self._retry)
            except NotFound:
                return {}
        return {"there": "yes", **{str(name): str(value) for name, value in dict(found.labels or {}).items()}}

    def _note(self, delivery: Delivery) -> None:
        target = delivery.target
        table = self._client.get_table(self._table(target.name), timeout=self._timeout_s, retry=self._retry)
        table.labels = {
            "trunkline_usecase": target.usecase,
            "trunkline_batch": delivery.batch_id,
            "trunkline_columns": target.fingerprint,
        }
        table.description = target.description
        self._client.update_table(table, ["labels", "description"], timeout=self._timeout_s, retry=self._retry)

    def _refuse_foreign(self, target: Target, labels: Mapping[str, str]) -> None:
        owner = labels.get("trunkline_usecase", "")
        if not labels or owner == target.usecase or target.shared:
            return
        whose = f"belongs to the use case {owner!r}" if owner else "was not made by Trunkline"
        raise InputError(
            f"there is a table {target.name!r}, and it {whose}",
            where=self.shown,
            next_step="set a `prefix` under [publish], or rename that table",
        )

    @property
    def _retry(self) -> "Retry":
        """How long the client itself tries again."""
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_timeout(self._timeout_s)

    def _table(self, name: str) -> str:
        return f"{self._project}.{self._dataset}.{name}"

    @property
    def _client(self) -> "Client":
        if self._opened is None:
            self._opened = self._made()
        return self._opened

    def _made(self) -> "Client":
        from google.cloud import bigquery

        location = self._options.get("location")
        if "endpoint" in self._options:
            from google.auth.credentials import AnonymousCredentials

            return bigquery.Client(
                project=self._project,
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # it has no types
                client_options={"api_endpoint": self._options["endpoint"]},
                location=location,
            )
        with self._faults():
            if "credentials_file" in self._options:
                client: Client = bigquery.Client.from_service_account_json(  # type: ignore[no-untyped-call]  # as above
                    self._options["credentials_file"], project=self._project, location=location
                )
                return client
            return bigquery.Client(project=self._project, location=location)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        from concurrent.futures import TimeoutError as LateError

        try:
            with told(self.shown):
                yield
        except SourceError as error:
            raise InputError(
                error.what,
                where=error.where,
                next_step="grant the account roles/bigquery.dataEditor on the dataset and roles/bigquery.jobUser",
            ) from None
        except UnavailableError as error:
            raise UnavailableError(error.what, where=error.where, next_step=_AGAIN) from None
        except LateError:
            raise UnavailableError("the job did not end in time", where=self.shown, next_step=_AGAIN) from None


def _job(delivery: Delivery, what: str, attempt: str) -> str:
    """Name a job: the same delivery over the same state of the table is the same job."""
    said = f"{delivery.target.name}|{delivery.batch_id}|{what}|{attempt}"
    return f"trunkline_{hashlib.sha256(said.encode()).hexdigest()[:40]}"


def _fields(target: Target) -> "list[SchemaField]":
    from google.cloud.bigquery import SchemaField

    return [
        SchemaField(one.name, _TYPES.get(one.kind, "STRING"), description=_described(one.description, one.unit))
        for one in target.columns
    ]


def _described(description: str, unit: str) -> str:
    return f"{description}{f' ({unit})' if unit else ''}"[:1_000]


def _written(path: Path, target: Target, rows: Rows) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = schema_of(target), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        for batch in rows():
            out.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            count += batch.num_rows
    return count


if TYPE_CHECKING:
    from typing import Protocol

    class _Job(Protocol):
        @property
        def error_result(self) -> object: ...

        def result(self, *, timeout: float) -> object: ...
