"""The steps that make a candidate a version, and the version the champion."""

from pathlib import Path

from trunkline.errors import InputError
from trunkline.registry.files import hash_folder
from trunkline.registry.version import DESCRIPTION
from trunkline.run.steps.context import StepContext
from trunkline.run.steps.documents import RegisterDocument, RolloutDocument
from trunkline.run.steps.evaluating import refuse_failed
from trunkline.run.steps.sameness import differ_in_run_alone, learned_the_same
from trunkline.run.steps.training import tracked
from trunkline.settings.drills import point
from trunkline.train import EvaluateDocument, TrainDocument

__all__ = ["register", "rollout"]


def register(context: StepContext) -> RegisterDocument:
    """Make the candidate a version of the registry; one that equals the champion is no new version.

    Raises:
        GateRefusedError: A gate refused it.
        InputError: It equals a version that was rolled back from, or retired: a run undoes no such decision.
    """
    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    if trained.kept is not None:
        return RegisterDocument(version=trained.kept, unchanged=True)
    judged = EvaluateDocument.model_validate_json(context.needed("evaluate"))
    refuse_failed(judged, usecase=usecase.name, run_id=context.run_id)
    candidate, registry = workspace.root / trained.folder, workspace.registry
    champion = registry.live(usecase.name).champion
    if champion is None or champion.run_id != context.run_id:
        if champion and differ_in_run_alone(candidate, registry.folder(usecase.name, champion.version)):
            return RegisterDocument(version=champion.version, unchanged=True)
        _refuse_withdrawn(context, candidate, live=f"version {champion.version}" if champion else "no version")
    metrics, tags = tracked(context, trained)
    version = registry.register(
        usecase.name,
        candidate,
        run_id=context.run_id,
        metrics=metrics,
        tags=tags,
        evidence=[result.model_dump() for result in judged.gates],
    )
    point("run.after_register")
    return RegisterDocument(version=version.version)


def _refuse_withdrawn(context: StepContext, candidate: Path, *, live: str) -> None:
    """Refuse a candidate that somebody has withdrawn already, under another number.

    Raises:
        InputError: It equals a version that was rolled back from, or retired.
    """
    usecase, registry = context.usecase.name, context.workspace.registry
    files = {name: digest for name, digest in hash_folder(candidate).items() if name != DESCRIPTION}
    for version in reversed(registry.versions(usecase)):
        if not (version.retired or version.taken_back):
            continue
        # a damaged folder stops nobody unless it may be the candidate's
        if {name: digest for name, digest in version.files.items() if name != DESCRIPTION} != files:
            continue
        if learned_the_same(candidate, registry.folder(usecase, version.version)):
            why = "is retired" if version.retired else "was rolled back from"
            again = "" if version.retired else f": trunkline models promote {usecase} {version.version}"
            raise InputError(
                f"the candidate is the same model as version {version.version}, which {why}",
                where=f"use case {usecase!r}, run {context.run_id}; {live} stays live",
                next_step=f"train on other rows or by another recipe{again and ', or decide yourself'}{again}",
            )


def rollout(context: StepContext) -> RolloutDocument:
    """Give the registered version to the traffic: as champion, since its gates compared it with the present one.

    Raises:
        InputError: Another version has become champion since the candidate was judged, or somebody has taken this one
            back: the evidence no longer speaks of what is live.
    """
    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    if trained.kept is not None:
        return RolloutDocument(version=trained.kept, alias="champion", previous=None)
    version = RegisterDocument.model_validate_json(context.needed("register")).version
    judged = EvaluateDocument.model_validate_json(context.needed("evaluate"))
    workspace.registry.promote(
        usecase.name,
        version,
        approver="gates",
        evidence=[result.model_dump() for result in judged.gates],
        expecting=judged.champion,
    )
    point("run.after_promote")
    previous = None if judged.champion == version else judged.champion
    return RolloutDocument(version=version, alias="champion", previous=previous)
