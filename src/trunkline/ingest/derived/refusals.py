"""Derived rows that break their contract: into the quarantine, in place of those that an earlier refresh left there."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.checks import arrow_schema, table_from_rows
from trunkline.checks.sealing import is_sealed_text
from trunkline.contracts import Contract
from trunkline.contracts.records import QUARANTINE, QuarantinedRow
from trunkline.ingest.derived.inputs import same
from trunkline.ingest.derived.judging import RefusedRow, texts
from trunkline.ingest.privacy import opening, sealed
from trunkline.lake import Lake, Transaction

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

__all__ = ["Refusing", "write_refusals"]

_TICK: Final = timedelta(microseconds=1)


class Refusing(Protocol):
    """Computed rows of which some were refused."""

    @property
    def quarantined(self) -> int:
        """Rows that broke the contract."""
        ...

    def refused(self) -> Iterator[list[RefusedRow]]:
        """Give them in batches, by their numbers."""
        ...


def write_refusals(
    lake: Lake,
    rows: Refusing,
    groups: "ir.Table | None",
    *,
    facts: Mapping[str, object],
    contract: type[Contract],
) -> Counter[str]:
    """Write the refused rows of a refresh, and close the open ones of earlier refreshes that it judged again.

    Args:
        lake: The lake.
        rows: The judged rows.
        groups: The groups that were computed; None is all.
        facts: What all rows share: batch, run, use case, dataset, source, instant.
        contract: Of the derived table; says whether refused rows are encrypted.

    Returns:
        How many rows failed for each reason.
    """
    import pyarrow as pa

    counts: Counter[str] = Counter()
    earlier = _judged_again(lake, groups, facts)
    if earlier:
        lake.append(
            QUARANTINE,
            table_from_rows(QuarantinedRow, earlier),
            transaction=Transaction(f"judged_again:{facts['batch_id']}", 1),
        )
    if not rows.quarantined:
        return counts
    refused = [row for part in rows.refused() for row in part]
    counts.update(reason for row in refused for reason in row.reasons)

    def batches() -> "Iterator[pa.RecordBatch]":
        for start in range(0, len(refused), 20_000):
            written = [
                {
                    **facts,
                    "quarantine_id": f"{facts['batch_id']}-{row.row_number}",
                    "row_number": row.row_number,
                    "reasons": json.dumps(row.reasons),
                    "row": json.dumps(row.row, ensure_ascii=False),
                    "state": "open",
                }
                for row in refused[start : start + 20_000]
            ]
            yield from table_from_rows(QuarantinedRow, written).to_batches()

    lake.append(
        QUARANTINE,
        pa.RecordBatchReader.from_batches(arrow_schema(QuarantinedRow), sealed(batches(), contract, lake=lake)),
        transaction=Transaction(f"quarantine:{facts['batch_id']}", 1),
    )
    return counts


def _judged_again(lake: Lake, groups: "ir.Table | None", facts: Mapping[str, object]) -> list[dict[str, object]]:
    """Give the open rows of earlier refreshes that this one has computed again, in their new state."""
    import pyarrow as pa

    if not lake.exists(QUARANTINE):
        return []
    newest = lake.current(
        QUARANTINE, key=("quarantine_id",), newest_by=("changed_at",), schema=arrow_schema(QuarantinedRow)
    )
    found = lake.engine.arrow(
        newest.filter(
            (newest["usecase"] == facts["usecase"])
            & (newest["dataset"] == facts["dataset"])
            & (newest["state"] == "open")
            & (newest["batch_id"] != facts["batch_id"])
        )
    ).to_pylist()
    if found and groups is not None:
        by = groups.columns
        values = [json.loads(_clear(row, lake)) for row in found]
        columns = {name: pa.array([row.get(name) for row in values], pa.string()) for name in by}
        held = lake.engine.table(pa.table({**columns, "_at": pa.array(range(len(found)), pa.int64())}))
        touched = texts(groups)
        kept = lake.engine.arrow(held.semi_join(touched, same(held, touched, by)).select("_at"))
        found = [found[place] for place in sorted(kept.column("_at").to_pylist())]
    at = facts["changed_at"]
    assert isinstance(at, datetime)
    return [
        {**row, "state": "replayed", "run_id": facts["run_id"], "changed_at": max(at, row["changed_at"] + _TICK)}
        for row in found
    ]


def _clear(row: Mapping[str, object], lake: Lake) -> str:
    text = str(row["row"])
    if not is_sealed_text(text):
        return text
    usecase, dataset, batch_id = (str(row[name]) for name in ("usecase", "dataset", "batch_id"))
    return opening(lake.keys, usecase=usecase, dataset=dataset, batch_id=batch_id)(int(str(row["row_number"])), text)
