"""One gradient booster per hour ahead: fitted to absolute errors, kept as its library's own text.

Takes a matrix and targets in scale, gives forecasts of the median. Nothing is pickled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from trunkline.tasks.forecasting.design import Inputs
from trunkline.tasks.forecasting.panel import Floats
from trunkline.tasks.forecasting.walking import StackedTrees
from trunkline.tasks.forests import forest_of_xgboost
from trunkline.tasks.learners import Parameter

if TYPE_CHECKING:
    import lightgbm
    import xgboost

__all__ = ["Booster", "Examples", "Library", "fit"]

Library = Literal["xgboost", "lightgbm"]
"""Which library learns."""

_BINS: Final = 64
_CHUNK_ROWS: Final = 500_000
_FEW_ROWS: Final = 512


@dataclass(frozen=True)
class Examples:
    """What a booster is fitted to, or judged by.

    Attributes:
        matrix: Shape (rows, columns); NaN where unknown.
        target: Shape (rows,), in scale.
        weight: How much each counts, 1 on average, shape (rows,); None: all count alike.
    """

    matrix: Inputs
    target: Floats
    weight: Floats | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.target)


@dataclass(frozen=True)
class Booster:
    """A fitted booster.

    Attributes:
        library: Which library wrote the text.
        text: XGBoost's JSON, or LightGBM's model file.
    """

    library: Library
    text: str

    def predict(self, matrix: Inputs) -> Floats:
        """Give shape (rows,), in scale.

        Args:
            matrix: Shape (rows, columns), as in training.
        """
        parts = [self._predict(matrix[start : start + _CHUNK_ROWS]) for start in range(0, len(matrix), _CHUNK_ROWS)]
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)

    def gains(self, names: tuple[str, ...]) -> dict[str, float]:
        """Share of the gain of all splits by column; they sum to 1."""
        if self.library == "lightgbm":
            found = dict(zip(names, self._lightgbm.feature_importance("gain").astype(float), strict=True))
        else:
            scores = self._xgboost.get_score(importance_type="total_gain")
            found = {name: float(np.sum(scores.get(f"f{place}", 0.0))) for place, name in enumerate(names)}
        total = sum(found.values()) or 1.0
        return {name: value / total for name, value in found.items()}

    def _predict(self, matrix: Inputs) -> Floats:
        if self.library == "xgboost" and len(matrix) <= _FEW_ROWS:
            return self._trees.predict(matrix)
        if self.library == "lightgbm":
            return np.asarray(self._lightgbm.predict(matrix, num_threads=1))
        return np.asarray(self._xgboost.inplace_predict(matrix), dtype=np.float64)

    @cached_property
    def _trees(self) -> StackedTrees:
        return StackedTrees.of(forest_of_xgboost(self.text.encode()))

    @cached_property
    def _xgboost(self) -> "xgboost.Booster":
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(self.text.encode()))
        return booster

    @cached_property
    def _lightgbm(self) -> "lightgbm.Booster":
        import lightgbm

        return lightgbm.Booster(model_str=self.text)


def fit(examples: Examples, *, library: Library, parameters: Mapping[str, Parameter], seed: int) -> Booster:
    """Fit a booster to absolute errors, in one thread.

    Args:
        examples: What to fit to.
        library: Which.
        parameters: ``rounds`` and what the library understands.
        seed: Seed of sampling.
    """
    given = dict(parameters)
    rounds = int(given.pop("rounds", 150) or 0)
    if library == "lightgbm":
        import lightgbm

        depth = int(given.pop("max_depth", 6) or 6)
        told = {
            "objective": "l1",
            "num_leaves": 2**depth - 1,
            "learning_rate": given.pop("eta", 0.08),
            "min_data_in_leaf": round(float(given.pop("min_child_weight", 20) or 20)),
            "bagging_fraction": given.pop("subsample", 0.7),
            "bagging_freq": 1,
            "feature_fraction": given.pop("colsample_bytree", 0.6),
            "max_bin": _BINS,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbose": -1,
            **given,
        }
        data = lightgbm.Dataset(
            examples.matrix, examples.target, weight=examples.weight, params={"max_bin": _BINS, "verbose": -1}
        )
        return Booster("lightgbm", lightgbm.train(told, data, rounds).model_to_string())
    import xgboost

    told = {
        "objective": "reg:absoluteerror",
        "tree_method": "hist",
        "max_bin": _BINS,
        "nthread": 1,
        "seed": seed,
        "verbosity": 0,
        **given,
    }
    binned = xgboost.QuantileDMatrix(examples.matrix, examples.target, weight=examples.weight, max_bin=_BINS, nthread=1)
    booster = xgboost.train(told, binned, rounds)
    return Booster("xgboost", bytes(booster.save_raw("json")).decode())
