"""Settings of what the program says while it works."""

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["LogSettings"]


class LogSettings(BaseModel, frozen=True, extra="forbid"):
    """Form and level of the log on standard error. It holds neither secrets nor values of rows."""

    format: Literal["text", "json"] = Field(
        "text", description="text: lines for people; json: one object a line, with usecase, run_id and batch_id."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is written. As text, info is written by the server alone."
    )
