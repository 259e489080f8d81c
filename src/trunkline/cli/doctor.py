"""``doctor``: what is installed, reachable, missing, and the command that mends it."""

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.cli.output import Common, emit, table
from trunkline.settings.engine import EngineSettings

if TYPE_CHECKING:
    from trunkline.plugins import Installed
    from trunkline.run import Workspace


@dataclass(frozen=True)
class _Finding:
    part: str
    state: str
    detail: str
    mend: str


_NOT_FOR_USERS = ("all", "dev")
_AIRFLOW = (3, 2)


def doctor(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Say what is installed, reachable, missing, and the command that mends it."""
    findings = [*_machine(), *_workspace(common), _airflow(), *_extras()]
    broken = any(finding.state == "broken" for finding in findings)
    emit(
        {"findings": [vars(finding) for finding in findings], "healthy": not broken},
        common=common,
        text=lambda: table(
            "doctor",
            ["part", "state", "detail", "mend"],
            [[finding.part, finding.state, finding.detail, finding.mend] for finding in findings],
        ),
    )
    return 1 if broken else 0


def _machine() -> list[_Finding]:
    right = sys.version_info >= (3, 11)
    state, mend = ("ok", "") if right else ("broken", "use Python >= 3.11")
    return [
        _Finding("python", state, platform.python_version(), mend),
        _Finding("cores", "ok", str(len(os.sched_getaffinity(0))), ""),
    ]


def _workspace(common: Common) -> list[_Finding]:
    from trunkline.errors import TrunklineError
    from trunkline.run import Workspace
    from trunkline.settings import load_settings

    found = []
    try:
        settings = load_settings(workspace=common.workspace)
        with Workspace(settings) as workspace:
            found.append(_Finding("settings", "ok", str(settings.workspace.absolute()), ""))
            found.append(_engine(settings.engine))
            free = shutil.disk_usage(_existing(workspace.root)).free
            enough = free > 2 * 1024**3
            found.append(
                _Finding(
                    "disk", "ok" if enough else "low", f"{free / 1024**3:.1f} GiB free", "" if enough else "free space"
                )
            )
            found += _log_disk(workspace)
            if workspace.root.exists():
                entries = workspace.registry.verify()
                found.append(_Finding("registry", "ok", f"{entries} ledger entries, all as written", ""))
                tables = workspace.lake.tables()
                found.append(_Finding("lake", "ok", f"{len(tables)} tables", ""))
            else:
                found.append(_Finding("workspace", "absent", "made by the first run", "trunkline run churn"))
            installed = workspace.installed()
            found += _keys(workspace, installed)
            found += _sources(workspace)
            found += _sinks(workspace)
            found += _actions(workspace, installed)
            found.append(_Finding("use cases", "ok", ", ".join(installed.usecases), ""))
            for name, error in installed.broken.items():
                at = f" ({error.where})" if error.where else ""
                found.append(_Finding(f"use case {name}", "broken", f"{error.what}{at}", error.next_step))
    except TrunklineError as error:
        found.append(_Finding("workspace", "broken", error.what, error.next_step))
    return found


def _log_disk(workspace: "Workspace") -> list[_Finding]:
    """Say whether the embedded log lies on a disk of this host; nothing where the broker is another."""
    from trunkline.brokers.local_disk import file_system_of, refuse_far_disk
    from trunkline.errors import InputError

    settings, folder = workspace.settings.broker, workspace.root / "log"
    if settings.url is not None:
        return []
    found = file_system_of(folder)
    said = "this system does not tell" if found is None else f"{found.kind}, mounted at {found.mount}"
    try:
        refuse_far_disk(folder)
    except InputError as error:
        allowed = settings.network_disk == "allow"
        return [_Finding("log disk", "allowed" if allowed else "broken", error.what, error.next_step)]
    return [_Finding("log disk", "ok", said, "")]


def _keys(workspace: "Workspace", installed: "Installed") -> list[_Finding]:
    """Say of the keys of personal data whether they are there, and where."""
    from trunkline.errors import TrunklineError

    contracts = [contract for usecase in installed.usecases.values() for contract in usecase.contracts.values()]
    protected = workspace.keys.is_encrypted(*contracts)
    folder = str(workspace.keys.folder)
    try:
        facts = workspace.keys.facts()
    except TrunklineError as error:
        return [_Finding("keys", "broken", error.what, error.next_step)]
    if not facts:
        said = "made on first need" if protected else "no contract protects personal data"
        return [_Finding("keys", "absent", said, "")]
    open_to = [path.name for path in workspace.keys.files() if path.stat().st_mode & 0o077]
    if open_to:
        return [_Finding("keys", "broken", f"others may read {', '.join(open_to)}", f"chmod 600 {folder}/*")]
    uses = ", ".join(sorted({one.use for one in facts}))
    return [_Finding("keys", "ok", f"{len(facts)} keys ({uses}) in {folder}; keep a copy elsewhere", "")]


def _sources(workspace: "Workspace") -> list[_Finding]:
    """Say of each declared source whether its names are right, its library is there, and anybody listens."""
    from trunkline.cli.reaching import extra_of, reached
    from trunkline.errors import UnknownNameError
    from trunkline.run import refuse_misdeclared

    found = []
    extras = _declared_extras() if workspace.settings.sources else {}
    for name, declared in workspace.settings.sources.items():
        part, extra = f"source {name}", extra_of(declared)
        missing = [one for one in extras.get(extra or "", ()) if not _installed(one)]
        try:
            refuse_misdeclared(workspace, name, declared)
        except UnknownNameError as error:
            found.append(_Finding(part, "broken", error.what, error.next_step))
            continue
        if missing:
            found.append(
                _Finding(part, "broken", f"{', '.join(missing)} not installed", f"pip install 'trunkline[{extra}]'")
            )
            continue
        is_there, tried = reached(declared)
        mend = "" if is_there else "start it, or mend its address in trunkline.toml"
        found.append(_Finding(part, "ok" if is_there else "broken", tried, mend))
    return found


def _actions(workspace: "Workspace", installed: "Installed") -> list[_Finding]:
    """Say of rules over windows whose actions the settings do not have."""
    from trunkline.run.notifying import EVENTS

    settings = workspace.settings.notify
    known = {*settings.targets, *([EVENTS] if settings.events_topic else [])}
    mend = "declare [notify.targets.NAME], or notify.events_topic for events (docs/notify.md)"
    return [
        _Finding(f"rule {usecase.name}.{table}.{name}", "broken", f"nobody is called {action!r}", mend)
        for usecase in installed.usecases.values()
        for table, windowed in usecase.windows.items()
        for name, rule in windowed.rules.items()
        for action in rule.actions
        if action not in known
    ]


def _sinks(workspace: "Workspace") -> list[_Finding]:
    """Say of each sink of published tables whether it can be reached, and what it is owed."""
    from trunkline.errors import TrunklineError
    from trunkline.publish import Memory, open_sink
    from trunkline.run import outbox_of

    settings, outbox = workspace.settings.publish, outbox_of(workspace)
    owed = outbox.owed()
    found = []
    for name, said in settings.sinks.items():
        waiting = sum(one.sink == name for one in owed)
        behind = f"; {waiting} tables are owed: trunkline publish USECASE" if waiting else ""
        try:
            sink = open_sink(said, settings=settings, memory=Memory(outbox, name))
            try:
                sink.check()
                found.append(_Finding(f"sink {name}", "ok", f"{sink.shown}{behind}", ""))
            finally:
                sink.close()
        except TrunklineError as error:
            at = f" ({error.where})" if error.where else ""
            found.append(_Finding(f"sink {name}", "broken", f"{error.what}{at}{behind}", error.next_step))
    return found


def _engine(settings: EngineSettings) -> _Finding:
    """Say what computes, and whether the Java that Spark needs is there: broken where Spark is asked for without."""
    from trunkline.engine.spark.java import INSTALL_JAVA, JAVA_VERSIONS, find_java

    java = find_java()
    if java is not None and java.fits:
        there = f"Java {java.version} at {java.path}"
    else:
        wanted = " or ".join(map(str, JAVA_VERSIONS))
        there = f"Spark needs Java {wanted}, " + ("none is installed" if java is None else f"{java.path} is another")
    if settings.name != "spark":
        return _Finding("engine", "ok", f"{settings.name}; for Spark: {there}", "")
    if java is None or not java.fits:
        return _Finding("engine", "broken", there, INSTALL_JAVA)
    if not _installed("pyspark"):
        return _Finding("engine", "broken", "pyspark is not installed", "pip install 'trunkline[spark]'")
    return _Finding("engine", "ok", f"spark at {settings.url}; {there}", "")


def _airflow() -> _Finding:
    """Say whether Airflow is in this environment; it need not be, since its tasks start the command."""
    try:
        version = importlib.metadata.version("apache-airflow")
    except importlib.metadata.PackageNotFoundError:
        said = "not in this environment, and it need not be: `trunkline dags` renders for one that stands elsewhere"
        return _Finding("airflow", "absent", said, "")
    if tuple(int(part) for part in version.split(".")[:2]) < _AIRFLOW:
        wanted = ".".join(map(str, _AIRFLOW))
        return _Finding("airflow", "old", f"{version}; rendered DAGs need {wanted}", "pip install 'trunkline[airflow]'")
    return _Finding("airflow", "ok", f"{version}; `trunkline dags --out FILE` renders DAGs for it", "")


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _extras() -> list[_Finding]:
    """Say of each extra that the package declares which of its libraries are there."""
    found = []
    for extra, wanted in _declared_extras().items():
        missing = [name for name in wanted if not _installed(name)]
        state = "ok" if not missing else "absent" if len(missing) == len(wanted) else "partial"
        there = ", ".join(wanted) or "needs nothing beyond the package"
        detail = f"{', '.join(missing)} not installed" if missing else there
        found.append(_Finding(f"extra {extra}", state, detail, f"pip install 'trunkline[{extra}]'" if missing else ""))
    return found


def _declared_extras() -> dict[str, list[str]]:
    """Extra to the libraries that it brings, of all that are for users."""
    from packaging.requirements import Requirement

    declared = importlib.metadata.metadata("trunkline")
    needs = [Requirement(line) for line in declared.get_all("Requires-Dist") or ()]
    return {
        extra: [
            need.name
            for need in needs
            if need.marker is not None
            and need.marker.evaluate({"extra": extra})
            and not need.marker.evaluate({"extra": ""})
        ]
        for extra in sorted(set(declared.get_all("Provides-Extra") or ()) - set(_NOT_FOR_USERS))
    }


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
