"""Settings of personal data: where keys lie, and how much is encrypted."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

__all__ = ["PrivacySettings"]


class PrivacySettings(BaseModel, frozen=True, extra="forbid"):
    """Keys of pseudonyms and of encryption. Which fields are protected stands in the contracts."""

    key_folder: Path | None = Field(
        None,
        description="Folder of the key files (`keyring.json`, `master.key`), readable by their owner alone and made "
        "on first need; none means `keys` in the workspace. Whoever copies the workspace copies that, too: name a "
        "folder elsewhere where copies leave the host.",
    )
    master_key: SecretStr | None = Field(
        None,
        description="Key under which all other keys are encrypted: 32 bytes as base64, e.g. from a secret store; none "
        "means the file `master.key`.",
    )
    previous_master_key: SecretStr | None = Field(
        None,
        description="The key that `master_key` takes the place of, while `trunkline maintain --rotate-keys encryption` "
        "has not run yet.",
    )
    encrypt: Literal["protected", "personal"] = Field(
        "protected",
        description="Where refused rows, raw copies and the durable log are encrypted. protected: in datasets of which "
        "a field is kept as a pseudonym; personal: in all with personal data, also where the lake keeps it in clear.",
    )
