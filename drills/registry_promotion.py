"""Kill -9 of a process that registers, promotes and rolls back, at every point the registry names.

A child process makes a second version champion and goes back to the first; it dies at one named point. What must hold
then, judged by reading files and not by the registry's own code: the live manifest names a version whose every file has
the hash that the trained folder had; the ledger's whole lines are chained. Repeating the command in a new process
completes
it: one entry per act, no more, and the version that was wanted is live. Prints one JSON line.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from trunkline.registry import NoTracker, Registry
from trunkline.settings.drills import VARIABLE
from trunkline.settings.registry import RegistrySettings

KILLED = 9

REGISTER = (
    "registry.copy.before_fsync",
    "registry.copy.before_rename",
    "registry.copy.after_rename",
    "registry.before_registered",
    "ledger.before_write",
    "ledger.torn_write",
    "ledger.before_fsync",
    "ledger.after_fsync",
    "registry.before_track",
    "registry.after_track",
)
GIVE = (
    "registry.before_promoted",
    "ledger.before_write",
    "ledger.torn_write",
    "ledger.before_fsync",
    "ledger.after_fsync",
    "registry.after_decision",
    "live.before_fsync",
    "live.before_rename",
    "live.after_rename",
    "registry.after_live",
    "registry.after_point",
    "followed.before_fsync",
    "followed.before_rename",
    "followed.after_rename",
)


def trained(root: Path, name: str) -> Path:
    """Make a model folder with content of its own."""
    folder = root / name
    (folder / "views").mkdir(parents=True)
    for part in ("model.json", "model.onnx", "views/a.onnx"):
        (folder / part).write_text(json.dumps({"name": name, "part": part}) * 500)
    return folder


def register(workspace: Path, folder: Path) -> None:
    """Register a folder under a run named like it."""
    open_registry(workspace).register(
        "churn", folder, run_id=folder.name, metrics={"roc_auc": 0.85}, tags={}, evidence=[]
    )


def promote(workspace: Path, version: str) -> None:
    """Make a version the champion."""
    open_registry(workspace).promote("churn", version, approver="drill", evidence=None)


def rollback(workspace: Path) -> None:
    """Get away from the second version."""
    open_registry(workspace).rollback("churn", approver="drill", leaving="2")


def open_registry(workspace: Path) -> Registry:
    """Open the registry as a command would."""
    return Registry(workspace, settings=RegistrySettings(), clock=lambda: datetime.now(UTC), follower=NoTracker())


def in_child(act: Callable[[], None], *, crash_at: str = "") -> int:
    """Run an act in a process of its own.

    Returns:
        The signal that ended it; 0 when it ended by itself and well.
    """
    child = os.fork()
    if child == 0:
        os.environ[VARIABLE] = crash_at
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - the child may only end here, whatever happened
            print(f"{crash_at}: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return (status & 0x7F) or -os.waitstatus_to_exitcode(status)


def live(workspace: Path, folders: dict[str, Path]) -> str | None:
    """Read who is live, and prove its folder against the trained one; None when nobody is.

    Raises:
        AssertionError: A file differs.
    """
    path = workspace / "live" / "churn.json"
    if not path.exists():
        return None
    champion = json.loads(path.read_text())["aliases"]["champion"]
    origin = folders[champion["run_id"]]
    served = workspace / champion["folder"]
    names = sorted(p.relative_to(origin) for p in origin.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(served) for p in served.rglob("*") if p.is_file()), "files differ"
    for name in names:
        assert (origin / name).read_bytes() == (served / name).read_bytes(), f"{name} differs"
    return str(champion["version"])


def events(workspace: Path) -> list[str]:
    """List the ledger's events, proving the chain with code of its own.

    Raises:
        AssertionError: The chain is broken.
    """
    found, prev = [], "0" * 64
    content = (workspace / "ledger.jsonl").read_bytes()
    for line in content[: content.rfind(b"\n") + 1].splitlines():
        entry = json.loads(line)
        digest = entry.pop("sha256")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        assert entry["prev"] == prev, "the chain is broken"
        assert digest == hashlib.sha256(text.encode()).hexdigest(), "an entry is not what its hash says"
        prev = digest
        found.append(f"{entry['event']} {entry['version']}")
    return found


def drill(root: Path) -> dict[str, object]:
    """Kill at every point of every act; compare with the one right history."""
    points, lost, doubled = 0, 0, 0
    folders = {name: trained(root / "trained", name) for name in ("first", "second")}
    start = root / "start"
    register(start, folders["first"])
    promote(start, "1")
    acts: list[tuple[str, tuple[str, ...], Callable[[Path], None], tuple[str, str], list[str]]] = [
        ("register", REGISTER, lambda w: register(w, folders["second"]), ("1", "1"), ["registered 2"]),
        ("promote", GIVE, lambda w: promote(w, "2"), ("1", "2"), ["promoted 2"]),
        ("rollback", GIVE, rollback, ("2", "1"), ["rolled_back 1"]),
    ]
    history = ["registered 1", "promoted 1"]
    for name, where, act, (before, after), expected in acts:
        for point in where:
            workspace = root / f"{name}.{point}"
            shutil.copytree(start, workspace)
            assert in_child(partial(act, workspace), crash_at=point) == KILLED, f"{name} never came to {point}"
            points += 1
            events(workspace)
            assert live(workspace, folders) in (before, after), f"{name} at {point}: half-promoted"
            assert in_child(partial(act, workspace)) == 0, f"{name} at {point}: the repeat failed"
            found = events(workspace)
            lost += len([event for event in history + expected if event not in found])
            doubled += len(found) - len(set(found))
            assert live(workspace, folders) == after, f"{name} at {point}: the repeat did not complete"
            assert open_registry(workspace).verify() == len(found)
            shutil.rmtree(workspace)
        act(start)
        history += expected
    return {"drill": "registry_promotion", "points": points, "lost": lost, "duplicated": doubled}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        result = drill(Path(scratch))
    result["passed"] = not result["lost"] and not result["duplicated"]
    print(json.dumps(result))
    sys.exit(not result["passed"])
