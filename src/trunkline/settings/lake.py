"""Settings of the lake: retention, locks, compaction. Units stand in each field's description."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

__all__ = ["LakeSettings", "Retention"]


class Retention(BaseModel, frozen=True, extra="forbid"):
    """How long a table keeps what its newest version does not need."""

    log_retention: timedelta = Field(
        ge=timedelta(0), description="Time for which past versions stay in the table's log and can be named (hours)."
    )
    deleted_file_retention: timedelta = Field(
        ge=timedelta(0),
        description="Time for which data files that the newest version no longer uses stay readable (hours).",
    )


class LakeSettings(BaseModel, frozen=True, extra="forbid"):
    """How the lake keeps, locks and folds its tables."""

    log_retention: timedelta = Field(
        timedelta(days=30),
        ge=timedelta(0),
        description="Time for which past versions stay in a table's log and can be named (days).",
    )
    deleted_file_retention: timedelta = Field(
        timedelta(days=7),
        ge=timedelta(0),
        description="Time for which data files that the newest version no longer uses stay readable (days).",
    )
    tables: Mapping[str, Retention] = Field(
        {
            "platform.predictions": Retention(
                log_retention=timedelta(hours=6), deleted_file_retention=timedelta(hours=6)
            )
        },
        description="Retention of single tables, by name. A table with a commit each second needs a short one: its log "
        "has a file per commit.",
    )
    vacuum_grace: timedelta = Field(
        timedelta(hours=1),
        ge=timedelta(0),
        description="Least age of a file that vacuum removes, whatever the retention says (hours, rounded up to whole "
        "ones); readers that hold an older list of files finish within it.",
    )
    checkpoint_every: int = Field(
        20,
        ge=1,
        description="Commits between two checkpoints of a table's log (commits); readers replay at most these.",
    )
    compact_after_files: int = Field(
        32, ge=2, description="Number of data files of one table above which maintenance folds them (files)."
    )
    target_file_mb: int = Field(128, ge=1, description="Size of the files that compaction aims at (MiB).")
    price_per_gb_month: float = Field(
        0.023,
        ge=0,
        description="What a gigabyte (10^9 bytes) costs a month, for the cost that is shown of each table; the default "
        "is a usual price of object stores, in US dollars.",
    )
    lock_timeout_s: float = Field(
        30.0, ge=0, description="Longest wait for another writer of the same table before giving up (seconds)."
    )
    commit_attempts: int = Field(
        5, ge=1, description="How often a commit is tried when writers outside Trunkline conflict with it (attempts)."
    )
    flush_every_s: float = Field(
        1.0, ge=0, description="Least time between two commits of a flusher to a hot table (seconds)."
    )
    lock_folder: Path | None = Field(
        None,
        description="Folder for the lock files; none means `.locks` below a local lake. A lake on an object store that "
        "only one host writes needs it.",
    )
    lease_url: SecretStr | None = Field(
        None,
        description="PostgreSQL URL (postgresql://...) whose advisory locks guard a lake that several hosts write; "
        "none means lock files.",
    )

    def retention(self, table: str) -> Retention:
        """The retention of one table: its own entry in ``tables``, or the lake's."""
        own = self.tables.get(table)
        if own is not None:
            return own
        return Retention(log_retention=self.log_retention, deleted_file_retention=self.deleted_file_retention)
