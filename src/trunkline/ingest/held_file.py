"""A file that fits into memory, judged there; nothing is written."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.checks import ROW, JudgedBlock
from trunkline.contracts import Contract
from trunkline.engine import Engine
from trunkline.ingest.files import DEFAULT_LIMITS, open_file
from trunkline.ingest.judged import good_schema, judge
from trunkline.ingest.repeats import repeated
from trunkline.settings.ingest import IngestSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HeldFile", "judged_file"]


@dataclass(frozen=True)
class HeldFile:
    """A judged file whose good rows are in memory.

    Attributes:
        rows: Good rows, also those that repeat a key.
        read: Rows of the file.
        accepted: Good rows that do not repeat a key.
        duplicates: Good rows that do.
        counts: How many rows failed for each reason.
        texts: The raw texts under the source's names, with ``_row``.
    """

    rows: "pa.Table"
    read: int
    accepted: int
    duplicates: int
    counts: Counter[str]
    texts: "pa.Table"

    def reasons(self) -> Counter[str]:
        """Count how many rows failed for each reason."""
        return self.counts


@contextmanager
def judged_file(
    path: Path,
    contract: type[Contract],
    *,
    engine: Engine,
    mapping: Mapping[str, str] | None = None,
    optional: tuple[str, ...] = (),
    limits: IngestSettings = DEFAULT_LIMITS,
    protect: Callable[[JudgedBlock], JudgedBlock] | None = None,
) -> Iterator[HeldFile]:
    """Judge a file that fits into memory, and write nothing.

    Args:
        path: A file of a known form.
        contract: What its rows must look like.
        engine: Looks for repeated keys, and says how many threads work.
        mapping: Source column to field name, from the user.
        optional: Fields that may be absent or null although they are not nullable.
        limits: How long, wide and large the file may be.
        protect: Replaces personal identifiers in a judged block; None leaves them as they are.

    Yields:
        The judged file.

    Raises:
        SourceError: The file cannot be read whole, or has no rows.
        SchemaError: Its columns do not fit.
    """
    import pyarrow as pa

    held: list[pa.Table] = []
    raw: list[pa.Table] = []
    opened = open_file(path, limits=limits)
    judged = judge(
        opened,
        contract,
        engine=engine,
        mapping=mapping,
        optional=optional,
        sink=held.append,
        texts=lambda block: raw.append(block.texts.add_column(0, ROW, block.numbers)),
        protect=protect,
    )
    judged.refusals.close()
    schema = good_schema(contract)
    rows = pa.concat_tables(held).sort_by(ROW) if held else schema.empty_table()
    names = [ROW, *opened.header]
    texts = pa.concat_tables(raw).rename_columns(names) if raw else pa.table({name: [] for name in names[:1]})
    again = None if judged.order.is_growing else repeated(engine.table(rows), contract.table, engine=engine)
    duplicates = 0 if again is None else len(again)
    yield HeldFile(rows, judged.read, judged.good - duplicates, duplicates, judged.reasons, texts)
