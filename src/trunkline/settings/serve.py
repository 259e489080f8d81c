"""Settings of the prediction server. Units stand in each field's description."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator

__all__ = ["ApiKey", "Role", "ServeSettings"]

Role = Literal["reader", "operator", "admin"]
"""A reader asks for predictions and reads, personal data masked; an operator also sends outcomes and data, and exports
tables, masked; an admin may do everything and sees everything."""


class ApiKey(BaseModel, frozen=True, extra="forbid"):
    """A key and what its holder may do."""

    name: str = Field(min_length=1, max_length=80, description="Whose key it is; appears in logs, unlike the key.")
    role: Role = Field("reader", description="What its holder may do: reader, operator or admin.")
    key: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        None, description="The key; at least 16 characters. Either this or key_sha256."
    )
    key_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the key in hexadecimal, so that the settings do not hold the key: "
        "printf %s KEY | sha256sum. The key must be random and long, e.g. openssl rand -hex 24.",
    )

    @model_validator(mode="after")
    def _one(self) -> "ApiKey":
        if (self.key is None) == (self.key_sha256 is None):
            raise ValueError("say either `key` or `key_sha256`")
        return self

    @property
    def sha256(self) -> bytes:
        """The digest by which the key is known."""
        if self.key is not None:
            return hashlib.sha256(self.key.get_secret_value().encode()).digest()
        return bytes.fromhex(self.key_sha256 or "")


class ServeSettings(BaseModel, frozen=True, extra="forbid"):
    """Where the server listens, who may ask, and how much at once."""

    host: str = Field("127.0.0.1", description="Address to bind; anything wider than loopback needs an API key.")
    port: int = Field(8321, ge=0, le=65535, description="Port to bind; 0 takes a free one.")
    tls_certificate: Path | None = Field(
        None, description="The server's certificate with its chain (PEM file); with it the server speaks HTTPS alone."
    )
    tls_key: Path | None = Field(None, description="The key of tls_certificate (PEM file).")
    tls_key_password: SecretStr | None = Field(None, description="The password of tls_key, where it has one.")
    tls_client_ca: Path | None = Field(
        None, description="Whose client certificates are taken (PEM file); by them devices may be known."
    )
    tls_client_required: bool = Field(
        default=False, description="Whether a client without a certificate is refused by TLS itself."
    )
    api_keys: tuple[ApiKey, ...] = Field(
        (), description="Keys that are asked for, as JSON in the environment; with none, loopback is open to all."
    )
    max_body_mb: float = Field(8.0, gt=0, description="Largest request (MiB); larger ones are refused with 413.")
    max_rows: int = Field(10_000, ge=1, description="Most rows of one request; more are refused with 413.")
    max_connections: int = Field(
        1_000, ge=1, description="Connections and requests under way at once; further ones are refused with 503."
    )
    export_rows: int = Field(
        100_000, ge=1, description="Most rows of one export of a table from the console; further ones are left out."
    )
    reload_every_s: float = Field(
        1.0, gt=0, description="How often the server looks for a newly promoted model (seconds)."
    )

    @model_validator(mode="after")
    def _whole_tls(self) -> "ServeSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("`tls_certificate` and `tls_key` belong together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("`tls_client_ca` needs `tls_certificate`")
        if self.tls_client_required and self.tls_client_ca is None:
            raise ValueError("`tls_client_required` needs `tls_client_ca`")
        return self
