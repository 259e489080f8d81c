"""Where rows come from, said as data: what a use case declares, and the settings file under ``[sources]``.

A source is named, goes to one dataset of one use case, and may carry a schedule that the built-in scheduler and the
generated DAGs share. Secrets are ``SecretStr``; nothing here connects to anything, ``trunkline.ingest`` does.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from trunkline.spec.rest import ApiKey, Auth, Bearer, ClientCredentials, NoPaging, Paging, Since, address_fault
from trunkline.spec.source import FileSpec, RowMode, Schedule, SourceSpec, refuse_loose_cursor
from trunkline.spec.stores import BigQuerySource, DynamoSource, MongoSource

__all__ = [
    "WATCHED",
    "AnySource",
    "BigQuerySource",
    "DynamoSource",
    "FolderSource",
    "MariadbChanges",
    "MongoSource",
    "ObjectSource",
    "PostgresChanges",
    "RestSource",
    "Schedule",
    "SourceSpec",
    "SqlSource",
    "TopicSource",
]


class SqlSource(SourceSpec):
    """A table or query of a database that SQLAlchemy reaches: PostgreSQL, MariaDB, MySQL, SQLite.

    Attributes:
        url: SQLAlchemy URL with its credentials.
        table: Table to read, with its schema where it needs one.
        query: A SELECT instead of a table.
        mode: ``full`` reads everything each time; ``incremental`` what lies after the cursor's newest value;
            ``snapshot`` everything, the newest row per key of the contract.
        cursor: Column that only grows, for ``incremental``.
        overlap: How far an incremental pull goes back behind the newest value of a time cursor, for late commits.
        piece_rows: Rows per landed piece.
    """

    kind: Literal["sql"]
    url: SecretStr = Field(description="SQLAlchemy URL with its credentials, e.g. postgresql+psycopg://user@host/db.")
    table: str | None = Field(None, description="Table to read, with its schema where it needs one.")
    query: str | None = Field(None, description="A SELECT instead of a table.")
    mode: RowMode = "full"
    cursor: str | None = Field(None, description="Column that only grows, for incremental pulls.")
    overlap: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How far an incremental pull goes back, for rows committed late."
    )
    piece_rows: int = Field(1_000_000, ge=1, description="Rows per landed piece (rows).")

    @model_validator(mode="after")
    def _whole(self) -> "SqlSource":
        if (self.table is None) == (self.query is None):
            raise ValueError("say either `table` or `query`")
        refuse_loose_cursor(self.mode, self.cursor)
        return self


class PostgresChanges(SourceSpec):
    """A table of PostgreSQL by logical replication: its rows first, then every change in the order of the commits.

    Attributes:
        url: URL with its credentials; the user needs SELECT on the table and the attribute REPLICATION.
        table: The table, with its schema where it needs one.
        slot: The replication slot, made by the first pull; one per source. None is ``trunkline_`` and its name.
        publication: The publication, made by the first pull where there is none. None is the slot's name.
        snapshot: Raised by one, the next pull begins anew with a snapshot of all rows.
        piece_rows: Rows per landed piece.
    """

    kind: Literal["postgres_changes"]
    url: SecretStr = Field(description="URL with its credentials, e.g. postgresql://user:password@host/db.")
    table: str = Field(description="The table, with its schema where it needs one.")
    slot: str | None = Field(
        None,
        pattern=r"^[a-z0-9_]{1,63}$",
        description="Replication slot, one per source, made by the first pull; none: trunkline_ and the source's name.",
    )
    publication: str | None = Field(None, description="Publication, made where there is none; none: the slot's name.")
    snapshot: int = Field(1, ge=1, description="Raised by one, the next pull begins anew with all rows.")
    piece_rows: int = Field(100_000, ge=1, description="Rows per landed piece (rows).")


class MariadbChanges(SourceSpec):
    """A table of MariaDB by its binary log: its rows first, then every change in the order of the commits.

    Attributes:
        url: URL with its credentials and the database; the user needs SELECT on the table, REPLICATION SLAVE and
            BINLOG MONITOR.
        table: The table.
        server_id: As what the source shows itself to the server; no replica may have it. None is derived from the
            source's name and the table.
        snapshot: Raised by one, the next pull begins anew with a snapshot of all rows.
        piece_rows: Rows per landed piece.
    """

    kind: Literal["mariadb_changes"]
    url: SecretStr = Field(description="URL with its credentials, e.g. mariadb://user:password@host/db.")
    table: str = Field(description="The table.")
    server_id: int | None = Field(
        None, ge=1, lt=1 << 32, description="Id among the server's replicas; none: derived from the source's name."
    )
    snapshot: int = Field(1, ge=1, description="Raised by one, the next pull begins anew with all rows.")
    piece_rows: int = Field(100_000, ge=1, description="Rows per landed piece (rows).")


class ObjectSource(FileSpec):
    """Files in an object store: each new or changed object is a batch.

    Attributes:
        url: ``s3://bucket/prefix/*.csv``, ``gs://...``, ``abfss://container@account.dfs.core.windows.net/...`` or
            ``file:///folder/...``; ``*`` stays within a folder, ``**`` does not, and an address that ends in ``/``
            is everything below.
        options: Options of the store, e.g. ``endpoint_override``; without them the usual environment variables count.
        overlap: How far behind the newest time of change objects are still looked for: a store may stamp an object with
            the begin of its upload.
    """

    kind: Literal["objects"]
    url: str = Field(description="s3://bucket/prefix/*.csv, gs://... or abfss://...; * and ** as in a shell.")
    options: Mapping[str, SecretStr] = Field(
        {}, description="Options of the store, e.g. endpoint_override; else its own environment variables count."
    )
    overlap: timedelta = Field(
        timedelta(days=1),
        ge=timedelta(0),
        description="How far behind the newest time of change objects are still looked for.",
    )

    @field_validator("url")
    @classmethod
    def _of_a_store(cls, url: str) -> str:
        if not url.startswith(("s3://", "gs://", "abfs://", "abfss://", "file:///")):
            raise ValueError("it must begin with s3://, gs://, abfss:// or file:///")
        return url


class RestSource(FileSpec):
    """Rows of a REST API: its pages, or one file behind an address.

    Attributes:
        url: Address of the first page; TLS, except on this machine.
        answer: ``records``: pages of JSON; ``file``: one file, told by the address's suffix, again when it changed.
        method: How it is asked.
        params: Parameters of the query.
        headers: Headers; they may hold secrets.
        body: JSON body of a POST.
        params_in: Where the parameters of ``paging`` and ``since`` go.
        records: Dotted path to the list in the answer; ``.`` is the whole answer, None the only list that it has.
        omitted_is_empty: Whether an answer without that list stands for no records.
        paging: How one page leads to the next.
        since: What is new; None reads everything each time.
        auth: How the server is told who asks; None for nobody.
        timeout_s: Longest silence of the server, in seconds.
        answer_timeout_s: Longest time for one whole page, in seconds.
        attempts: How often a request is made that fails for a passing reason.
        longest_wait_s: Longest wait between two attempts, also where the server asks for one, in seconds.
        max_pages: Most pages of one pull.
        requests_per_s: Most requests a second; 0 for no limit.
        max_answer_mib: Largest page, unpacked.
        max_file_gib: Largest file, as it is written to disk.
        file_timeout_s: Longest time for one whole file, in seconds.
        ca_file: Certificates to trust instead of the machine's.
        allow_http: Whether it may be reached without TLS beyond this machine.
    """

    kind: Literal["rest"]
    url: str = Field(description="Address of the first page; https, except on this machine.")
    answer: Literal["records", "file"] = Field(
        "records", description="records: pages of JSON; file: one file, told by the address's suffix."
    )
    method: Literal["GET", "POST"] = Field("GET", description="How it is asked.")
    params: Mapping[str, str | int | float | bool] = Field({}, description="Parameters of the query.")
    headers: Mapping[str, SecretStr] = Field({}, description="Headers; they may hold secrets.")
    body: Mapping[str, JsonValue] | None = Field(None, description="JSON body of a POST.")
    params_in: Literal["query", "body"] = Field("query", description="Where parameters of paging and since go.")
    records: str | None = Field(
        None, description="Path to the list in the answer; '.' is the whole answer, none the only list it has."
    )
    omitted_is_empty: bool = Field(default=False, description="Whether an answer without that list has no records.")
    paging: Paging = Field(NoPaging(), description="How one page leads to the next.")
    since: Since | None = Field(None, description="What is new; none reads everything each time.")
    auth: Auth | None = Field(None, description="How the server is told who asks; none for nobody.")
    timeout_s: float = Field(30.0, gt=0, le=3600, description="Longest silence of the server (seconds).")
    answer_timeout_s: float = Field(300.0, gt=0, description="Longest time for one whole page (seconds).")
    attempts: int = Field(6, ge=1, le=20, description="How often a request is made that fails for a passing reason.")
    longest_wait_s: float = Field(300.0, ge=0, description="Longest wait between two attempts (seconds).")
    max_pages: int = Field(10_000, ge=1, description="Most pages of one pull (pages).")
    requests_per_s: float = Field(0.0, ge=0, description="Most requests a second; 0 for no limit.")
    max_answer_mib: int = Field(64, ge=1, le=2048, description="Largest page, unpacked (MiB).")
    max_file_gib: float = Field(100.0, gt=0, description="Largest file, as it is written to disk (GiB).")
    file_timeout_s: float = Field(21_600.0, gt=0, description="Longest time for one whole file (seconds).")
    ca_file: Path | None = Field(None, description="Certificates to trust instead of the machine's.")
    allow_http: bool = Field(default=False, description="Whether it may be reached without TLS beyond this machine.")

    @model_validator(mode="after")
    def _sendable(self) -> "RestSource":
        secrets = {f"headers.{name}": value for name, value in self.headers.items()}
        if isinstance(self.auth, Bearer):
            secrets["auth.token"] = self.auth.token
        if isinstance(self.auth, ApiKey):
            secrets["auth.value"] = self.auth.value
        for name, value in secrets.items():
            text = value.get_secret_value()
            if not (text.isascii() and text.isprintable() and text == text.strip()):
                raise ValueError(f"{name} must be of printable ASCII signs, with no white space at its ends")
        return self

    @model_validator(mode="after")
    def _whole(self) -> "RestSource":
        addresses = {"url": self.url}
        if isinstance(self.auth, ClientCredentials):
            addresses["token_url"] = self.auth.token_url
        for name, url in addresses.items():
            if fault := address_fault(url, allow_http=self.allow_http):
                raise ValueError(f"{name}: {fault}")
        if self.method == "GET" and (self.body is not None or self.params_in == "body"):
            raise ValueError("`body` and params_in = 'body' belong to method = 'POST'")
        if self.answer == "file" and (self.paging.kind != "none" or self.since is not None or self.records is not None):
            raise ValueError("`paging`, `since` and `records` belong to answer = 'records'")
        if self.answer == "records" and self.csv.model_fields_set:
            raise ValueError("`csv` belongs to answer = 'file'")
        if self.paging.kind == "cursor" and self.paging.keep and self.since is not None:
            raise ValueError("a kept cursor says what is new: leave `since` out")
        return self


class FolderSource(FileSpec):
    """A folder of this machine in which files appear.

    Attributes:
        path: The folder.
        pattern: Which of its files, as in a shell.
        recursive: Whether files of the folders below it are meant, too; hidden ones and the archive are not.
        settle_s: A file is whole when its size and time have not changed for so long, in seconds.
        done_marker: Suffix of an empty file that says that its namesake is whole; empty for none.
        afterwards: What becomes of a file that was taken in.
        archive: Folder for ``afterwards = "archive"``.
    """

    kind: Literal["folder"]
    path: Path = Field(description="The folder.")
    pattern: str = Field("*", description="Which of its files, as in a shell.")
    recursive: bool = Field(False, description="Files of the folders below it, too.")
    settle_s: float = Field(
        2.0, ge=0, description="A file is whole when its size and time have not changed for so long (seconds)."
    )
    done_marker: str = Field("", description="Suffix of the empty file that says that its namesake is whole.")
    afterwards: Literal["keep", "archive", "delete"] = Field(
        "keep", description="What becomes of a file that was taken in."
    )
    archive: Path | None = Field(None, description="Folder for afterwards = 'archive'.")

    @model_validator(mode="after")
    def _whole(self) -> "FolderSource":
        if (self.afterwards == "archive") != (self.archive is not None):
            raise ValueError("`archive` belongs to afterwards = 'archive', and only to it")
        return self


class TopicSource(SourceSpec):
    """A topic that others write to, of Kafka or MQTT; ``trunkline watch`` takes its records in.

    Attributes:
        url: The cluster or broker, and the topic; MQTT's may be a filter of topics.
        options: Options of the client beside those of the URL; they may hold secrets.
        group: Processes of one group share the topic's partitions and take each record once; None is named after the
            table. Another workspace that takes the same topic in needs another group.
        reader: Who reads a topic of Kafka: a process, or Spark.
        dead_letters: Where records that break the contract are told beside the quarantine.
        timeout_s: Longest wait for an answer, in seconds.
    """

    kind: Literal["topic"]
    url: SecretStr = Field(
        description="kafka://host:9092[,host2:9092]/TOPIC[?option=value], or mqtt[s]://host/TOPIC/FILTER[?option=value]."
    )
    options: Mapping[str, SecretStr] = Field(
        {},
        description="Options of the client beside those of the URL: Kafka's security.*, sasl.*, ssl.*, socket.* etc.; "
        "for MQTT username, password, client_id, tls.ca, tls.certificate, tls.key etc.",
    )
    group: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="Group that shares Kafka's partitions, one per workspace; none: trunkline.USECASE.DATASET. "
        "MQTT names it in the filter: $share/GROUP/...",
    )
    reader: Literal["process", "spark"] = Field(
        "process",
        description="Who reads a topic of Kafka: this process, or Spark Structured Streaming on the cluster of "
        "`engine`; see docs/streams.md.",
    )
    dead_letters: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="Topic of the same Kafka cluster to which records that break the contract are sent as well, with "
        "their reasons; they lie in the quarantine in any case.",
    )
    timeout_s: float = Field(30.0, gt=0, le=300, description="Longest wait for an answer (seconds).")

    @field_validator("url")
    @classmethod
    def _is_of_topics(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(TOPIC_SCHEMES):
            raise ValueError(f"begins with {', '.join(TOPIC_SCHEMES)}")
        return url


TOPIC_SCHEMES: Final = ("kafka://", "mqtt://", "mqtts://")
"""How addresses of topics begin that are watched."""

WATCHED: Final = (FolderSource, TopicSource)
"""Kinds that are watched (``trunkline watch``) and not pulled."""

AnySource = Annotated[
    SqlSource
    | PostgresChanges
    | MariadbChanges
    | MongoSource
    | DynamoSource
    | BigQuerySource
    | ObjectSource
    | RestSource
    | FolderSource
    | TopicSource,
    Field(discriminator="kind"),
]
"""Any declared source, told apart by ``kind``."""
