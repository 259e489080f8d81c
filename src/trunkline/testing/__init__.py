"""Suites for authors of plug-ins: what every use case must hold, and how its contract judges rows.

``check_usecase`` runs over every discovered use case in Trunkline's own tests; run it over yours.
"""

from trunkline.testing.usecases import check_usecase, judged

__all__ = ["check_usecase", "judged"]
