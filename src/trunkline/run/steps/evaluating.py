"""The step that holds a candidate against its gates, and against the champion."""

from trunkline.errors import GateRefusedError
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import IngestDocument
from trunkline.run.steps.keeping import kept_verdict
from trunkline.train import EvaluateDocument, Evidence, TrainDocument, judge

__all__ = ["evaluate", "refuse_failed"]


def evaluate(context: StepContext) -> EvaluateDocument:
    """Gather the evidence and hold it against the gates, read how far the rows have moved since the champion's.

    The caller refuses the candidate if a gate has failed.
    """
    from trunkline.run.kinds import conduct_of

    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    if trained.kept is not None:
        return kept_verdict(context, trained.kept)
    taken = context.document("ingest")
    ceiling = IngestDocument.model_validate_json(taken).best_score if taken else None
    live = workspace.registry.settled(usecase.name).champion
    champion = live.version if live else None
    conduct = conduct_of(usecase)
    paired = {} if champion is None else conduct.paired(context, trained, champion)
    drift = () if champion is None else conduct.drift(context, trained, champion)
    evidence = Evidence(trained.report, paired, ceiling)
    results = judge(usecase.gates, evidence)
    passed = all(result.passed for result in results)
    if not passed:
        workspace.registry.refuse(
            usecase.name, run_id=context.run_id, evidence=[result.model_dump() for result in results]
        )
    headline = paired.get(usecase.metric) or next(iter(paired.values()), None)
    return EvaluateDocument(gates=results, passed=passed, paired=headline, champion=champion, drift=drift)


def refuse_failed(document: EvaluateDocument, *, usecase: str, run_id: str) -> None:
    """Stop a run whose candidate failed.

    Raises:
        GateRefusedError: A gate refused; the message names the evidence.
    """
    failed = [result for result in document.gates if not result.passed]
    if failed:
        said = "; ".join(
            f"{result.name}: {_figure(result.value)} against {_figure(result.limit)} ({result.detail})"
            for result in failed
        )
        stays = "the champion stays as it is" if document.champion else "there is still no champion"
        raise GateRefusedError(
            f"the candidate was refused by {said}",
            failed=[result.name for result in failed],
            where=f"use case {usecase!r}, run {run_id}",
            next_step=f"{stays}; see the run's report for the evidence",
        )


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
