"""The step that holds a candidate against its gates, and against the champion."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.errors import GateRefusedError
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import IngestDocument
from trunkline.run.steps.sameness import differ_in_run_alone
from trunkline.spec import NotWorseThanChampion
from trunkline.train import EvaluateDocument, Evidence, PairedEvidence, TrainDocument, judge, main_table

if TYPE_CHECKING:
    from trunkline.tasks import Model

__all__ = ["MINIMUM_UNSEEN", "evaluate", "refuse_failed"]

MINIMUM_UNSEEN: Final = 500
"""Unseen labelled rows below which candidate and champion are refitted in the same folds instead."""


def evaluate(context: StepContext) -> EvaluateDocument:
    """Gather the evidence and hold it against the gates; the caller refuses if one failed."""
    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    taken = context.document("ingest")
    ceiling = IngestDocument.model_validate_json(taken).best_score if taken else None
    live = workspace.registry.live(usecase.name).champion
    champion = live.version if live else None
    paired = {} if champion is None else _paired_evidence(context, trained, champion=champion)
    evidence = Evidence(trained.report, paired, ceiling)
    results = judge(usecase.gates, evidence)
    passed = all(result.passed for result in results)
    if not passed:
        workspace.registry.refuse(
            usecase.name, run_id=context.run_id, evidence=[result.model_dump() for result in results]
        )
    headline = paired.get(usecase.metric) or next(iter(paired.values()), None)
    return EvaluateDocument(gates=results, passed=passed, paired=headline, champion=champion)


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


def _paired_evidence(context: StepContext, trained: TrainDocument, *, champion: str) -> dict[str, PairedEvidence]:
    """Compare the candidate with the champion for each gate that asks, on unseen rows where they are enough."""
    workspace, usecase = context.workspace, context.usecase
    asked = [gate for gate in usecase.gates if isinstance(gate, NotWorseThanChampion)]
    if usecase.task is None or not asked:
        return {}
    import pyarrow.compute as pc

    from trunkline.tasks import Model
    from trunkline.tasks.comparison import compare, compare_refitted
    from trunkline.train import unseen_rows

    rows, _ = main_table(usecase, workspace.lake, batches=trained.batches, without=trained.left_out)
    rows = rows.filter(pc.is_valid(rows.column(usecase.task.label)))
    candidate_at = workspace.root / trained.folder
    champion_at = workspace.registry.folder(usecase.name, champion)
    champion_model, candidate_model = Model.load(champion_at), Model.load(candidate_at)
    unseen = unseen_rows(usecase, rows, [candidate_at, champion_at])
    enough = unseen.num_rows >= MINIMUM_UNSEEN
    seed = workspace.settings.seed
    if not enough and _same_recipe(candidate_model, champion_model, candidate_at, champion_at):
        return {
            gate.metric: PairedEvidence(
                metric=gate.metric,
                champion=champion,
                difference=0.0,
                low=0.0,
                high=0.0,
                rows=rows.num_rows,
                unseen=False,
                same_recipe=True,
            )
            for gate in asked
        }
    evidence = {}
    for gate in asked:
        if enough:
            found = compare(
                candidate_model, champion_model, unseen, metric=gate.metric, seed=seed, confidence=gate.confidence
            )
        else:
            found = compare_refitted(
                candidate_model.info,
                champion_model.info,
                rows,
                metric=gate.metric,
                seed=seed,
                threads=workspace.threads,
                confidence=gate.confidence,
            )
        evidence[gate.metric] = PairedEvidence(
            metric=gate.metric,
            champion=champion,
            difference=found.difference.value,
            low=found.difference.low,
            high=found.difference.high,
            rows=found.rows,
            unseen=enough,
        )
    return evidence


def _same_recipe(candidate: "Model", champion: "Model", candidate_at: Path, champion_at: Path) -> bool:
    """Whether a refit would compare one recipe with itself; the champion, learned once more, rightly equals itself."""
    from trunkline.tasks.comparison import recipe_of

    settled, known = (recipe_of(model.info).model_dump(mode="json") for model in (candidate, champion))
    return settled == known and not differ_in_run_alone(candidate_at, champion_at)
