"""Candidate against champion where both score rows: on unseen rows where they are enough, else refitted.

Beside it, how far the rows that the candidate was made of have moved from those of the champion.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.run.steps.context import StepContext
from trunkline.run.steps.sameness import differ_in_run_alone
from trunkline.spec import NotWorseThanChampion
from trunkline.train import PairedEvidence, TrainDocument, main_table

if TYPE_CHECKING:
    from trunkline.contracts.records import Reading
    from trunkline.tasks import Model

__all__ = ["MINIMUM_UNSEEN", "drift_since", "paired_evidence"]

MINIMUM_UNSEEN: Final = 500
"""Unseen labelled rows below which candidate and champion are refitted in the same folds instead."""


def paired_evidence(context: StepContext, trained: TrainDocument, champion: str) -> dict[str, PairedEvidence]:
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
            drawn_by=found.drawn_by,
        )
    return evidence


def drift_since(context: StepContext, trained: TrainDocument, champion: str) -> "tuple[Reading, ...]":
    """Compare the labelled rows of a training, column by column, with those of the champion's training."""
    import pyarrow.compute as pc

    from trunkline.monitor import Window, drift_readings
    from trunkline.tasks import Model

    workspace, usecase = context.workspace, context.usecase
    assert usecase.task is not None, "a training has a task"
    label = usecase.task.label
    info = Model.load(workspace.registry.folder(usecase.name, champion)).info
    columns = (*info.profiles, label)
    rows, _ = main_table(usecase, workspace.lake, batches=trained.batches, without=trained.left_out, columns=columns)
    window = Window(context.run_id, usecase.name, champion, workspace.clock())
    return drift_readings(info, rows.filter(pc.is_valid(rows.column(label))), window=window, watch=usecase.watch)


def _same_recipe(candidate: "Model", champion: "Model", candidate_at: Path, champion_at: Path) -> bool:
    """Whether a refit would compare one recipe with itself; the champion, learned once more, rightly equals itself."""
    from trunkline.tasks.recipes import recipe_of

    settled, known = (recipe_of(model.info).model_dump(mode="json") for model in (candidate, champion))
    return settled == known and not differ_in_run_alone(candidate_at, champion_at)
