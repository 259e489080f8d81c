"""Anomalies without labels: what is usual for each thing and hour, how odd a row is, and which alerts people can take.

Rows become robust deviations from the usual (:mod:`.usual`), three detectors make one score of them
(:mod:`.detectors`), a budget of alerts decides from which score on people are told (:mod:`.budget`), and alarms follow
(:mod:`.alarms`). ``judging`` has the measures for series with labelled ranges, ``series`` a detector for one series
that never looks ahead.
"""

from trunkline.tasks.anomaly.budget import Budget, Episodes, episodes_of
from trunkline.tasks.anomaly.declaration import Anomalies
from trunkline.tasks.anomaly.detectors import Ecod, Oddness
from trunkline.tasks.anomaly.model import AnomalyModel, gathered, learn
from trunkline.tasks.anomaly.usual import Compared, Usual
from trunkline.tasks.anomaly.wording import reason

__all__ = [
    "Anomalies",
    "AnomalyModel",
    "Budget",
    "Compared",
    "Ecod",
    "Episodes",
    "Oddness",
    "Usual",
    "episodes_of",
    "gathered",
    "learn",
    "reason",
]
