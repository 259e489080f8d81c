"""Which readings of a dataset are drawn as they come: data of the use case, for the console's live page.

Refused when the use case is made (``UseCaseError``): a dataset or a field that does not exist, values that are no
numbers, and a kind that could name a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.contracts import Contract
from trunkline.errors import UseCaseError

__all__ = ["LiveChart", "refuse_undrawable"]


@dataclass(frozen=True, kw_only=True)
class LiveChart:
    """The last readings of some devices, a chart for each device and kind of reading.

    Attributes:
        dataset: Whose rows, by the event time of their contract.
        by: Fields that name a device; they are not shown.
        values: Numbers, a line each; those that a kind does not have are left out.
        kind: Field that says what was read, which is shown; None where all rows are of one kind.
    """

    dataset: str
    by: tuple[str, ...]
    values: tuple[str, ...]
    kind: str | None = None


def refuse_undrawable(charts: Sequence[LiveChart], datasets: Mapping[str, type[Contract]], *, where: str) -> None:
    """Refuse charts that could not be drawn.

    Args:
        charts: What was declared.
        datasets: The contracts of the use case's datasets.
        where: Names the use case.

    Raises:
        UseCaseError: What is wrong, and what is allowed.
    """
    for chart in charts:
        here = f"{where}, live chart of {chart.dataset!r}"
        if chart.dataset not in datasets:
            raise UseCaseError(f"the dataset {chart.dataset!r} does not exist", where=here, allowed=datasets)
        contract = datasets[chart.dataset]
        columns = {column.name: column for column in contract.columns}
        if contract.table.event_at is None:
            raise UseCaseError("its contract has no event time", where=here, next_step="name it: event_at")
        if not chart.by or not chart.values:
            raise UseCaseError("a chart needs a device and a value", where=here)
        for name in (*chart.by, *chart.values, *((chart.kind,) if chart.kind else ())):
            if name not in columns:
                raise UseCaseError(f"the contract has no {name!r}", where=here, allowed=columns)
        for name in chart.values:
            if columns[name].kind not in ("number", "integer"):
                raise UseCaseError(f"{name!r} is no number, so it cannot be drawn", where=here)
        if chart.kind and columns[chart.kind].pii:
            raise UseCaseError(f"{chart.kind!r} is personal data, and the page would show it", where=here)
