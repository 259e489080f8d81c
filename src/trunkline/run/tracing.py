"""Lineage: from any id to what it rests on, link by link: answer, version, run, batches, sources."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.checks import arrow_schema
from trunkline.contracts import Contract
from trunkline.contracts.records import PREDICTIONS, RUNS, STEPS, PredictionLog, RunRecord, StepRecord
from trunkline.errors import UnknownNameError
from trunkline.run.links import Link
from trunkline.run.row_tracing import batch_link, receipt_of_batch, row_by_key, row_by_record, table_version

if TYPE_CHECKING:
    from trunkline.registry import Registry
    from trunkline.run.workspace import Workspace

__all__ = ["Link", "trace"]


def trace(workspace: "Workspace", identity: str) -> tuple[Link, ...]:
    """Follow an id back to the sources.

    Args:
        workspace: The workspace.
        identity: A prediction or request id, a run id, a batch id, ``USECASE/VERSION``, a row as ``BATCH/RECORD`` or
            ``usecase.dataset#key=value``, or a version of a table as ``usecase.dataset@VERSION``.

    Returns:
        The links, from the id to the files.

    Raises:
        UnknownNameError: Nothing has that id.
        InputError: A value of a key is not of its kind.
    """
    links = next(
        (
            found
            for follow in (row_by_key, row_by_record, table_version, _links)
            if (found := tuple(follow(workspace, identity)))
        ),
        (),
    )
    if not links:
        raise UnknownNameError(
            f"nothing has the id {identity[:80]!r}",
            allowed=(
                "a prediction or request id",
                "a run id",
                "a batch id",
                "BATCH/RECORD",
                "USECASE/VERSION",
                "USECASE.DATASET#KEY=VALUE",
                "USECASE.DATASET@VERSION",
            ),
        )
    return links


def _links(workspace: "Workspace", identity: str) -> Iterator[Link]:
    usecase, slash, version = identity.partition("/")
    if slash:
        if not usecase:
            return
        yield from _version(workspace, usecase, version)
        return
    answers = _rows(workspace, PREDICTIONS, PredictionLog, "prediction_id", identity)
    answers = answers or _rows(workspace, PREDICTIONS, PredictionLog, "request_id", identity)
    if answers and answers[0]["channel"] == "api":
        first = answers[0]
        yield Link(
            kind="answer",
            identity=identity,
            facts={
                name: str(first[name])
                for name in ("usecase", "entity_key", "score", "decision", "model_version", "predicted_at", "features")
            },
        )
        yield from _version(workspace, str(first["usecase"]), str(first["model_version"]))
        return
    if answers and answers[0]["prediction_id"] == identity:
        first = answers[0]
        yield Link(
            kind="answer",
            identity=identity,
            facts={name: str(first[name]) for name in ("usecase", "score", "entity_key")},
        )
        yield from _version(workspace, str(first["usecase"]), str(first["model_version"]))
        return
    runs = _rows(workspace, RUNS, RunRecord, "run_id", identity)
    if runs:
        yield from _run(workspace, identity)
        return
    yield from _batches(workspace, [identity])


def _version(workspace: "Workspace", usecase: str, version: str) -> Iterator[Link]:
    registry: Registry = workspace.registry
    found = registry.get(usecase, version)
    approvals = [
        f"{entry.event} by {entry.approver} at {entry.at}"
        for entry in registry.ledger.entries()
        if entry.usecase == usecase and entry.version == found.version
    ]
    gates = ", ".join(
        f"{gate['name']} {'passed' if gate['passed'] else 'refused'}"
        for gate in (found.evidence if isinstance(found.evidence, list) else [])
        if isinstance(gate, dict)
    )
    yield Link(
        kind="version",
        identity=f"{usecase}/{found.version}",
        facts={"run": found.run_id, "history": "; ".join(approvals), "gates": gates, **found.tags},
    )
    yield from _run(workspace, found.run_id)


def _run(workspace: "Workspace", run_id: str) -> Iterator[Link]:
    records = _rows(workspace, RUNS, RunRecord, "run_id", run_id)
    if not records:
        return
    last = max(records, key=lambda row: str(row["changed_at"]))
    facts = {name: str(last[name]) for name in ("usecase", "state", "started_at", "code_version")}
    batches: list[str] = []
    for step in _rows(workspace, STEPS, StepRecord, "run_id", run_id):
        document = json.loads(str(step["document"]))
        if step["step"] == "ingest":
            batches = [receipt["batch_id"] for receipt in (*document["receipts"], *document.get("derived", ()))]
        if step["step"] == "train":
            facts |= {f"table {name}": f"version {version}" for name, version in document["table_versions"].items()}
            facts |= {f"contract {name}": value for name, value in document["contract_fingerprints"].items()}
    yield Link(kind="run", identity=run_id, facts=facts)
    yield from _batches(workspace, batches)


def _batches(workspace: "Workspace", batches: list[str]) -> Iterator[Link]:
    for batch in batches:
        receipt = receipt_of_batch(workspace, batch)
        if receipt is not None:
            yield batch_link(workspace, receipt)


def _rows(
    workspace: "Workspace", table: str, contract: type[Contract], column: str, value: str
) -> list[dict[str, object]]:
    if not workspace.lake.exists(table):
        return []
    found = workspace.lake.arrow(table, schema=arrow_schema(contract), where=lambda rows: rows[column] == value)
    rows: list[dict[str, object]] = found.to_pylist()
    return rows
