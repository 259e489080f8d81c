"""Settings of ingestion: how large, deep or packed a source may be. Units stand in each field's description."""

from typing import Final

from pydantic import BaseModel, Field, model_validator

__all__ = ["CsvSettings", "IngestSettings"]

_CHARACTER: Final = r"^[\x01-\x7f]\z"


class CsvSettings(BaseModel, frozen=True, extra="forbid"):
    """The dialect of CSV files; what is not said is told from each file."""

    delimiter: str | None = Field(
        None,
        pattern=_CHARACTER,
        description="Character between two fields. None takes comma, semicolon, tab or bar, or what `sep=` in "
        "the first line names.",
    )
    quote: str | None = Field(
        None,
        pattern=r"^[\x01-\x7f]?\z",
        description="Character around fields; empty where nothing quotes. None takes double quotes, or single ones "
        "where they alone make sense of the file.",
    )
    escape: str | None = Field(
        None,
        pattern=_CHARACTER,
        description="Character before a quotation mark that ends no field. None takes the doubled mark, and a "
        "backslash where the file has it.",
    )
    comment: str | None = Field(
        None,
        pattern=_CHARACTER,
        description="Lines that begin with this character are passed over, wherever they stand. None passes over lines "
        "with `#` before the header alone.",
    )
    skip_lines: int | None = Field(
        None,
        ge=0,
        description="Lines before the header. None passes over titles of one field, where an empty line or names over "
        "numbers follow (lines).",
    )

    @model_validator(mode="after")
    def _each_its_own(self) -> "CsvSettings":
        said = {
            "delimiter": self.delimiter,
            "quote": '"' if self.quote is None else self.quote,
            "escape": self.escape,
            "comment": self.comment,
        }
        names: dict[str, str] = {}
        for name, character in said.items():
            if not character:
                continue
            if character in "\r\n":
                raise ValueError(f"`{name}` is the end of a line")
            if character in names:
                raise ValueError(f"`{names[character]}` and `{name}` are the same character, {character!r}")
            names[character] = name
        return self


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
    csv: CsvSettings = Field(CsvSettings(), description="The dialect of CSV files, where it is said.")
    reject_budget: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Largest share of a batch's rows that may break their contract; a batch with more is stopped and "
        "nothing of it is written. None allows any; `Table(reject_budget=...)` of a contract wins (share).",
    )
