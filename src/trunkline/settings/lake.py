"""Settings of the lake: retention, locks, compaction. Units stand in each field's description."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

__all__ = ["LakeSettings"]


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
    lock_timeout_s: float = Field(
        30.0, ge=0, description="Longest wait for another writer of the same table before giving up (seconds)."
    )
    commit_attempts: int = Field(
        5, ge=1, description="How often a commit is tried when writers outside Trunkline conflict with it (attempts)."
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
