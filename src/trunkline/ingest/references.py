"""References of a dataset to others, looked up in the lake block by block while a file is judged.

What is there is read once per file, at the version that the lake has then. A dataset that was never taken in has no
rows, so that everything that refers to it is missing.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from trunkline.checks import ROW, arrow_schema, missing_rows
from trunkline.contracts import Contract, Reference
from trunkline.lake import Lake

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["References"]

_STREAMED_ROWS: Final = 131_072


class References:
    """Looks up the references of one contract. Threads may share it.

    Args:
        contract: Has the references.
        usecase: The use case whose datasets they name.
        lake: Holds those datasets.
        only_reported: Leaves alone those references whose rows would go to the quarantine.
    """

    def __init__(self, contract: type[Contract], *, usecase: str, lake: Lake, only_reported: bool = False) -> None:
        self._schema = arrow_schema(contract)
        self._there: list[ir.Table] = []  # the engine drops what nobody holds
        self._checks = {
            reference: self._compiled(reference, f"{usecase}.{reference.dataset}", lake)
            for reference in contract.table.references
            if reference.missing == "report" or not only_reported
        }

    def missing(self, rows: "pa.Table") -> "Mapping[Reference, npt.NDArray[np.int64]]":
        """Find the rows whose references are missing.

        Args:
            rows: The contract's columns, typed.

        Returns:
            Positions of those rows, ascending, by reference; references that no row misses are left out.
        """
        import numpy as np
        import pyarrow as pa

        found = {}
        for reference, check in self._checks.items():
            numbered = rows.select([*dict.fromkeys(reference.columns)]).add_column(
                0, ROW, pa.array(np.arange(rows.num_rows, dtype=np.int64))
            )
            places = check(numbered).column(ROW).to_numpy()
            if len(places):
                found[reference] = np.sort(places).astype(np.int64)
        return found

    def _compiled(self, reference: Reference, table: str, lake: Lake) -> "Callable[[pa.Table], pa.Table]":
        import pyarrow as pa

        names = [*dict.fromkeys(reference.columns)]
        schema = pa.schema([pa.field(ROW, pa.int64()), *(self._schema.field(name) for name in names)])
        if lake.exists(table):
            given = lake.read(table).select(*reference.to).distinct()
            stream = lake.engine.batches(given, rows=_STREAMED_ROWS)
        else:
            kinds = dict(zip(reference.to, reference.columns, strict=True))
            empty = pa.schema([pa.field(to, self._schema.field(name).type) for to, name in kinds.items()])
            stream = pa.RecordBatchReader.from_batches(empty, [])
        there = lake.engine.table(stream)
        self._there.append(there)
        return lake.engine.compiled(lambda rows: missing_rows(rows, there, reference).select(ROW), schema)
