"""Run test suites one after the other, each within its time budget, and close with one line that sums them.

    scripts/suites.py fast slow       these
    scripts/suites.py --all           every suite that has a test

A suite is the tests that carry its mark; ``fast`` is the tests that carry none. Two suites run tests of ``fast``
again: ``fast-tokyo`` those that a time zone can touch, and ``properties`` those of Hypothesis, with more examples. A
suite exists from the first test that carries its mark. What a suite needs (extras, Debian packages) is installed when
it is first run. The last line is ``N passed, N failed, N skipped``; the exit code is 1 when anything failed, ran out
of time, or nothing ran.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "junit"
QUICKER = {
    "PYTHONDONTWRITEBYTECODE": "",  # tests start many processes: each would compile its libraries anew
    "OMP_NUM_THREADS": "1",  # the workers have the cores already, and threads without a core wait by spinning
    "OPENBLAS_NUM_THREADS": "1",
}
FETCH_SECONDS = 180  # for a server that tests can do without
KILL_AFTER_SECONDS = 20  # between asking a suite to end and making it


@dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
        budget_seconds: It is ended, and has failed, when it takes longer. All budgets add up to less than an hour.
        mark: The pytest mark that its tests carry; empty for the tests that carry none.
        workers: Processes of pytest-xdist; 0 runs in one process.
        extras: Extras of the package that it needs beside ``dev``.
        system: What ``scripts/system.sh`` must provide.
        fetched: Scripts, with their arguments, that fetch servers where they can, within :data:`FETCH_SECONDS` each;
            elsewhere tests are skipped, and say why.
        variables: Environment variables it runs under.
        folders: Where its tests are, below the root; empty for everywhere.
        left_out: Files of these folders that it does not take.
        narrowed_to: A pytest expression that its tests must fulfil as well.
    """

    budget_seconds: int
    mark: str = ""
    workers: int = 0
    extras: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    fetched: tuple[tuple[str, ...], ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    narrowed_to: str = ""


# Instants, dates, and whatever reads, stores, judges or shows them. Not here: statistics, learners, reports and charts,
# plug-ins and the rules of this repository, which are handed numbers and texts, and no instant but to print it.
TOUCHED_BY_TIME_ZONES = (
    *("tests/contracts", "tests/checks", "tests/engine", "tests/lake", "tests/ingest", "tests/brokers"),
    *("tests/registry", "tests/serve", "tests/monitor", "tests/run", "tests/settings", "src/trunkline/contracts"),
    *("tests/train", "tests/plan", "tests/console/test_console.py", "tests/console/test_quality.py"),
)
# Files of those folders whose outcomes rest on no instant: refusals by name and form, crashes, memory, spelling, and
# the same intake that others of their folder prove with instants in it.
UNTOUCHED_BY_TIME_ZONES = (
    *("tests/run/test_bad_input.py", "tests/run/test_budget.py", "tests/run/test_refusals_and_faults.py"),
    *("tests/run/test_taking.py", "tests/run/test_erasing.py", "tests/contracts/test_expressions.py"),
    *("tests/ingest/test_documentation.py", "tests/ingest/test_groups.py", "tests/ingest/test_unique.py"),
    *("tests/ingest/formats/test_byte_stream.py", "tests/ingest/formats/test_json_documents.py"),
    *("tests/lake/test_processes.py", "tests/lake/test_conflicts.py"),
)

SUITES = {
    "fast": Suite(240, workers=2),
    # The same answers wherever the machine stands: a naive local time anywhere shows here.
    "fast-tokyo": Suite(
        150,
        workers=2,
        variables={"TZ": "Asia/Tokyo"},
        folders=TOUCHED_BY_TIME_ZONES,
        left_out=UNTOUCHED_BY_TIME_ZONES,
    ),
    "properties": Suite(150, workers=2, variables={"HYPOTHESIS_PROFILE": "thorough"}, narrowed_to="hypothesis"),
    "slow": Suite(1170, mark="slow", workers=2, variables={"HYPOTHESIS_PROFILE": "brief"}),
    "servers": Suite(
        900,
        mark="servers",
        extras=("sql", "kafka", "mqtt", "rabbitmq"),
        system=("postgresql", "mariadb", "java", "mosquitto", "rabbitmq"),
        fetched=(("stores.sh", "gs"), ("stores.sh", "azure"), ("maven.sh", "mongodb"), ("mysql.sh",)),
    ),
    "spark": Suite(500, mark="spark", extras=("spark", "kafka"), system=("java",)),
    "airflow": Suite(350, mark="airflow", workers=2),  # its tests make .venv-airflow: scripts/airflow.sh
    "browser": Suite(130, mark="browser", system=("chromium",)),
}
MARKS = [suite.mark for suite in SUITES.values() if suite.mark]


@dataclass(frozen=True)
class Tally:
    """What became of a suite's tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Add count by count."""
        return Tally(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        """Render as a line that is read by people and by machines."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def exists(suite: Suite) -> bool:
    """Tell whether any test carries the suite's mark."""
    if not suite.mark:
        return True
    carries = re.compile(rf"pytest\.mark\.{suite.mark}\b")
    files = (file for folder in ("tests", "src") for file in (ROOT / folder).rglob("test_*.py"))
    return any(carries.search(file.read_text(encoding="utf-8")) for file in files)


def prepare(suite: Suite) -> None:
    """Install what the suite needs; nothing when it is there already."""
    if suite.system:
        environment = os.environ | {"PYTHON": sys.executable}
        subprocess.run([ROOT / "scripts" / "system.sh", *suite.system], check=True, env=environment)
    for script, *arguments in suite.fetched:
        fetch: list[str | Path] = [ROOT / "scripts" / script, *arguments]
        if timeout := shutil.which("timeout"):
            fetch = [timeout, str(FETCH_SECONDS), *fetch]
        if subprocess.run(fetch, check=False).returncode:
            print(
                f"{' '.join((script, *arguments))} did not fetch its server: the tests that need it are skipped",
                flush=True,
            )
    if suite.extras:
        stamp = f".venv/.installed-{','.join(('dev', *suite.extras))}"
        subprocess.run(["make", "--no-print-directory", stamp], check=True, cwd=ROOT)


def run(name: str, suite: Suite) -> Tally:
    """Run one suite and count its tests; a suite that leaves no result counts as one failure."""
    result = RESULTS / f"{name}.xml"
    result.unlink(missing_ok=True)
    expression = suite.mark or " and ".join(f"not {mark}" for mark in MARKS)
    if suite.narrowed_to:
        expression = f"{suite.narrowed_to} and {expression}"
    command = [sys.executable, "-m", "pytest", "-q", "-m", expression, f"--junitxml={result}", *suite.folders]
    command += [f"--ignore={path}" for path in suite.left_out]
    if suite.workers:  # neighbours stay together, with what they share; who is done early takes from the others
        command += ["-n", str(suite.workers), "--dist", "worksteal"]
    timeout = shutil.which("timeout")  # coreutils; kills the workers too, as it leads their process group
    if timeout:
        command = [timeout, f"--kill-after={KILL_AFTER_SECONDS}", str(suite.budget_seconds), *command]
    environment = os.environ | QUICKER | suite.variables
    print(f"\n== {name}: at most {suite.budget_seconds} s", flush=True)
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    tally = count(result) if result.exists() else Tally(failed=1)
    if code and not tally.failed:  # ended by its budget, or broken outside any test
        tally += Tally(failed=1)
    print(f"== {name}: {tally} in {time.monotonic() - started:.0f} s (exit code {code})", flush=True)
    return tally


def count(result: Path) -> Tally:
    """Sum a JUnit file as pytest writes it."""
    total = Tally()
    for suite in ET.parse(result).getroot().iter("testsuite"):
        tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        total += Tally(max(tests - failed - skipped, 0), failed, skipped)
    return total


def main() -> int:
    """Run the suites that were asked for; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SUITE", help=f"one of: {', '.join(SUITES)}")
    parser.add_argument("--all", action="store_true", help="every suite that has a test")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in SUITES]
    if unknown or not (asked.names or asked.all):
        parser.error(f"unknown suite: {', '.join(unknown) or '(none named)'}; allowed: {', '.join(SUITES)}")
    absent = [name for name in asked.names if not exists(SUITES[name])]
    if absent:
        parser.error(f"no test carries the mark of: {', '.join(absent)}")
    names = [name for name in SUITES if (asked.all and exists(SUITES[name])) or name in asked.names]

    RESULTS.mkdir(parents=True, exist_ok=True)
    total = Tally()
    for name in names:
        prepare(SUITES[name])
        total += run(name, SUITES[name])
    print(f"\n{', '.join(names)}, together:\n{total}", flush=True)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
