"""Blocks of a file, judged one by one: texts typed by Arrow, limits and rules by an engine's compiled expression.

Takes blocks of raw texts under the names of fields and gives each of them typed, with the verdicts on its rows. The
verdicts are those of :func:`trunkline.checks.split_expression` and of the edge; a block is all that is in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.checks.arrays import text_readers
from trunkline.checks.columns import Resolution
from trunkline.checks.schemas import arrow_schema
from trunkline.checks.split import ROW, Split, broken_expression, unfused
from trunkline.contracts import Contract

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["BlockJudge", "JudgedBlock"]

Compile = Callable[["Callable[[ir.Table], ir.Table]", "pa.Schema"], "Callable[[pa.Table], pa.Table]"]
"""How an engine compiles an expression over one table, see :meth:`trunkline.engine.Engine.compiled`."""


@dataclass(frozen=True)
class JudgedBlock:
    """A block after the split.

    Attributes:
        rows: The contract's columns, all rows of the block; those of refused rows mean nothing.
        refused: Positions of the rows that broke something, ascending.
        reasons: Reason codes of each of them.
    """

    rows: "pa.Table"
    refused: "npt.NDArray[np.int64]"
    reasons: Sequence[Sequence[str]]


class BlockJudge:
    """Judges the blocks of one source. Threads may share it.

    Args:
        contract: What the rows must look like.
        resolution: Which source column is which field.
        compiled: Compiles the limits and rules.
    """

    def __init__(self, contract: type[Contract], resolution: Resolution, *, compiled: Compile) -> None:
        import pyarrow as pa

        self._readers = text_readers(contract)
        self._schema = arrow_schema(contract)
        self._source_of = resolution.source_of
        splits: list[Split] = []

        def build(typed: "ir.Table") -> "ir.Table":
            splits.append(broken_expression(contract, typed, resolution))
            return splits[-1].table

        with unfused():
            self._broken = compiled(build, self._schema.insert(0, pa.field(ROW, pa.int64())))
        self._split = splits[-1]
        self._bit = {reason: place for place, reason in enumerate(self._split.reasons)}

    def judge(self, texts: "Mapping[str, pa.Array]", *, rows: int) -> JudgedBlock:
        """Judge a block.

        Args:
            texts: Raw texts by source column; those that no field claims are left alone.
            rows: How many there are.

        Returns:
            The block with its verdicts.
        """
        import numpy as np
        import pyarrow as pa

        columns, malformed = [], {}
        for name, reader in self._readers.items():
            if name not in self._source_of:
                columns.append(reader.absent(rows))
                continue
            typed = reader.read(texts[self._source_of[name]])
            columns.append(typed.values)
            if len(typed.malformed):
                malformed[name] = typed.malformed
        table = pa.Table.from_arrays(columns, schema=self._schema)
        broken = self._broken(table.add_column(0, ROW, pa.array(np.arange(rows, dtype=np.int64))))
        found = {
            place: list(masks)
            for place, *masks in zip(
                broken.column(ROW).to_pylist(),
                *(broken.column(mask).to_pylist() for mask in self._split.masks),
                strict=True,
            )
        }
        self._correct(found, malformed)
        refused = sorted(found)
        return JudgedBlock(
            table, np.array(refused, dtype=np.int64), [self._split.decode(found[place]) for place in refused]
        )

    def _correct(self, found: dict[int, list[int]], malformed: "Mapping[str, npt.NDArray[np.int64]]") -> None:
        """Malformed is another reason than null, which the compiled expression could not tell."""
        for name, places in malformed.items():
            type_mask, type_bit = divmod(self._bit[f"{name}.type"], Split.BITS)
            null = self._bit.get(f"{name}.null")
            for place in places.tolist():
                masks = found.setdefault(place, [0] * len(self._split.masks))
                masks[type_mask] |= 1 << type_bit
                if null is not None:
                    masks[null // Split.BITS] &= ~(1 << null % Split.BITS)
