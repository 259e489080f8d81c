"""Suites for authors of plug-ins: what every use case and every broker must hold, and how a contract judges rows.

``check_usecase`` runs over every discovered use case in Trunkline's own tests, ``BROKER_CHECKS`` over every broker,
``SINK_CHECKS`` over every sink; run them over yours.
"""

from trunkline.testing.brokers import BROKER_CHECKS, BrokerCheck, BrokerStage
from trunkline.testing.sinks import SINK_CHECKS, SinkCheck, SinkStage
from trunkline.testing.usecases import check_usecase, judged

__all__ = [
    "BROKER_CHECKS",
    "SINK_CHECKS",
    "BrokerCheck",
    "BrokerStage",
    "SinkCheck",
    "SinkStage",
    "check_usecase",
    "judged",
]
