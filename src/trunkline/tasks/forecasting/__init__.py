"""Learning the next hours of many hourly series: direct models per horizon, intervals that follow the truth.

``declaration`` is what a use case states; ``panel`` puts rows on a grid of hours; ``design`` gives what is known at the
hour of a forecast; ``boosting`` fits; ``tracking`` gives quantiles; ``training`` puts it together; ``model`` is what is
kept. Pure like all tasks: no lake, no clock.
"""

from trunkline.tasks.forecasting.card import ForecastCard, HorizonFacts, SeriesFacts
from trunkline.tasks.forecasting.declaration import Forecasting
from trunkline.tasks.forecasting.model import ForecastModel, Forecasts
from trunkline.tasks.forecasting.panel import Panel, panel_of
from trunkline.tasks.forecasting.report import ForecastReport

__all__ = [
    "ForecastCard",
    "ForecastModel",
    "ForecastReport",
    "Forecasting",
    "Forecasts",
    "HorizonFacts",
    "Panel",
    "SeriesFacts",
    "panel_of",
]
