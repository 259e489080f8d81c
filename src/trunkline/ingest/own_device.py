"""A device speaks for itself alone: which field of a contract names the device, and whether a record names another.

A device that has proved who it is may not send readings in the name of another. What it sends so is no row: it is
counted, told, and kept in the quarantine as a text.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from trunkline.contracts import Contract
from trunkline.contracts.judging import names_of

__all__ = ["OwnDevice"]

_KIND: Final = "device"


class OwnDevice:
    """The check for one contract.

    Args:
        contract: The contract.
        mapping: Name in the records to field name, beside the contract's own names.
    """

    def __init__(self, contract: type[Contract], *, mapping: Mapping[str, str] | None = None) -> None:
        fields = [column.name for column in contract.columns if column.pii == _KIND]
        self.field = fields[0] if fields else ""
        names = {**names_of(contract.columns), **{name.strip().lower(): to for name, to in (mapping or {}).items()}}
        self._names = {name for name, field in names.items() if field == self.field}

    @property
    def reason(self) -> str:
        """Why a record of another device is refused."""
        return f"{self.field}.not_its_own"

    def is_other(self, record: object, device: str) -> bool:
        """Tell whether a record names a device, and not this one."""
        if not isinstance(record, Mapping):
            return False
        named = [value for name, value in record.items() if str(name).strip().lower() in self._names]
        return any(str(value).strip() != device for value in named)

    def kept(self, lines: bytes, device: str) -> bytes:
        """Put a text in the place of each line that names another device.

        Args:
            lines: Lines of JSON.
            device: The device that sent them.
        """
        return b"\n".join(
            self.refused(line) if self.is_other(orjson.loads(line), device) else line for line in lines.split(b"\n")
        )

    def refused(self, line: bytes) -> bytes:
        """What is kept of a record: its text, which is no row."""
        return orjson.dumps(f"{self.reason}: {line.decode(errors='replace')}")
