"""The steps that make a candidate a version, and the version the champion."""

from trunkline.errors import BusyError
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import RegisterDocument, RolloutDocument
from trunkline.run.steps.evaluating import refuse_failed
from trunkline.settings.drills import point
from trunkline.train import EvaluateDocument, TrainDocument

__all__ = ["register", "rollout"]


def register(context: StepContext) -> RegisterDocument:
    """Make the candidate a version of the registry; one that equals the champion is no new version."""
    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    judged = EvaluateDocument.model_validate_json(context.needed("evaluate"))
    refuse_failed(judged, usecase=usecase.name, run_id=context.run_id)
    champion = workspace.registry.live(usecase.name).champion
    if champion is not None and champion.run_id != context.run_id and _equals_champion(context, trained):
        return RegisterDocument(version=champion.version, unchanged=True)
    version = workspace.registry.register(
        usecase.name,
        workspace.root / trained.folder,
        run_id=context.run_id,
        metrics={name: found.value for name, found in trained.report.metrics.items()},
        tags={"code_version": context.code_version, "rows": str(trained.rows)},
        evidence=[result.model_dump() for result in judged.gates],
    )
    point("run.after_register")
    return RegisterDocument(version=version.version)


def _equals_champion(context: StepContext, trained: TrainDocument) -> bool:
    """Whether nothing tells candidate and champion apart but their run: rows, recipe, code, and what was learned."""
    from trunkline.tasks import Model

    registry = context.workspace.registry
    candidate, champion = (
        Model.load(folder).with_lineage(run_id="").fingerprint
        for folder in (context.workspace.root / trained.folder, registry.folder(context.usecase.name))
    )
    return candidate == champion


def rollout(context: StepContext) -> RolloutDocument:
    """Give the registered version to the traffic: as champion, since its gates compared it with the present one.

    Raises:
        BusyError: Another version has become champion since the candidate was judged, or somebody has taken this one
            back: the evidence no longer speaks of what is live.
    """
    workspace, usecase = context.workspace, context.usecase
    version = RegisterDocument.model_validate_json(context.needed("register")).version
    judged = EvaluateDocument.model_validate_json(context.needed("evaluate"))
    before = workspace.registry.live(usecase.name).champion
    live = before.version if before else None
    if live != version:
        _refuse_stale(context, version, judged=judged.champion, live=live)
    workspace.registry.promote(
        usecase.name,
        version,
        approver="gates",
        evidence=[result.model_dump() for result in judged.gates],
    )
    point("run.after_promote")
    previous = None if before is None or before.version == version else before.version
    return RolloutDocument(version=version, alias="champion", previous=previous)


def _refuse_stale(context: StepContext, version: str, *, judged: str | None, live: str | None) -> None:
    promoted_before = any(
        entry.event == "promoted" and entry.version == version and entry.usecase == context.usecase.name
        for entry in context.workspace.registry.ledger.entries()
    )
    if live == judged and not promoted_before:
        return
    why = "has been champion and was taken back" if promoted_before else f"was judged against version {judged}"
    raise BusyError(
        f"version {version} {why}, and version {live} is live now",
        holder=f"version {live}",
        where=f"use case {context.usecase.name!r}, run {context.run_id}",
        next_step=f"start a new run, or decide yourself: trunkline models promote {context.usecase.name} {version}",
    )
