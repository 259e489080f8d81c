"""The steps of a run: each reads what earlier ones left in the lake, does its part, and gives a document.

A step run twice under one run id changes nothing: every write carries a content-derived or run-derived transaction.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from trunkline.checks import arrow_schema
from trunkline.contracts.records import Receipt, StepRecord
from trunkline.errors import BusyError, GateRefusedError, InputError, LabelError, SourceError, UnknownNameError
from trunkline.ingest import FILE_SUFFIXES, Target, ingest_file
from trunkline.plan import StepName
from trunkline.run.records import STEPS_TABLE
from trunkline.run.workspace import Workspace
from trunkline.settings.drills import point
from trunkline.spec import NotWorseThanChampion, UseCase
from trunkline.train import (
    EvaluateDocument,
    Evidence,
    PairedEvidence,
    TrainDocument,
    judge,
    main_table,
    train_candidate,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["IngestDocument", "RegisterDocument", "RolloutDocument", "StepContext", "read_mapping", "source_files"]

RECEIPTS: Final = "platform.receipts"
_SIMULATED: Final = "tmp/simulated"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class IngestDocument(_Document):
    """What was taken in.

    Attributes:
        receipts: One per file.
        known: Batches of those that had been ingested by an earlier run.
        batches: Batches of the main dataset, in the order of the files.
        simulated: Whether the rows come from the simulator.
        best_score: The best score possible on simulated rows.
    """

    receipts: tuple[Receipt, ...]
    known: tuple[str, ...]
    batches: tuple[str, ...]
    simulated: bool = False
    best_score: float | None = None

    @property
    def totals(self) -> dict[str, int]:
        """Rows read, accepted, quarantined and duplicate over all receipts."""
        return {
            name: sum(getattr(receipt, name) for receipt in self.receipts)
            for name in ("read", "accepted", "quarantined", "duplicates")
        }


class RegisterDocument(_Document):
    """Which version the candidate became.

    Attributes:
        version: The version.
    """

    version: str


class RolloutDocument(_Document):
    """Which alias the version was given.

    Attributes:
        version: The version.
        alias: The alias.
        previous: The version that had the alias before; None for the first.
    """

    version: str
    alias: str
    previous: str | None


@dataclass
class StepContext:
    """Everything a step needs.

    Attributes:
        workspace: The workspace.
        usecase: The use case.
        run_id: Id that everything the run writes carries.
        progress: Told what is being done and which share of it, in [0, 1].
        sources: Files or folders to ingest; empty simulates, or takes what the lake has.
        dataset: Dataset that the sources belong to; None is the main one.
        mapping: Source column to field name.
        code_version: Package version and commit.
    """

    workspace: Workspace
    usecase: UseCase
    run_id: str
    progress: Callable[[str, float], None]
    sources: tuple[str, ...] = ()
    dataset: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    code_version: str = ""
    _documents: dict[str, str] | None = field(default=None, repr=False)

    def document(self, step: StepName) -> str | None:
        """Read the stored document of a step of this run; None if the step has not finished."""
        if self._documents is None:  # one look at the lake: the run lock keeps others from adding to it
            lake = self.workspace.lake
            rows = (
                lake.arrow(
                    STEPS_TABLE, schema=arrow_schema(StepRecord), where=lambda table: table["run_id"] == self.run_id
                ).to_pylist()
                if lake.exists(STEPS_TABLE)
                else []
            )
            self._documents = {str(row["step"]): str(row["document"]) for row in rows}
        return self._documents.get(step)

    def keep(self, step: StepName, document: str) -> None:
        """Remember the document of a step that has just been stored."""
        if self._documents is not None:
            self._documents[step] = document

    def needed(self, step: StepName) -> str:
        """Read the stored document of a step that must have finished.

        Raises:
            UnknownNameError: It has not.
        """
        found = self.document(step)
        if found is None:
            raise UnknownNameError(
                f"run {self.run_id!r} has no finished step {step!r}",
                where=f"use case {self.usecase.name!r}",
                next_step=f"run it first: trunkline {step} {self.usecase.name} --run-id {self.run_id}",
            )
        return found


def read_mapping(path: Path | None) -> dict[str, str]:
    """Read a mapping file: TOML with a table ``[columns]`` of source column = field.

    Raises:
        InputError: The file is missing or not of that form.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            "the mapping file does not exist", where=str(path), next_step="check the path of --map"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            "the mapping file is not TOML",
            where=f"{path} ({str(error)[:120]})",
            next_step='write e.g.\n[columns]\n"Customer No" = "subscriber_id"',
        ) from None
    columns = content.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in columns.values()):
        raise InputError(
            "the mapping file has no table [columns] of texts",
            where=str(path),
            next_step='write e.g.\n[columns]\n"Customer No" = "subscriber_id"',
        )
    return dict(columns)


def source_files(sources: tuple[str, ...]) -> tuple[Path, ...]:
    """List the files behind sources: a file is itself, a folder its files of known forms, sorted by name.

    Raises:
        SourceError: A source does not exist, or a folder holds no such file.
    """
    files: list[Path] = []
    for source in sources:
        path = Path(source.removeprefix("file://"))
        if path.is_dir():
            inside = sorted(found for found in path.iterdir() if _is_data_file(found))
            if not inside:
                raise SourceError("the folder holds no data file", where=str(path), allowed=FILE_SUFFIXES)
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise SourceError("the file does not exist", where=source, next_step="check the path")
    return tuple(files)


def _is_data_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and any(suffix in FILE_SUFFIXES for suffix in path.suffixes)


def ingest(context: StepContext) -> IngestDocument:
    """Take the sources in.

    Without sources the rows that the lake has are taken as they are; where it has none but simulated ones, they are
    simulated, so that real and simulated rows never mix unasked.
    """
    workspace, usecase = context.workspace, context.usecase
    dataset = context.dataset or usecase.main
    if dataset not in usecase.datasets:
        raise UnknownNameError(f"{usecase.name!r} has no dataset {dataset!r}", allowed=usecase.datasets)
    sources: dict[Path, str] = dict.fromkeys(source_files(context.sources), dataset)
    best_score = None
    if not context.sources and _has_real_rows(context, dataset):
        return IngestDocument(receipts=(), known=(), batches=())
    simulated = not context.sources
    if simulated:
        if usecase.simulate is None:
            raise InputError(
                f"the use case {usecase.name!r} needs a source",
                next_step=f"trunkline run {usecase.name} --source FILE",
            )
        files, best_score = simulate_files(
            usecase, rows=usecase.simulated_rows, seed=workspace.settings.seed, out=workspace.folder(_SIMULATED)
        )
        sources = {path: name for name, path in files.items()}
    receipts, known, batches = [], [], []
    for position, (path, name) in enumerate(sources.items()):
        context.progress(f"ingest {path.name}", position / len(sources))
        found = ingest_file(
            path,
            Target(usecase.name, name, usecase.datasets[name]),
            lake=workspace.lake,
            run_id=context.run_id,
            clock=workspace.clock,
            mapping=context.mapping,
        )
        receipts.append(found.receipt)
        if found.known:
            known.append(found.receipt.batch_id)
        if name == usecase.main:
            batches.append(found.receipt.batch_id)
    return IngestDocument(
        receipts=tuple(receipts),
        known=tuple(known),
        batches=tuple(batches),
        simulated=simulated,
        best_score=best_score,
    )


def _has_real_rows(context: StepContext, dataset: str) -> bool:
    lake, usecase = context.workspace.lake, context.usecase
    if not lake.exists(RECEIPTS):
        return False
    receipts = lake.arrow(
        RECEIPTS,
        schema=arrow_schema(Receipt),
        where=lambda table: (
            (table["usecase"] == usecase.name) & (table["dataset"] == dataset) & (table["accepted"] > 0)
        ),
    )
    simulated = context.workspace.root / _SIMULATED
    return any(not Path(source).is_relative_to(simulated) for source in receipts.column("source").to_pylist())


def simulate_files(usecase: UseCase, *, rows: int, seed: int, out: Path) -> tuple[dict[str, Path], float]:
    """Write simulated tables as Parquet files named after use case, dataset, rows and seed.

    Args:
        usecase: A use case with a simulator.
        rows: Entities to make.
        seed: Seed of the simulator.
        out: Folder for the files.

    Returns:
        Dataset to file, and the best score possible.

    Raises:
        InputError: The use case has no simulator, or ``rows`` is not positive.
    """
    import pyarrow.parquet as pq

    if usecase.simulate is None:
        raise InputError(
            f"the use case {usecase.name!r} has no simulator",
            where=f"use case {usecase.name!r}",
            next_step="see `trunkline usecases --json` for those that have one",
        )
    if rows < 1:
        raise InputError("the number of rows must be at least 1", where="--rows", next_step="e.g. --rows 1000")
    made = usecase.simulate(rows=rows, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for dataset, table in made.tables.items():
        path = out / f"{usecase.name}-{dataset}-{rows}-{seed}.parquet"
        pq.write_table(table, path)
        files[dataset] = path
    return files, made.best_score


def train(context: StepContext) -> TrainDocument:
    """Learn a candidate from the run's batches, or from the whole current table without an ingest step."""
    workspace, usecase = context.workspace, context.usecase
    taken = context.document("ingest")
    batches = IngestDocument.model_validate_json(taken).batches if taken else ()
    rows, versions = main_table(usecase, workspace.lake, batches=batches)
    fingerprints = {name: contract.fingerprint for name, contract in usecase.datasets.items()}
    folder = candidate_folder(context)
    try:
        report = train_candidate(
            usecase,
            rows,
            folder=folder,
            seed=workspace.settings.seed,
            threads=workspace.threads,
            lineage={
                "run_id": context.run_id,
                "code_version": context.code_version,
                **{f"table:{name}": str(version) for name, version in versions.items()},
                **{f"contract:{name}": value for name, value in fingerprints.items()},
            },
            progress=context.progress,
        )
    except LabelError as error:  # the task knows no tables
        error.where = error.where or f"{rows.num_rows} rows of {usecase.table_name()}"
        raise
    return TrainDocument(
        folder=str(folder.relative_to(workspace.root)),
        rows=rows.num_rows,
        batches=batches,
        table_versions=versions,
        contract_fingerprints=fingerprints,
        report=report,
    )


def candidate_folder(context: StepContext) -> Path:
    """Where the candidate of a run lies until it is registered."""
    return context.workspace.folder("candidates") / context.run_id


def evaluate(context: StepContext) -> EvaluateDocument:
    """Gather the evidence and hold it against the gates; the caller refuses if one failed."""
    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    taken = context.document("ingest")
    ceiling = IngestDocument.model_validate_json(taken).best_score if taken else None
    paired = _paired_evidence(context, trained)
    evidence = Evidence(trained.report, paired, ceiling)
    results = judge(usecase.gates, evidence)
    passed = all(result.passed for result in results)
    if not passed:
        workspace.registry.refuse(
            usecase.name, run_id=context.run_id, evidence=[result.model_dump() for result in results]
        )
    headline = paired.get(usecase.metric) or next(iter(paired.values()), None)
    live = workspace.registry.live(usecase.name).champion
    return EvaluateDocument(gates=results, passed=passed, paired=headline, champion=live.version if live else None)


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
        raise GateRefusedError(
            f"the candidate was refused by {said}",
            failed=[result.name for result in failed],
            where=f"use case {usecase!r}, run {run_id}",
            next_step="the champion stays as it is; see the run's report for the evidence",
        )


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _paired_evidence(context: StepContext, trained: TrainDocument) -> dict[str, PairedEvidence]:
    """Compare the candidate with the champion for each gate that asks, on unseen rows where they are enough."""
    workspace, usecase = context.workspace, context.usecase
    champion = workspace.registry.live(usecase.name).champion
    asked = [gate for gate in usecase.gates if isinstance(gate, NotWorseThanChampion)]
    if champion is None or usecase.task is None or not asked:
        return {}
    import pyarrow.compute as pc

    from trunkline.tasks import Model
    from trunkline.tasks.comparison import compare, compare_refitted
    from trunkline.train import unseen_rows

    rows, _ = main_table(usecase, workspace.lake, batches=trained.batches)
    rows = rows.filter(pc.is_valid(rows.column(usecase.task.label)))
    candidate_at = workspace.root / trained.folder
    champion_at = workspace.registry.folder(usecase.name)
    champion_model, candidate_model = Model.load(champion_at), Model.load(candidate_at)
    unseen = unseen_rows(usecase, rows, [candidate_at, champion_at])
    enough = unseen.num_rows >= MINIMUM_UNSEEN
    seed = workspace.settings.seed
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
            champion=champion.version,
            difference=found.difference.value,
            low=found.difference.low,
            high=found.difference.high,
            rows=found.rows,
            unseen=enough,
        )
    return evidence


MINIMUM_UNSEEN: Final = 500
"""Unseen labelled rows below which candidate and champion are refitted in the same folds instead."""


def register(context: StepContext) -> RegisterDocument:
    """Make the candidate a version of the registry."""
    workspace, usecase = context.workspace, context.usecase
    trained = TrainDocument.model_validate_json(context.needed("train"))
    judged = EvaluateDocument.model_validate_json(context.needed("evaluate"))
    refuse_failed(judged, usecase=usecase.name, run_id=context.run_id)
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


def scored_rows(context: StepContext) -> "pa.Table":
    """The rows a predict step scores: the run's batches, or every current row."""
    taken = context.document("ingest")
    batches = IngestDocument.model_validate_json(taken).batches if taken else ()
    return main_table(context.usecase, context.workspace.lake, batches=batches)[0]
