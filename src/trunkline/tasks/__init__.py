"""Learning: typed Arrow tables go in, models and reports come out.

Pure: no lake, no registry, no clock but the one that is handed in. A use case declares a :class:`Classification`, a
:class:`Regression` or a :class:`Forecasting`; the platform calls ``train`` and keeps the model. What all kinds have in
common stands in ``task`` and ``kinds`` (docs/decisions/0017-kinds-of-learning.md). The libraries that do the work are
loaded when they are first needed.
"""

from trunkline.tasks.classification import Classification, Profit
from trunkline.tasks.features import Feature, RowFeatures, features_of
from trunkline.tasks.forecasting import Forecasting, ForecastReport
from trunkline.tasks.info import ModelInfo
from trunkline.tasks.kinds import AnyCard, AnyReport, load_model
from trunkline.tasks.learners import Learner, SearchRange, default_classifiers, default_regressors
from trunkline.tasks.model import Model
from trunkline.tasks.preprocessing import Preprocessing, QuantileLimits, TukeyFences
from trunkline.tasks.regression import Regression
from trunkline.tasks.report import TrainingReport
from trunkline.tasks.task import Learned, Progress, Task, Trained, TrainedRows

__all__ = [
    "AnyCard",
    "AnyReport",
    "Classification",
    "Feature",
    "ForecastReport",
    "Forecasting",
    "Learned",
    "Learner",
    "Model",
    "ModelInfo",
    "Preprocessing",
    "Profit",
    "Progress",
    "QuantileLimits",
    "Regression",
    "RowFeatures",
    "SearchRange",
    "Task",
    "Trained",
    "TrainedRows",
    "TrainingReport",
    "TukeyFences",
    "default_classifiers",
    "default_regressors",
    "features_of",
    "load_model",
]
