"""How rows enter a table: one commit each, under the table's lock, exactly once.

Takes rows of any Arrow layout, gives the version that holds them. Delta accepts the same application transaction twice,
so the check happens here, under the lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from trunkline.errors import ConflictError, InputError, SchemaError, UnavailableError
from trunkline.lake import delta, schemas
from trunkline.lake.coverage import covered
from trunkline.lake.place import Place
from trunkline.settings import drills
from trunkline.settings.lake import LakeSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable
    from tenacity import Retrying

    from trunkline.lake.staging import StagedRows

_METADATA_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
_RESERVED_KEYS = frozenset({"timestamp", "operation", "version"})


@dataclass(frozen=True)
class Transaction:
    """Which part of a source an append covers.

    Attributes:
        app_id: Source and partition, e.g. ``kafka:calls:3``.
        version: One more than the last offset that the rows cover; grows from append to append.
    """

    app_id: str
    version: int


def write(
    place: Place,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    mode: Literal["append", "overwrite"],
    transactions: Sequence[Transaction],
    metadata: Mapping[str, str],
    settings: LakeSettings,
    event: str,
    base: int | None = None,
) -> int:
    """Write rows in one commit; the caller holds the table's lock.

    Args:
        place: The table.
        rows: The rows; a stream is written as it comes and can be tried once only.
        mode: ``append``, or ``overwrite`` to replace all rows and, if need be, the schema.
        transactions: What the rows cover, part by part; rows that are covered already are not written again.
        metadata: Noted in the commit.
        settings: Table properties and how often to try.
        event: Prefix of the crash points, ``lake.EVENTbefore_commit``.
        base: The version from which the rows were made; a commit by others since then is a conflict. None takes the
            newest version each time.

    Returns:
        The version that holds the rows.

    Raises:
        SchemaError: The rows do not fit the table.
        InputError: A metadata key is malformed.
        ConflictError: Writers outside Trunkline won every attempt.
        UnavailableError: The store refused.
    """
    import pyarrow as pa

    commit = commit_properties(metadata, transactions)
    for attempt in attempts(settings.commit_attempts if isinstance(rows, pa.Table) else 1):
        with attempt:
            table = place.open(base)
            if table is not None and _is_done(place, table, rows, transactions=transactions, mode=mode):
                return int(table.version())
            return _commit(place, rows, table=table, mode=mode, commit=commit, settings=settings, event=event)
    raise AssertionError("attempts either return or raise")


def write_staged(
    place: Place,
    staged: StagedRows,
    *,
    transactions: Sequence[Transaction],
    metadata: Mapping[str, str],
    settings: LakeSettings,
    base: int | None,
) -> int:
    """Commit rows whose files are written already; the caller holds the table's lock.

    Args:
        place: The table.
        staged: The rows.
        transactions: What they cover, part by part; rows that are covered already are not committed.
        metadata: Noted in the commit.
        settings: Table properties and how often to try.
        base: The version against which the rows were checked; if the table has another by now, that is a conflict.
            None takes any, and -1 that there is no table.

    Returns:
        The version that holds the rows.

    Raises:
        SchemaError: The rows do not fit the table.
        InputError: A metadata key is malformed.
        ConflictError: The table moved on from ``base``, or writers outside Trunkline won every attempt.
        UnavailableError: The store refused.
    """
    staged.finish()
    commit = commit_properties(metadata, transactions)
    for attempt in attempts(settings.commit_attempts if base is None else 1):
        with attempt:
            table = place.open()
            if table is not None and _covers(place, table, transactions):
                return int(table.version())
            if base is not None and base != (-1 if table is None else int(table.version())):
                raise ConflictError("the table moved on while rows were compared with it", where=f"table {place.name}")
            return _commit_staged(place, staged, table=table, commit=commit, settings=settings)
    raise AssertionError("attempts either return or raise")


def _commit_staged(
    place: Place, staged: StagedRows, *, table: DeltaTable | None, commit: CommitProperties, settings: LakeSettings
) -> int:
    known = delta.schema(table) if table is not None else None
    stored = schemas.lake_schema(staged.schema, table=place.name, known=known)
    if staged.lost():
        raise ConflictError("an erasure took rows that were on their way", where=f"table {place.name}")
    if not stored.equals(staged.schema) or (known is not None and not set(stored.names) <= set(known.names)):
        # the table's columns change with these rows, or its types are wider: delta-rs knows how
        rows = staged.reader()
        return _commit(place, rows, table=table, mode="append", commit=commit, settings=settings, event="")
    drills.point("lake.before_commit")
    version = delta.commit_files(
        place.uri,
        staged.files,
        stored,
        table=table,
        options=place.options,
        configuration=table_properties(settings, place.name),
        commit=commit,
    )
    staged.is_committed = True
    drills.point("lake.after_commit")
    return version


def attempts(most: int) -> Retrying:
    """Attempts at a commit: conflicts are tried again after a random, growing wait, and raised when it was enough."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    return Retrying(
        retry=retry_if_exception_type(ConflictError),
        stop=stop_after_attempt(most),
        wait=wait_random_exponential(multiplier=0.05, max=2.0),
        reraise=True,
    )


def _is_done(
    place: Place,
    table: DeltaTable,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    transactions: Sequence[Transaction],
    mode: str,
) -> bool:
    """Whether there is nothing to commit: the rows are in the table already, or there are neither rows nor columns."""
    import pyarrow as pa

    if transactions:
        return _covers(place, table, transactions)
    is_empty = mode == "append" and isinstance(rows, pa.Table) and rows.num_rows == 0
    return is_empty and set(rows.schema.names) <= set(delta.schema(table).names)


def _covers(place: Place, table: DeltaTable, transactions: Sequence[Transaction]) -> bool:
    """Whether the table has all parts of some rows.

    Raises:
        ConflictError: It has some, so that neither writing them all nor none would be right.
    """
    known = covered(place, table, [one.app_id for one in transactions])
    is_done = [one.app_id in known and known[one.app_id] >= one.version for one in transactions]
    if any(is_done) and not all(is_done):
        raise ConflictError("another writer committed a part of these rows", where=f"table {place.name}")
    return bool(is_done) and all(is_done)


def _commit(
    place: Place,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    table: DeltaTable | None,
    mode: Literal["append", "overwrite"],
    commit: CommitProperties,
    settings: LakeSettings,
    event: str,
) -> int:
    known = delta.schema(table) if table is not None else None
    appends = mode == "append"
    stored = schemas.lake_schema(rows.schema, table=place.name, known=known if appends else None)
    schema_mode: Literal["merge", "overwrite"] | None = None
    if known is not None and not stored.equals(known):
        schema_mode = "merge" if appends else "overwrite"
    failures: list[SchemaError] = []
    ready = schemas.cast(rows, stored, table=place.name, failures=failures)
    drills.point(f"lake.{event}before_commit")
    try:
        version = delta.write(
            place.uri,
            ready,
            table=table,
            options=place.options,
            mode=mode,
            schema_mode=schema_mode,
            configuration=table_properties(settings, place.name),
            commit=commit,
        )
    except Exception as error:
        if failures:
            raise failures[0] from None
        if type(error) is Exception:  # what the Rust side raises when a stream breaks
            raise UnavailableError("the rows could not be read or stored", where=f"table {place.name}") from error
        raise
    drills.point(f"lake.{event}after_commit")
    return version


def commit_properties(metadata: Mapping[str, str], transactions: Sequence[Transaction] = ()) -> CommitProperties:
    """Build what is noted in a commit.

    Raises:
        InputError: A metadata key is not lower-case with underscores, or is one of Delta's own.
    """
    delta.guard()
    from deltalake import CommitProperties
    from deltalake import Transaction as DeltaTransaction

    for key in metadata:
        if not _METADATA_KEY.match(key) or key in _RESERVED_KEYS:
            raise InputError(
                "a commit cannot carry this metadata key",
                where=key[:80],
                allowed=("lower-case letters, digits, _; not timestamp, operation, version",),
            )
    covered = [DeltaTransaction(one.app_id, one.version) for one in transactions]
    return CommitProperties(custom_metadata=dict(metadata), app_transactions=covered or None)


def table_properties(settings: LakeSettings, table: str) -> dict[str, str]:
    """The Delta properties of a table, so that other writers keep to its retention."""
    retention = settings.retention(table)
    return {
        "delta.logRetentionDuration": _interval(retention.log_retention),
        "delta.deletedFileRetentionDuration": _interval(retention.deleted_file_retention),
        "delta.checkpointInterval": str(settings.checkpoint_every),
        # Delta's own clean-up knows no pins; `Lake.maintain` cleans the log instead.
        "delta.enableExpiredLogCleanup": "false",
    }


def _interval(time: timedelta) -> str:
    return f"interval {int(time.total_seconds())} seconds"
