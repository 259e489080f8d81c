"""How a learner wants its columns prepared, as data; ``view_fitting`` learns it inside a fold.

Takes nothing, gives frozen declarations that travel with the model.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Encoding", "Preprocessing", "QuantileLimits", "TukeyFences"]

Encoding = Literal["one_hot", "ordinal", "target"]
"""How a category becomes numbers."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QuantileLimits(_Declared):
    """Winsorise: values outside two quantiles of the fold's training rows become those quantiles.

    Attributes:
        low: Lower quantile, in [0, 0.5).
        high: Upper quantile, in (0.5, 1].
    """

    kind: Literal["quantiles"] = "quantiles"
    low: float = Field(default=0.005, ge=0, lt=0.5)
    high: float = Field(default=0.995, gt=0.5, le=1)


class TukeyFences(_Declared):
    """Values beyond the quartiles by more than ``reach`` interquartile ranges become those fences.

    Source: Tukey (1977), *Exploratory Data Analysis*. A column whose quartiles coincide is left alone.

    Attributes:
        reach: Interquartile ranges beyond each quartile, above 0.
    """

    kind: Literal["tukey"] = "tukey"
    reach: float = Field(default=3.0, gt=0)


class Preprocessing(_Declared):
    """The steps between the base matrix and an estimator, applied in the order of the attributes.

    Attributes:
        only: Base columns to use; empty uses all.
        without: Base columns to leave out.
        impute: What replaces null in numbers and flags; ``none`` leaves NaN, which only trees accept. Categories get
            their most frequent value under ``most_frequent`` and are a value of their own otherwise.
        indicators: Add a 0/1 column for each base column that has nulls in the fold's training rows.
        encode: How categories become numbers.
        encode_by: Exceptions from ``encode`` by feature.
        target_above: Categories with more values than this are target encoded unless ``encode_by`` names them.
        target_smoothing: Rows' worth of the overall mean mixed into each category's mean; None lets the variances
            decide (empirical Bayes).
        outliers: Limits of numbers, learned in the fold.
        scale: Scaling of numbers and of ordinal or target encoded categories.
        bins: Number columns to cut at their quantiles into this many one-hot columns each, beside the number itself.
        bins_of: The columns that ``bins`` is for.
        interactions: Add the product of each pair of the columns so far.
        pca_share: Replace the columns by the principal components that hold this share of their variance.
        select: Keep this many columns (at least 1), or those with an ANOVA p-value below this number (below 1).
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    impute: Literal["none", "median", "mean", "most_frequent", "zero"] = "median"
    indicators: bool = False
    encode: Encoding = "one_hot"
    encode_by: Mapping[str, Encoding] = {}
    target_above: int = Field(default=20, ge=1)
    target_smoothing: float | None = Field(default=None, gt=0)
    outliers: QuantileLimits | TukeyFences | None = Field(default=None, discriminator="kind")
    scale: Literal["none", "standard", "min_max", "robust"] = "standard"
    bins: int = Field(default=0, ge=0, le=100)
    bins_of: tuple[str, ...] = ()
    interactions: bool = False
    pca_share: float | None = Field(default=None, gt=0, lt=1)
    select: float | None = Field(default=None, gt=0)
