"""What classification and regression declare alike.

Takes nothing, gives a frozen declaration that JSON holds without loss, so that a model carries the recipe it came from.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trunkline.errors import SchemaError, UseCaseError
from trunkline.tasks.features import Expression, Feature
from trunkline.tasks.learners import Learner

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SMALL_TABLE_ROWS", "Supervised"]

SMALL_TABLE_ROWS: Final = 20_000
"""Training rows below which ``repeats="by_rows"`` cuts folds twice: a score's spread from cut to cut falls with the
rows judged, and the time of a repetition grows with them."""


class Supervised(BaseModel):
    """Learning a column from other columns of the same row.

    Attributes:
        label: The column to predict.
        features: The columns to predict it from.
        row_features: Further inputs, computed from columns of the row.
        learners: What is compared.
        metric: Scorer name that tuning and the choice of the champion maximise.
        folds: Folds per repetition of cross-validation.
        repeats: Repetitions of cross-validation with other cuts; ``by_rows`` repeats where folds are small and their
            scores vary most: 2 below 20,000 rows, 1 from there on. Rows ordered by time are cut once, whatever it says.
        test_share: Share of the rows set aside for the last report; 0 sets none aside.
        group: Column whose values never stand on both sides of a split; None where rows are independent.
        order: Column (instant, day or number) by which later rows judge models of earlier ones; None where time does
            not matter.
        tune: ``best`` searches the parameters of the best booster, ``all`` of every learner with a search, ``none`` of
            none. Grids are tried whatever it says.
        trials: Tries of a search, the declared parameters included.
        tuning_folds: Folds that tries are judged on.
        tuning_rows: Most rows that tries see, drawn evenly; the evaluation sees all.
        ceiling_seconds: No try of a search begins after that time.
        blend: Whether learners may be blended.
        weights: Blend weights settled beforehand, by learner; empty learns them out of fold.
        slices: Columns by whose values the champion is judged apart.
        watched: Further columns whose drift is watched; no model reads them.
        leakage_limit: A single feature above this score (ROC AUC or R2) is suspicious.
        refit_on_all: Fit the final model on the test rows as well, after it was judged on them. Later gates then lack
            rows that it has not seen.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, ignored_types=(cached_property,)
    )

    label: str
    features: tuple[Feature, ...]
    row_features: Mapping[str, Expression] = {}
    learners: tuple[Learner, ...] = ()
    metric: str = ""
    folds: int = Field(default=5, ge=2, le=50)
    repeats: Annotated[int, Field(ge=1, le=20)] | Literal["by_rows"] = "by_rows"
    test_share: float = Field(default=0.2, ge=0, lt=0.9)
    group: str | None = None
    order: str | None = None
    tune: Literal["none", "best", "all"] = "best"
    trials: int = Field(default=25, ge=1)
    tuning_folds: int = Field(default=3, ge=2)
    tuning_rows: int = Field(default=20_000, ge=100)
    ceiling_seconds: float = Field(default=600.0, gt=0)
    blend: bool = True
    weights: Mapping[str, float] = {}
    slices: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    leakage_limit: float = 0.95
    refit_on_all: bool = False

    def repetitions(self, rows: int) -> int:
        """How often cross-validation is repeated over a number of training rows.

        Args:
            rows: Training rows, at least 1.
        """
        if self.order is not None:
            return 1
        if self.repeats == "by_rows":
            return 2 if rows < SMALL_TABLE_ROWS else 1
        return self.repeats

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        names = [learner.name for learner in self.learners]
        where = f"{type(self).__name__.lower()} of {self.label!r}"
        if not self.features and not self.row_features:
            raise UseCaseError("a task needs at least one feature", where=where)
        inputs = [*(feature.name for feature in self.features), *self.row_features]
        if twice := sorted({name for name in inputs if inputs.count(name) > 1}):
            raise UseCaseError(f"features are named twice: {', '.join(twice)}", where=where)
        read = {feature.name for feature in self.features}.union(*(e.columns() for e in self.row_features.values()))
        if self.label in read:
            raise UseCaseError("the label is among the features", where=where)
        if len(set(names)) < len(names):
            raise UseCaseError(f"learners are named twice: {', '.join(names)}", where=where)
        if not any(learner.eligible for learner in self.learners):
            raise UseCaseError("no learner may become the champion", where=where, next_step="set eligible=True on one")
        for learner in self.learners:
            declared = learner.preprocessing
            named = {*declared.only, *declared.without, *declared.encode_by, *declared.bins_of}
            if unknown := sorted(named - set(inputs)):
                raise UseCaseError(
                    f"the preprocessing of {learner.name} names unknown columns: {', '.join(unknown)}",
                    where=where,
                    allowed=inputs,
                )
        eligible = {learner.name for learner in self.learners if learner.eligible}
        if unknown := sorted(set(self.weights) - eligible):
            raise UseCaseError(f"weights for unknown learners: {', '.join(unknown)}", where=where, allowed=eligible)
        if self.weights and (min(self.weights.values()) < 0 or sum(self.weights.values()) <= 0):
            raise UseCaseError("weights must not be negative, nor all 0", where=where)
        return self

    @property
    def reads_history(self) -> bool:
        """No: each row is learned from and scored by itself."""
        return False

    @property
    def columns(self) -> tuple[str, ...]:
        """Table columns that training reads, sorted: inputs, label, group, order, slices and watched ones."""
        read = {feature.name for feature in self.features}.union(*(e.columns() for e in self.row_features.values()))
        extra = {name for name in (self.label, self.group, self.order) if name is not None}
        return tuple(sorted(read | extra | set(self.slices) | set(self.watched)))

    def present_in(self, table: "pa.Table") -> Self:
        """Leave out the inputs that a table does not have: columns that are absent, or null in every row.

        Args:
            table: The rows to learn from.

        Returns:
            The same declaration without those features, the row features that read them, and such slices; so that one
            wide contract serves sources that bring different columns.

        Raises:
            SchemaError: No input is left.
        """
        missing = {
            name for name in self.columns if name not in table.column_names or table[name].null_count == table.num_rows
        } - {self.label}
        features = tuple(feature for feature in self.features if feature.name not in missing)
        if table.num_rows and not features:
            raise SchemaError(
                "the rows have none of the columns that the task learns from",
                where=f"{type(self).__name__.lower()} of {self.label!r}",
                allowed=[feature.name for feature in self.features],
            )
        if not missing or not table.num_rows:
            return self
        row_features = {name: expr for name, expr in self.row_features.items() if not expr.columns() & missing}
        inputs = {*(feature.name for feature in features), *row_features}
        learners = tuple(kept for learner in self.learners if (kept := _narrowed(learner, inputs)) is not None)
        return self.model_copy(
            update={
                "features": features,
                "row_features": row_features,
                "learners": learners,
                "weights": {
                    name: weight for name, weight in self.weights.items() if name in {one.name for one in learners}
                },
                "slices": tuple(name for name in self.slices if name not in missing),
                "watched": tuple(name for name in self.watched if name not in missing),
            }
        )


def _narrowed(learner: Learner, inputs: AbstractSet[str]) -> Learner | None:
    """Leave absent inputs out of a learner's preparation; None where none is left that it asks for."""
    declared = learner.preprocessing
    if declared.only and not inputs & set(declared.only):
        return None
    narrowed = declared.model_copy(
        update={
            "only": tuple(name for name in declared.only if name in inputs),
            "without": tuple(name for name in declared.without if name in inputs),
            "bins_of": tuple(name for name in declared.bins_of if name in inputs),
            "encode_by": {name: how for name, how in declared.encode_by.items() if name in inputs},
        }
    )
    return learner.model_copy(update={"preprocessing": narrowed})
