"""Settings of ingestion: how large, deep or packed a source may be. Units stand in each field's description."""

from pydantic import BaseModel, Field

from trunkline.spec.dialect import CsvDialect

__all__ = ["IngestSettings"]


class IngestSettings(BaseModel, frozen=True, extra="forbid"):
    """Limits of what is read. They keep a hostile or broken file from taking memory, disk or time without end."""

    max_record_mb: int = Field(
        4, ge=1, le=1024, description="Longest single row, JSON object or XML text that is read (MiB)."
    )
    max_block_mb: int = Field(
        64, ge=1, le=1024, description="Largest unpacked block of an Avro file; a block is in memory as a whole (MiB)."
    )
    max_columns: int = Field(10_000, ge=1, description="Most columns a source may have (columns).")
    max_refused_mb: int = Field(
        256,
        ge=1,
        description="Most text of lines that are no rows, and of suspect rows, that one file may hand to the "
        "quarantine; they are held in memory (MiB).",
    )
    max_expanded_ratio: int = Field(
        250,
        ge=2,
        description="How many times larger than itself a compressed file may become; looked at once it has given "
        "64 MiB (times).",
    )
    max_expanded_gb: int = Field(100, ge=1, description="Most bytes that a compressed file may give (GiB).")
    max_archive_files: int = Field(
        100_000,
        ge=1,
        description="Most files that an archive of several files may hold, with those that are passed over (files).",
    )
    max_excel_mb: int = Field(64, ge=1, description="Largest spreadsheet that is read, as it lies on disk (MiB).")
    max_excel_expanded_mb: int = Field(
        1024, ge=1, description="Most bytes that a spreadsheet's parts, and its cells as text, may take (MiB)."
    )
    max_excel_memory_mb: int = Field(
        2048, ge=128, description="Memory of the process that reads a spreadsheet; it cannot take more (MiB)."
    )
    excel_timeout_s: float = Field(
        300.0, gt=0, description="Longest time for reading a spreadsheet before giving up (seconds)."
    )
    csv: CsvDialect = Field(
        CsvDialect(), description="The dialect of CSV files, where it is said; declared sources may have their own."
    )
    reject_budget: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Largest share of a batch's rows that may break their contract; a batch with more is stopped and "
        "nothing of it is written. None allows any; `Table(reject_budget=...)` of a contract wins (share).",
    )

    def with_dialect(self, own: CsvDialect) -> "IngestSettings":
        """Give the limits of a source that says something of its own dialect.

        Args:
            own: What it says; what it leaves open is as it is here.

        Raises:
            ValueError: The two do not go together.
        """
        return self.model_copy(update={"csv": own.over(self.csv)}) if own.model_fields_set else self
