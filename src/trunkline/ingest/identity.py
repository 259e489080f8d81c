"""What a batch is: whose rows, from where, and the identity that follows from its content.

The same content under the same contract, mapping and said dialect is the same batch, however often it is handed in.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trunkline.contracts import Contract
from trunkline.ingest.files import DEFAULT_LIMITS, content_sha256, reads_dialect, split_sheet
from trunkline.ingest.landing import Landed
from trunkline.lake import Transaction
from trunkline.settings.ingest import IngestSettings
from trunkline.spec.dialect import CsvDialect

__all__ = ["Batch", "Target", "batch_of", "receipt_transaction"]


def receipt_transaction(batch_id: str) -> Transaction:
    """Under which the receipt of a batch is committed.

    Args:
        batch_id: The batch.
    """
    return Transaction(f"receipt:{batch_id}", 1)


@dataclass(frozen=True)
class Target:
    """Where a batch goes.

    Attributes:
        usecase: The use case's name.
        dataset: The dataset's name.
        contract: What its rows must look like.
    """

    usecase: str
    dataset: str
    contract: type[Contract]

    @property
    def table(self) -> str:
        """Name of the lake table."""
        return f"{self.usecase}.{self.dataset}"


@dataclass(frozen=True)
class Batch:
    """Who writes what: the parts that rows, quarantine and receipt share.

    Attributes:
        batch_id: Derived from content, target and contract.
        run_id: The run that asks for it.
        target: Where it goes.
        source: The file, or where a piece was pulled from.
        content_sha256: Of the file.
        size_bytes: Of the file as it came; None where it was not counted.
        piece_id: In the landing zone; None for a file handed over by its path.
        mapping: Source column to field name, from the user.
        started_at: When it was begun; also when its rows count as ingested.
        instead: The batch whose place it takes and whose rows leave the table after it; None where there is none.
        accepted_at: When the oldest of its records was accepted, for chunks of a topic; None for others.
        csv: The dialect in which it is read, for CSV of which something is said; None for others.
    """

    batch_id: str
    run_id: str
    target: Target
    source: str
    content_sha256: str
    size_bytes: int | None
    piece_id: str | None
    mapping: Mapping[str, str] | None
    started_at: datetime
    instead: str | None = None
    accepted_at: datetime | None = None
    csv: CsvDialect | None = None

    @property
    def receipt_transaction(self) -> Transaction:
        """Under which its receipt is committed."""
        return receipt_transaction(self.batch_id)

    @property
    def quarantine_transaction(self) -> Transaction:
        """Under which its refused rows are committed."""
        return Transaction(f"quarantine:{self.batch_id}", 1)

    @property
    def rows_transaction(self) -> Transaction:
        """Under which its rows are committed."""
        return Transaction(f"rows:{self.batch_id}", 1)


def batch_of(
    path: Path,
    target: Target,
    *,
    run_id: str,
    clock: Callable[[], datetime],
    mapping: Mapping[str, str] | None = None,
    piece: Landed | None = None,
    instead: str | None = None,
    limits: IngestSettings = DEFAULT_LIMITS,
) -> Batch:
    """Tell the batch that a file is.

    Args:
        path: A file of a known form.
        target: Where it goes.
        run_id: The run that asks for it.
        clock: Gives the current instant.
        mapping: Source column to field name, from the user.
        piece: Its piece in the landing zone.
        instead: The batch whose place this one takes.
        limits: Under which it is read, with what is said of the dialect.

    Raises:
        SourceError: The file is missing or unreadable.
    """
    content = piece.content_sha256 if piece else content_sha256(path)
    csv = limits.csv if limits.csv.said and reads_dialect(path, limits) else None
    return Batch(
        batch_id=_batch_id(content, target, mapping or {}, piece=piece, instead=instead, csv=csv),
        run_id=run_id,
        target=target,
        source=piece.origin if piece else str(path),
        content_sha256=content,
        size_bytes=piece.size_bytes if piece else _size(path),
        piece_id=piece.piece_id if piece else None,
        mapping=mapping,
        started_at=clock().astimezone(UTC),
        instead=instead,
        csv=csv,
    )


def _size(path: Path) -> int | None:
    """Bytes of a file that was just read; a sheet is a part of one."""
    path, sheet = split_sheet(path)
    return None if sheet is not None else path.stat().st_size


def _batch_id(
    content: str,
    target: Target,
    mapping: Mapping[str, str],
    *,
    piece: Landed | None,
    instead: str | None,
    csv: CsvDialect | None,
) -> str:
    parts: list[object] = [content, target.table, target.contract.fingerprint, sorted(mapping.items())]
    if piece is not None and piece.number:
        parts.append(piece.piece_id)
    # a piece of a pulled source comes in once, whatever is said of it when it does
    if csv is not None and (piece is None or not piece.number or instead is not None):
        parts.append({"csv": csv.said})
    if instead is not None:
        parts.append({"instead": instead})
    said = json.dumps(parts)
    return hashlib.sha256(said.encode()).hexdigest()[:24]
