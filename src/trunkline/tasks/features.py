"""What a model looks at: typed columns of the table, and arithmetic on one row.

Takes declarations, gives declarations; nothing is computed here (``base_matrix`` does). A column that is not named is
not seen by any learner.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import PlainSerializer, PlainValidator

from trunkline.contracts import Contract, Expr
from trunkline.contracts.expressions import from_data
from trunkline.errors import UseCaseError

__all__ = ["Expression", "Feature", "FeatureKind", "RowFeatures", "features_of"]

FeatureKind = Literal["number", "flag", "category"]
"""How a column becomes a number."""

RowFeatures = Mapping[str, Expr]
"""New columns by name, each an expression over the columns of one row."""


def _expression(value: object) -> Expr:
    return value if isinstance(value, Expr) else from_data(value)


Expression = Annotated[
    Expr, PlainValidator(_expression), PlainSerializer(lambda expr: expr.to_data(), return_type=list[object])
]
"""An expression as a field of a Pydantic model; JSON holds its nested lists."""


@dataclass(frozen=True)
class Feature:
    """A typed column of the table that is an input of the model.

    Attributes:
        name: The column's name.
        kind: ``number`` for integer and number columns, ``flag`` for flags, ``category`` for categories and text.
        minimum_count: Of a category: training rows a value needs for a code of its own; rarer values share "unknown".
        most_values: Of a category: the number of values with a code of their own, the most frequent first.
    """

    name: str
    kind: FeatureKind = "number"
    minimum_count: int = 1
    most_values: int = 1_000


_KIND_OF: Mapping[str, FeatureKind] = {
    "integer": "number",
    "number": "number",
    "flag": "flag",
    "category": "category",
    "text": "category",
}


def features_of(
    contract: type[Contract], *, without: Collection[str] = (), minimum_count: int = 1, most_values: int = 1_000
) -> tuple[Feature, ...]:
    """List the columns of a contract as features.

    Args:
        contract: The contract of the table.
        without: Columns to leave out: the label, identifiers, what is known too late. The key is left out anyway, as
            are columns with personal data, instants and days.
        minimum_count: As :class:`Feature`, for each category.
        most_values: As :class:`Feature`, for each category.

    Returns:
        One feature per remaining column, in the contract's order.

    Raises:
        UseCaseError: ``without`` names a column that the contract lacks.
    """
    names = [column.name for column in contract.columns]
    unknown = sorted(set(without) - set(names))
    if unknown:
        raise UseCaseError(
            f"columns to leave out are not in the contract: {', '.join(unknown)}",
            where=contract.__name__,
            allowed=names,
        )
    out = {*without, *contract.table.key}
    return tuple(
        Feature(name=column.name, kind=kind, minimum_count=minimum_count, most_values=most_values)
        for column in contract.columns
        if column.name not in out and not column.pii and (kind := _KIND_OF.get(column.kind)) is not None
    )
