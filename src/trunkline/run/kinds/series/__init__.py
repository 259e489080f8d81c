"""How forecasts are run: made once per hour and server, judged when the hours have come."""

from trunkline.run.kinds.series.comparing import paired_series
from trunkline.run.kinds.series.judging import evaluate_series
from trunkline.run.kinds.series.predicting import predict_series
from trunkline.run.kinds.series.watching import drifted_series, monitor_series

__all__ = ["drifted_series", "evaluate_series", "monitor_series", "paired_series", "predict_series"]
