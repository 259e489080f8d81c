"""Declared sources that are neither files nor SQL databases: MongoDB, DynamoDB and BigQuery.

Plain data; ``trunkline.ingest.sources`` acts on it. Secrets are ``SecretStr``.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from trunkline.spec.source import DocumentMode, RowMode, SourceSpec, refuse_loose_cursor

__all__ = ["BigQuerySource", "DynamoSource", "MongoSource"]


class MongoSource(SourceSpec):
    """A collection of MongoDB; documents inside documents become columns with dotted names.

    Attributes:
        url: ``mongodb://`` or ``mongodb+srv://`` with its credentials and the database.
        collection: The collection.
        filter: Which of its documents, as MongoDB's Extended JSON.
        projection: Fields that are read, dotted; none reads all.
        mode: ``full`` reads everything each time; ``incremental`` what lies after the cursor's newest value.
        cursor: Field that only grows, dotted, for ``incremental``.
        overlap: How far an incremental pull goes back behind the newest value of a date, for late writes.
        piece_rows: Rows per landed piece.
        timeout_s: Longest wait for a server and for each of its answers, in seconds.
    """

    kind: Literal["mongodb"]
    url: SecretStr = Field(description="URL with its credentials and the database, e.g. mongodb://user@host/db.")
    collection: str = Field(min_length=1, description="The collection.")
    filter: Mapping[str, JsonValue] = Field({}, description="Which of its documents, as MongoDB's Extended JSON.")
    projection: tuple[str, ...] = Field((), description="Fields that are read, dotted; none reads all.")
    mode: DocumentMode = "full"
    cursor: str | None = Field(None, description="Field that only grows, dotted, for incremental pulls.")
    overlap: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How far an incremental pull goes back, for documents written late."
    )
    piece_rows: int = Field(100_000, ge=1, description="Rows per landed piece (rows).")
    timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Longest wait for a server and for each of its answers (seconds)."
    )

    @model_validator(mode="after")
    def _whole(self) -> "MongoSource":
        refuse_loose_cursor(self.mode, self.cursor)
        return self


class DynamoSource(SourceSpec):
    """A table of DynamoDB, scanned in parallel segments; maps become columns with dotted names.

    Attributes:
        table: The table.
        region: Its region; None leaves it to ``AWS_REGION`` and the like.
        endpoint: Address of another server than Amazon's.
        access_key: Id of the key; None leaves all credentials to the AWS library.
        secret_key: The key.
        session_token: For temporary credentials.
        mode: ``full`` reads everything each time; ``incremental`` what lies after the cursor's newest value.
        cursor: Attribute (a text or a number) that only grows, for ``incremental``.
        cursor_unit: What a number in the cursor counts since 1970, for ``overlap``.
        overlap: How far an incremental pull goes back behind the newest value of a time.
        projection: Attributes that are read, dotted; none reads all.
        segments: How many segments of the table are read at the same time.
        page_rows: Most items of one request; None leaves it to the server (1 MB).
        consistent: Whether reads are strongly consistent; they cost twice as much.
        piece_rows: Rows per landed piece; a page of the server is not torn apart.
        attempts: How often a request is made that is throttled or fails for a passing reason.
        timeout_s: Longest silence of the server, in seconds.
    """

    kind: Literal["dynamodb"]
    table: str = Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$", description="The table.")
    region: str | None = Field(None, description="Its region; none leaves it to AWS_REGION and the like.")
    endpoint: str | None = Field(None, description="Address of another server than Amazon's.")
    access_key: SecretStr | None = Field(None, description="Id of the key; none leaves it to the AWS library.")
    secret_key: SecretStr | None = Field(None, description="The key.")
    session_token: SecretStr | None = Field(None, description="For temporary credentials.")
    mode: DocumentMode = "full"
    cursor: str | None = Field(None, description="Attribute (a text or a number) that only grows, for incremental.")
    cursor_unit: Literal["s", "ms"] = Field("s", description="What a number in the cursor counts, for `overlap`.")
    overlap: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How far an incremental pull goes back, for items written late."
    )
    projection: tuple[str, ...] = Field((), description="Attributes that are read, dotted; none reads all.")
    segments: int = Field(4, ge=1, le=64, description="Segments of the table that are read at the same time.")
    page_rows: int | None = Field(
        None, ge=1, description="Most items of one request; none leaves it to the server (rows)."
    )
    consistent: bool = Field(default=False, description="Strongly consistent reads; they cost twice as much.")
    piece_rows: int = Field(100_000, ge=1, description="Rows per landed piece (rows).")
    attempts: int = Field(10, ge=1, le=50, description="How often a request is made that is throttled or not answered.")
    timeout_s: float = Field(30.0, gt=0, le=3600, description="Longest silence of the server (seconds).")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and not re.fullmatch(r"https?://[^/@\s]+/?", endpoint):
            raise ValueError("it must be http:// or https:// and a host, without credentials")
        return endpoint

    @model_validator(mode="after")
    def _whole(self) -> "DynamoSource":
        refuse_loose_cursor(self.mode, self.cursor)
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("`access_key` and `secret_key` belong together")
        return self


class BigQuerySource(SourceSpec):
    """A table or query of BigQuery, read as Arrow by its Storage Read API.

    Attributes:
        project: The project that pays; None takes the table's, else that of the credentials.
        table: ``project.dataset.table`` or ``dataset.table``.
        query: A SELECT instead of a table, in GoogleSQL.
        mode: ``full`` reads everything each time; ``incremental`` what lies after the cursor's newest value;
            ``snapshot`` everything as one piece, the newest row per key of the contract.
        cursor: Column that only grows, for ``incremental``.
        overlap: How far an incremental pull goes back behind the newest value of a time cursor.
        max_billed_gib: Most that one query may read and be billed for, GiB; looked up by a dry run before.
        piece_rows: Rows per landed piece.
        location: Where the data lies, e.g. ``EU``; None lets BigQuery find out.
        credentials_file: Key of a service account; None takes the application default credentials.
        endpoint: Address of another server than Google's (an emulator), asked without credentials.
        storage_endpoint: ``host:port`` of its Storage Read API; None reads pages by HTTP there.
        timeout_s: Longest time that one request is tried, in seconds.
    """

    kind: Literal["bigquery"]
    project: str | None = Field(None, description="The project that pays; none takes the table's, else the default.")
    table: str | None = Field(None, description="project.dataset.table or dataset.table.")
    query: str | None = Field(None, description="A SELECT instead of a table, in GoogleSQL.")
    mode: RowMode = "full"
    cursor: str | None = Field(None, description="Column that only grows, for incremental pulls.")
    overlap: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="How far an incremental pull goes back, for rows that come late."
    )
    max_billed_gib: float = Field(
        100.0, gt=0, description="Most that one query may read and be billed for; a dry run looks before (GiB)."
    )
    piece_rows: int = Field(1_000_000, ge=1, description="Rows per landed piece (rows).")
    location: str | None = Field(None, description="Where the data lies, e.g. EU; none lets BigQuery find out.")
    credentials_file: Path | None = Field(
        None, description="Key of a service account; none takes the application default credentials."
    )
    endpoint: str | None = Field(None, description="Address of an emulator, asked without credentials.")
    storage_endpoint: str | None = Field(
        None, description="host:port of the emulator's Storage Read API; none reads its pages by HTTP."
    )
    timeout_s: float = Field(120.0, gt=0, le=3600, description="Longest time that one request is tried (seconds).")

    @field_validator("table")
    @classmethod
    def _name(cls, table: str | None) -> str | None:
        if table is not None and not re.fullmatch(r"(?:[a-z][a-z0-9.:-]{4,}\.)?\w+\.[^`.\\]+", table):
            raise ValueError("it must be project.dataset.table or dataset.table")
        return table

    @model_validator(mode="after")
    def _whole(self) -> "BigQuerySource":
        if (self.table is None) == (self.query is None):
            raise ValueError("say either `table` or `query`")
        if self.storage_endpoint is not None and self.endpoint is None:
            raise ValueError("`storage_endpoint` belongs to `endpoint`")
        refuse_loose_cursor(self.mode, self.cursor)
        return self
