"""Settings of what the program says while it works, on standard error and in files."""

from typing import Literal

from pydantic import BaseModel, Field, field_validator

__all__ = ["LogSettings"]


class LogSettings(BaseModel, frozen=True, extra="forbid"):
    """Form and level of the log. It holds neither secrets nor values of rows."""

    format: Literal["text", "json"] = Field(
        "text", description="text: lines for people; json: one object a line, with usecase, run_id and batch_id."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is written. As text, info is written by the server alone."
    )
    files: int = Field(
        5,
        ge=0,
        le=1000,
        description="Files of the log of runs, `logs/USECASE.jsonl` in the workspace, that are kept; 0 writes none.",
    )
    file_mb: float = Field(10.0, gt=0, le=10_000, description="Size at which a file of the log is rotated (MiB).")

    @field_validator("files")
    @classmethod
    def _that_rotate(cls, files: int) -> int:
        if files == 1:
            raise ValueError("one file cannot rotate: it must be 0, or 2 and more")
        return files
