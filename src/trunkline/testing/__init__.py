"""Suites for authors of plug-ins: what every use case and every broker must hold, and how a contract judges rows.

``check_usecase`` runs over every discovered use case in Trunkline's own tests, ``BROKER_CHECKS`` over every broker; run
them over yours.
"""

from trunkline.testing.brokers import BROKER_CHECKS, BrokerCheck, BrokerStage
from trunkline.testing.usecases import check_usecase, judged

__all__ = ["BROKER_CHECKS", "BrokerCheck", "BrokerStage", "check_usecase", "judged"]
