"""The ledger: who let which model out to customers, on what evidence. Append-only and hash-chained.

One JSON object a line. Each entry carries the hash of the one before and its own, so a changed, removed or inserted
line breaks the chain at a line that can be named. What a chain cannot see, the loss of its newest lines, is seen by the
live manifest, which names the entry that gave each alias.

A process killed while appending leaves a last line without its newline. Nobody was told that this entry exists, so it
is no damage: readers leave it out and the next append removes it. Any other deviation is ``TamperedError``.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from trunkline.errors import TamperedError
from trunkline.files import sync
from trunkline.settings import drills

__all__ = ["GENESIS", "Event", "Ledger", "LedgerEntry"]

GENESIS = "0" * 64
"""What the first entry names as the one before it."""

Event = Literal["registered", "promoted", "rolled_back", "refused", "retired"]
"""What a ledger entry says happened."""


class LedgerEntry(BaseModel):
    """One thing that was done to a model.

    Attributes:
        seq: 1, 2, ... over the whole ledger.
        event: What was done.
        usecase: The use case.
        version: The version it was done to; empty for a refused candidate, which never becomes a version.
        alias: The alias that was given; None where the event gives none.
        run_id: The run that trained the version.
        approver: Who or what decided: a person's name, or ``gates``.
        evidence: Gate results, and for ``registered`` the version's metrics, tags and file hashes.
        at: When, UTC.
        prev: ``sha256`` of the entry before.
        sha256: Of all the above.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int = Field(ge=1)
    event: Event
    usecase: str
    version: str
    alias: str | None = None
    run_id: str = ""
    approver: str = ""
    evidence: JsonValue = None
    at: datetime
    prev: str
    sha256: str = ""

    def hashed(self) -> str:
        """Hash everything but ``sha256`` itself, as canonical JSON."""
        document = self.model_dump(mode="json", exclude={"sha256"})
        return hashlib.sha256(_canonical(document)).hexdigest()


class Ledger:
    """The ledger of one workspace."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        """Point at the file; nothing is read or made yet.

        Args:
            path: The file; made by the first append.
            clock: Gives the present instant, UTC.
        """
        self.path = path
        self._clock = clock
        self._lock_path = path.parent / "locks" / f"{path.stem}.lock"

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Read and verify all entries, oldest first.

        Raises:
            TamperedError: A line is not what was written.
        """
        return self._parse(self._read())

    def verify(self) -> int:
        """Prove that the chain is whole.

        Returns:
            Number of entries.

        Raises:
            TamperedError: A line is not what was written; ``where`` names the file and line.
        """
        return len(self.entries())

    def append(
        self,
        event: Event,
        *,
        usecase: str,
        version: str,
        alias: str | None = None,
        run_id: str = "",
        approver: str = "",
        evidence: JsonValue = None,
    ) -> LedgerEntry:
        """Add an entry; it is on disk when this returns.

        Raises:
            TamperedError: The ledger is damaged; nothing is added then.
        """
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock_path):
            content = self._read()
            entries = self._parse(content)
            entry = LedgerEntry(
                seq=len(entries) + 1,
                event=event,
                usecase=usecase,
                version=version,
                alias=alias,
                run_id=run_id,
                approver=approver,
                evidence=_finite(evidence),
                at=self._clock(),
                prev=entries[-1].sha256 if entries else GENESIS,
            )
            entry = entry.model_copy(update={"sha256": entry.hashed()})
            self._write(_canonical(entry.model_dump(mode="json")) + b"\n", after=_whole(content))
        return entry

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _parse(self, content: bytes) -> tuple[LedgerEntry, ...]:
        entries: list[LedgerEntry] = []
        for number, line in enumerate(content[: _whole(content)].splitlines(), start=1):
            try:
                entry = LedgerEntry.model_validate_json(line)
            except ValidationError as error:
                raise self._tampered(number, "is not an entry") from error
            if entry.seq != number or entry.prev != (entries[-1].sha256 if entries else GENESIS):
                raise self._tampered(number, "does not follow the line before")
            if entry.sha256 != entry.hashed() or line != _canonical(entry.model_dump(mode="json")):
                raise self._tampered(number, "was changed")
            entries.append(entry)
        return tuple(entries)

    def _write(self, line: bytes, *, after: int) -> None:
        """Write one line behind the last whole one, over whatever a killed process left there."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, after)
            drills.point("ledger.before_write")
            half = len(line) // 2
            os.pwrite(descriptor, line[:half], after)
            drills.point("ledger.torn_write")
            os.pwrite(descriptor, line[half:], after + half)
            drills.point("ledger.before_fsync")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        drills.point("ledger.after_fsync")
        if not after:
            sync(self.path.parent)

    def _tampered(self, line: int, how: str) -> TamperedError:
        return TamperedError(
            f"line {line} of the ledger {how}",
            where=f"{self.path}, line {line}",
            next_step="restore ledger.jsonl from a backup; find out who wrote to it: Trunkline only ever appends",
        )


def _whole(content: bytes) -> int:
    """Bytes up to and with the last newline; what follows was never acknowledged."""
    return content.rfind(b"\n") + 1


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _finite(value: JsonValue) -> JsonValue:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list) else value
