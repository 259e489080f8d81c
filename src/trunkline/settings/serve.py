"""Settings of the prediction server. Units stand in each field's description."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

__all__ = ["ApiKey", "Role", "ServeSettings"]

Role = Literal["reader", "operator", "admin"]
"""A reader asks for predictions and reads; an operator also sends outcomes and data; an admin may do everything."""


class ApiKey(BaseModel, frozen=True, extra="forbid"):
    """A key and what its holder may do."""

    name: str = Field(min_length=1, max_length=80, description="Whose key it is; appears in logs, unlike the key.")
    role: Role = Field("reader", description="What its holder may do: reader, operator or admin.")
    key: Annotated[SecretStr, Field(min_length=16)] = Field(description="The key; at least 16 characters.")


class ServeSettings(BaseModel, frozen=True, extra="forbid"):
    """Where the server listens, who may ask, and how much at once."""

    host: str = Field("127.0.0.1", description="Address to bind; anything wider than loopback needs an API key.")
    port: int = Field(8321, ge=0, le=65535, description="Port to bind; 0 takes a free one.")
    api_keys: tuple[ApiKey, ...] = Field(
        (), description="Keys that are asked for, as JSON in the environment; with none, loopback is open to all."
    )
    max_body_mb: float = Field(8.0, gt=0, description="Largest request (MiB); larger ones are refused with 413.")
    max_rows: int = Field(10_000, ge=1, description="Most rows of one request; more are refused with 413.")
    max_connections: int = Field(
        1_000, ge=1, description="Connections and requests under way at once; further ones are refused with 503."
    )
    reload_every_s: float = Field(
        1.0, gt=0, description="How often the server looks for a newly promoted model (seconds)."
    )
