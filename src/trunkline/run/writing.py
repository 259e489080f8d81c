"""The report step: gathers the records of a run and writes its page, the same bytes for the same records."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.records import STEPS, StepRecord
from trunkline.files import replacing
from trunkline.plan import StepName
from trunkline.run.audiences import AudienceDocument, audience
from trunkline.run.predicting import PredictDocument
from trunkline.run.records import PastRun, past_run
from trunkline.run.steps import IngestDocument, RegisterDocument, RolloutDocument, StepContext
from trunkline.run.watching import MonitorDocument
from trunkline.train import EvaluateDocument, TrainDocument

if TYPE_CHECKING:
    from trunkline.report import ReportContent

__all__ = ["ReportDocument", "report"]


Document = TypeVar("Document", bound=BaseModel)


class ReportDocument(BaseModel):
    """Where the page is.

    Attributes:
        path: Below the workspace.
        sha256: Hash of the page.
        audience: Whom the run would contact; None where the use case has no audience, or nothing was scored.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    sha256: str
    audience: AudienceDocument | None = None


def report(context: StepContext) -> ReportDocument:
    """Render the run's page into ``runs/<run_id>/report.html``, and that of its audience beside it."""
    import hashlib

    from trunkline.report import render

    addressed = audience(context)
    context.progress("report", 0.0)
    page = render(gather(context)).encode()
    folder = context.workspace.folder(f"runs/{context.run_id}")
    path = folder / "report.html"
    with replacing(path) as part:
        part.write_bytes(page)
    relative = path.relative_to(context.workspace.root)
    return ReportDocument(path=str(relative), sha256=hashlib.sha256(page).hexdigest(), audience=addressed)


def gather(context: StepContext) -> "ReportContent":
    """Collect what the lake holds of a run.

    Args:
        context: Names the run.

    Returns:
        The content of its page; steps that have not finished are left out.
    """
    from trunkline.report import (
        Lineage,
        ModelFacts,
        PredictionsSummary,
        ReportContent,
        StepTime,
        UseCaseFacts,
    )
    from trunkline.tasks import load_model

    workspace = context.workspace
    taken = _parsed(context, "ingest", IngestDocument)
    trained = _parsed(context, "train", TrainDocument)
    judged = _parsed(context, "evaluate", EvaluateDocument)
    registered = _parsed(context, "register", RegisterDocument)
    released = _parsed(context, "rollout", RolloutDocument)
    scored = _parsed(context, "predict", PredictDocument)
    watched = _parsed(context, "monitor", MonitorDocument)
    info = None
    if trained is not None:
        folder = (
            workspace.registry.folder(context.usecase.name, registered.version)
            if registered
            else workspace.root / trained.folder
        )
        info = load_model(Path(folder)).info
    past = past_run(workspace, context.run_id)
    return ReportContent(
        usecase=(trained.usecase if trained else None) or UseCaseFacts.of(context.usecase),
        run_id=context.run_id,
        state=_state(past, judged),
        started_at=past.started_at if past else None,
        code_version=past.code_version if past else context.code_version,
        steps=tuple(StepTime(step=name, seconds=seconds) for name, seconds in _step_times(context)),
        receipts=taken.receipts if taken else (),
        simulated=taken.simulated if taken else False,
        best_score=taken.best_score if taken else None,
        training=trained.report if trained else None,
        info=info,
        evaluation=judged,
        model=ModelFacts(
            version=registered.version,
            alias=released.alias if released else None,
            previous=released.previous if released else None,
        )
        if registered
        else None,
        predictions=PredictionsSummary(**scored.model_dump(exclude={"table_version"})) if scored else None,
        readings=watched.readings if watched else (),
        alerts=watched.alerts if watched else (),
        lineage=Lineage(
            table_versions=trained.table_versions,
            contract_fingerprints=trained.contract_fingerprints,
            seed=trained.report.seed,
            packages=info.packages if info else {},
        )
        if trained
        else Lineage(),
    )


def _state(past: PastRun | None, judged: EvaluateDocument | None) -> Literal["finished", "refused", "failed"]:
    """How the run stands; while it writes its own page it counts as finished."""
    if judged is not None and not judged.passed:
        return "refused"
    return "failed" if past is not None and past.state == "failed" else "finished"


def _parsed(context: StepContext, step: StepName, kind: type[Document]) -> Document | None:
    stored = context.document(step)
    return None if stored is None else kind.model_validate_json(stored)


def _step_times(context: StepContext) -> list[tuple[str, float]]:
    rows = context.workspace.lake.arrow(
        STEPS,
        schema=arrow_schema(StepRecord),
        where=lambda table: (table["run_id"] == context.run_id) & ~table["step"].isin(("report", "publish")),
    ).sort_by("finished_at")
    return list(zip(rows.column("step").to_pylist(), rows.column("seconds").to_pylist(), strict=True))
