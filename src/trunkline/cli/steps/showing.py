"""What came of a run, as the document of ``--json`` and in words."""

import json
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.cli.output import refused_document, table

if TYPE_CHECKING:
    from trunkline.run import RunResult

__all__ = ["show", "show_metrics", "show_published", "summary"]

_NAMED: Final = 6
"""Columns that have moved and are named in words."""

_QUARANTINED: Final = 12
"""Batches with refused rows that are named in words."""

_FILLED_BY_NONE: Final = 12
"""Fields without a column, and columns without a field, that are named in words."""


def summary(result: "RunResult", *, root: Path) -> dict[str, object]:
    """Put a run's documents into the document that ``--json`` prints.

    Args:
        result: The run.
        root: The workspace's folder.
    """
    parts = {step: json.loads(text) for step, text in result.documents.items()}
    document: dict[str, object] = {"usecase": result.usecase, "run_id": result.run_id}
    if "ingest" in parts:
        receipts = parts["ingest"]["receipts"]
        document["ingest"] = {
            name: sum(receipt[name] for receipt in receipts)
            for name in ("read", "accepted", "quarantined", "duplicates")
        } | {
            "batches": [receipt["batch_id"] for receipt in receipts],
            "known": parts["ingest"]["known"],
            "known_files": parts["ingest"].get("known_files", 0),
            "unreachable": parts["ingest"].get("unreachable", []),
            "passed_over": parts["ingest"].get("passed_over", []),
            "simulated": parts["ingest"].get("simulated", False),
        }
        document["receipts"] = receipts
        if derived := parts["ingest"].get("derived"):
            document["derived"] = derived
    if "train" in parts:
        trained = parts["train"]["report"]
        champion = trained["champion"]
        registered = parts.get("register", {})
        model: dict[str, object] = {
            "name": champion["name"],
            "version": registered.get("version"),
            "alias": parts.get("rollout", {}).get("alias"),
        }
        model |= {"unchanged": True} if registered.get("unchanged") else {}
        document["model"] = model | ({"kept": True} if parts["train"].get("kept") else {})
        document["metrics"] = trained["metrics"]
        document["test_metrics"] = trained["test_metrics"]
    if "evaluate" in parts:
        from trunkline.train import EvaluateDocument

        judged = EvaluateDocument.model_validate(parts["evaluate"])
        document["gates"] = parts["evaluate"]["gates"]
        if judged.drift:
            document["data_drift"] = {
                "since": judged.champion,
                "columns": len({reading.subject for reading in judged.drift}),
                "moved": [reading.model_dump(mode="json") for reading in judged.moved],
            }
    if "predict" in parts:
        document["predictions"] = parts["predict"]
    if "monitor" in parts:
        watched = parts["monitor"]
        document["monitor"] = {
            "model_version": watched["model_version"],
            "rows": watched["rows"],
            "outcomes": watched["outcomes"],
            "readings": len(watched["readings"]),
            "crossed": [reading for reading in watched["readings"] if reading["crossed"]],
            "alerts": watched["alerts"],
            "note": watched["note"],
        }
    if "report" in parts:
        document["report"] = {"path": str(root / parts["report"]["path"])}
        if addressed := parts["report"].get("audience"):
            document["audience"] = {**addressed, "path": str(root / addressed["path"])}
    if "publish" in parts:
        document["publish"] = parts["publish"]
    from trunkline.run import SourcesRefusedError

    if "ingest" in parts:
        document |= refused_document(result.refused if isinstance(result.refused, SourcesRefusedError) else None)
    document["seconds"] = round(result.seconds, 3)
    return document


def show_published(document: dict[str, object]) -> None:
    """Print what came of the publish step alone, where nothing else was asked for.

    Args:
        document: From :func:`summary`.
    """
    print(f"{document['usecase']}  run {document['run_id']}  {document['seconds']} s")
    _show_published(document.get("publish"))


def show(document: dict[str, object]) -> None:
    """Print a run's document in words.

    Args:
        document: From :func:`summary`.
    """
    print(f"{document['usecase']}  run {document['run_id']}  {document['seconds']} s")
    _show_ingest(document)
    model = document.get("model")
    if isinstance(model, dict):
        print(f"model    {model['name']}, {_what_became_of(model)}")
        show_metrics("out of fold, 95 % interval", document)
    gates = document.get("gates")
    if isinstance(gates, list):
        table(
            "gates",
            ["gate", "", "value", "limit", "evidence"],
            [[g["name"], "passed" if g["passed"] else "REFUSED", g["value"], g["limit"], g["detail"]] for g in gates],
        )
    _show_drift(document.get("data_drift"))
    predictions = document.get("predictions")
    if isinstance(predictions, dict):
        print(f"predict  {predictions['rows']} rows by version {predictions['model_version']}")
    watched = document.get("monitor")
    if isinstance(watched, dict):
        print(f"monitor  {watched['readings']} readings over {watched['rows']} rows, {watched['outcomes']} outcomes")
        if not watched["crossed"]:
            print("         nothing is beyond its limit")
        for alert in watched["alerts"]:
            print(f"  ALERT {alert['severity']}: {alert['title']}: {alert['text']}")
    _show_ends(document)


def _show_ingest(document: dict[str, object]) -> None:
    taken = document.get("ingest")
    if not isinstance(taken, dict):
        return
    known = f" (files that were taken in before: {taken['known_files']})" if taken["known_files"] else ""
    print(
        f"ingest   {taken['read']} read = {taken['accepted']} accepted + {taken['quarantined']} quarantined"
        f" + {taken['duplicates']} duplicates{known}"
    )
    if taken["simulated"]:
        print("         simulated: nobody handed rows over, and nothing here is about real customers")
    if taken["unreachable"]:
        print(f"         out of reach: {', '.join(taken['unreachable'])}; the run goes on with what the lake has")
    _show_passed_over(taken["passed_over"])
    _show_receipts(document)
    _show_refused(document)
    derived = document.get("derived")
    for one in derived if isinstance(derived, list) else []:
        counts = f"{one['accepted']} accepted, {one['quarantined']} quarantined, {one['duplicates']} duplicate"
        print(f"derived  {one['dataset']}: {one['read']} computed, {counts}")
        told = json.loads(one.get("notes") or "{}")
        for name, value in told.items():
            if value:
                print(f"         {name.replace('_', ' ')}: {value}")


def _show_drift(drift: object) -> None:
    if isinstance(drift, dict):
        moved = [f"{one['subject']} ({one['metric']} {one['value']:+.2f})" for one in drift["moved"]]
        said = f"beyond their limits: {_some(moved, _NAMED)}" if moved else "nothing is beyond its limit"
        print(f"drift    {drift['columns']} columns since the training of version {drift['since']}: {said}")


def _some(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f", {len(names) - most} more" if len(names) > most else "")


def _show_ends(document: dict[str, object]) -> None:
    written = document.get("report")
    if isinstance(written, dict):
        print(f"report   {written['path']}")
    _show_audience(document.get("audience"))
    _show_published(document.get("publish"))


def _show_published(brought: object) -> None:
    if isinstance(brought, dict):
        # a sink that is down says so once, not of each table
        for (error, next_step), some in groupby(brought["published"], key=itemgetter("error", "next_step")):
            for one in some:
                rows = f", {one['rows']} rows" if one["state"] == "delivered" else ""
                print(f"publish  {one['target']} to {one['to'] or one['sink']}: {one['state']}{rows}")
            if error:
                print(f"         {error}")
                print(f"         next: {next_step}")


def _show_audience(addressed: object) -> None:
    if not isinstance(addressed, dict):
        return
    print(
        f"audience {addressed['members']} members, {addressed['held_out']} of them never contacted; expected value "
        f"{addressed['expected_value']:,.0f}, spend {addressed['spend']:,.0f}"
    )
    print(f"         {addressed['note']}")
    print(f"         {addressed['path']}")


def _what_became_of(model: dict[str, object]) -> str:
    """Say which version a candidate is.

    >>> _what_became_of({"version": "2", "alias": "champion", "unchanged": True, "kept": True})
    'version 2 is champion, and was not due to learn anew: figures and gates are those of its training'
    """
    said = f"version {model['version']} is {model['alias']}" if model["alias"] else "not released"
    if model.get("kept"):
        return f"{said}, and was not due to learn anew: figures and gates are those of its training"
    return f"{said}, unchanged: the same rows, recipe and code made it again" if model.get("unchanged") else said


def show_metrics(title: str, document: dict[str, object]) -> None:
    """Print the metrics of a document as a table; nothing where it has none."""
    metrics = document.get("metrics")
    if isinstance(metrics, dict):
        table(
            title,
            ["metric", "value", "low", "high"],
            [[name, found["value"], found["low"], found["high"]] for name, found in metrics.items()],
        )


def _show_passed_over(found: list[dict[str, object]]) -> None:
    if found:
        from trunkline.run.outcomes import PassedOver

        said = ", ".join(str(PassedOver.model_validate(one)) for one in found)
        print(f"         passed over, as they hold no rows by their names: {said}")


def _show_receipts(document: dict[str, object]) -> None:
    receipts = document.get("receipts")
    broken = [one for one in (receipts if isinstance(receipts, list) else []) if json.loads(one["reasons"])]
    for receipt in broken[:_QUARANTINED]:
        named = ", ".join(f"{reason} ({count})" for reason, count in list(json.loads(receipt["reasons"]).items())[:6])
        print(f"         quarantined for {named}; see `trunkline quarantine show {receipt['batch_id']}`")
    if len(broken) > _QUARANTINED:
        print(f"         and rows of {len(broken) - _QUARANTINED} more batches; see `trunkline quarantine list`")
    _show_columns(document, "absent_columns", "fields that no column fills")
    _show_columns(document, "extra_columns", "columns the contract does not know, left out")


def _show_columns(document: dict[str, object], kept_as: str, what: str) -> None:
    """Tell once of what batches of a dataset have in common, and of how many, where not of one alone."""
    from trunkline.checks import dialect_hint

    receipts = document.get("receipts")
    alike: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for receipt in receipts if isinstance(receipts, list) else []:
        alike.setdefault((receipt["dataset"], *json.loads(receipt[kept_as])), []).append(receipt)
    for (dataset, *names), some in alike.items():
        if not names:
            continue
        batches = "1 batch" if len(some) == 1 else f"{len(some)} batches"
        of = f" ({batches} of {dataset})" if isinstance(receipts, list) and len(receipts) > 1 else ""
        print(f"         {what}: {_some(names, _FILLED_BY_NONE)}{of}")
        hint = dialect_hint(names, json.loads(some[0]["absent_columns"]))
        if hint and kept_as == "extra_columns":
            print(f"         {hint}; what is in already: --again {some[0]['batch_id']} --csv ...")


def _show_refused(document: dict[str, object]) -> None:
    refused = document.get("refused")
    if isinstance(refused, list) and refused:
        names = [Path(one["source"]).name for one in refused]
        number = "1 source" if len(refused) == 1 else f"{len(refused)} sources"
        print(f"refused  {number}: {_some(names, _NAMED)}")
        if document.get("receipts"):
            print("         all others are taken in: the same command finds them known")
