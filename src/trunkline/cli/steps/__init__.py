"""``run`` and its single steps.

Read downwards: ``commands`` says what each takes, ``executing`` runs it, ``showing`` puts what came of it into words.
"""

from trunkline.cli.steps.commands import evaluate, ingest, monitor, predict, register, report, rollout, run, train
from trunkline.cli.steps.showing import summary

__all__ = ["evaluate", "ingest", "monitor", "predict", "register", "report", "rollout", "run", "summary", "train"]
