"""What a declaration of windows computes, as a hash: other windows where it is another one."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trunkline.ingest.derived.judging import recipe
from trunkline.spec import UseCase
from trunkline.spec.derived import Derived
from trunkline.spec.windows import Windowed

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["windows_recipe"]

_RECIPES: Final[dict[int, tuple[Windowed, str]]] = {}


def windows_recipe(usecase: UseCase, name: str, windowed: Windowed) -> str:
    """Hash what the declaration computes; building its SQL takes half a second, so a process does it once.

    Args:
        usecase: Declares them.
        name: Of the table of windows.
        windowed: Its declaration.

    Raises:
        UseCaseError: An expression cannot be built, or lacks a column that its contract needs.
    """
    held_one = _RECIPES.get(id(windowed))
    if held_one is None or held_one[0] is not windowed:
        held_one = _RECIPES[id(windowed)] = (windowed, _hashed(usecase, name, windowed))
    return held_one[1]


def _hashed(usecase: UseCase, name: str, windowed: Windowed) -> str:
    inputs = (windowed.dataset, *(lookup.dataset for lookup in windowed.lookups))
    contracts = {one: usecase.datasets[one] for one in inputs}
    event_at = str(contracts[windowed.dataset].table.event_at)

    def expression(tables: "Mapping[str, ir.Table]") -> "ir.Table":
        return windowed.rows(windowed.placed(tables[windowed.dataset], event_at=event_at), tables)

    derived = Derived(contract=windowed.contract, inputs=inputs, expression=expression)
    said = [
        recipe(derived, contracts, where=f"use case {usecase.name!r}, windows {name!r}"),
        repr(windowed.scores),
        {
            one: [rule.when.to_data(), rule.severity, rule.cooldown.total_seconds()]
            for one, rule in windowed.rules.items()
        },
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
