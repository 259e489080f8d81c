"""The one Spark application that a process can have, shared by its engines.

Takes where Spark runs and what it may take, gives sessions that are set to UTC and to ANSI SQL. The first engine starts
the application and the last one ends it; a session that the process had before (a notebook on a cluster) is used and
left running. Refuses a second application beside the first, which Spark does not allow.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.engine.spark.java import demand_java
from trunkline.errors import AuthorError, InputError, MissingExtraError, UnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Application", "Place", "enter", "leave"]

_MASTERS: Final = ("local[N]", "spark://HOST:PORT", "yarn", "k8s://HOST:PORT")
_MASTER: Final = re.compile(r"local(\[(\*|[0-9]+)(,[0-9]+)?\])?|spark://\S+|yarn|k8s://\S+")
_ANSWER_S: Final = 5.0
_END_S: Final = 20.0
_STACK: Final = "-Xss16m -Duser.timezone=UTC"
"""Java's regular expressions recurse once per character of a long text."""

_LOCAL: Final = "-XX:TieredStopAtLevel=1"
"""Of local Spark, where jobs are small: without it Java's second compiler takes more time than the job itself."""

# Of every session, whatever the application was started with.
_SESSION: Final[Mapping[str, str]] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.ansi.enabled": "true",  # overflow and malformed casts are errors, as in DuckDB
    "spark.sql.caseSensitive": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    # more rows than that are a task's work, and not the optimiser's, which has one thread and compiles nothing
    "spark.sql.execution.arrow.localRelationThreshold": "1m",
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",
    "spark.sql.parquet.filterPushdown": "true",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
}


@dataclass(frozen=True)
class Place:
    """Where Spark runs and what it may take.

    Attributes:
        url: Spark's master, e.g. ``local[2]`` or ``spark://host:7077``.
        driver_host: Address of this process, at which the workers find it and which it binds.
        python: Python of the workers; empty is the one of this process.
        memory_limit_mb: Memory of the Java process beside this one, in MiB; None leaves it to Spark.
        temp_dir: Where Spark spills on this machine; None is its default.
        event_log: Folder or URL of the event log for Spark's history server; empty writes none.
        options: Further settings of Spark, which win over all others but those of sessions.
    """

    url: str
    driver_host: str = "127.0.0.1"
    python: str = ""
    memory_limit_mb: int | None = None
    temp_dir: Path | None = None
    event_log: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether Spark runs in one process on this machine."""
        return self.url.startswith("local")

    def settings(self) -> dict[str, str]:
        """Give the settings of the application, by Spark's names."""
        log = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
        said = {
            "spark.master": self.url,
            "spark.app.name": "trunkline",
            "spark.driver.host": self.driver_host,
            "spark.driver.bindAddress": self.driver_host,
            "spark.ui.enabled": "false",  # it would listen on all addresses
            "spark.ui.showConsoleProgress": "false",
            "spark.executorEnv.TZ": "UTC",
            "spark.driver.maxResultSize": "4g",
            "spark.sql.catalogImplementation": "in-memory",
        }
        if self.is_local:
            said["spark.sql.shuffle.partitions"] = "8"
        if self.memory_limit_mb is not None:
            said["spark.driver.memory"] = f"{self.memory_limit_mb}m"
        if self.temp_dir is not None:
            said["spark.local.dir"] = str(self.temp_dir)
            said["spark.sql.warehouse.dir"] = str(self.temp_dir / "spark-warehouse")
        if self.event_log:
            path = Path(self.event_log)
            said["spark.eventLog.enabled"] = "true"
            said["spark.eventLog.dir"] = self.event_log if "://" in self.event_log else path.absolute().as_uri()
        said |= self.options
        driver = f"{_STACK} {_LOCAL} {log}" if self.is_local else f"{_STACK} {log}"
        for name, mine in (("driver", driver), ("executor", _STACK)):
            key = f"spark.{name}.extraJavaOptions"
            said[key] = f"{mine} {self.options.get(key, '')}".strip()
        return said


@dataclass
class Application:
    """A running application.

    Attributes:
        session: Its first session; engines have sessions of their own.
        place: Where it runs; None when this process had it before.
        engines: How many engines use it.
    """

    session: SparkSession
    place: Place | None
    engines: int = 0

    def new_session(self) -> SparkSession:
        """Give a session with views and settings of its own."""
        session = self.session.newSession()
        for name, value in _SESSION.items():
            session.conf.set(name, value)
        return session


_turn = threading.Lock()
_running: list[Application] = []


def enter(place: Place) -> Application:
    """Use the application of this process, started if there is none.

    Args:
        place: Where it runs.

    Returns:
        The application; hand it back by :func:`leave`.

    Raises:
        MissingExtraError: PySpark is not installed.
        JavaMissingError: There is no Java for it.
        InputError: The address of the master is none, or a folder that was named is not there.
        UnavailableError: The master does not answer, or Spark does not start.
        AuthorError: This process runs another application.
    """
    with _turn:
        if not _running:
            _running.append(_started(place))
        application = _running[0]
        if application.place not in (None, place):
            raise AuthorError(
                "this process runs Spark already, with other settings",
                where=f"engine spark, {application.session.sparkContext.master}",
                next_step="close the other engine first",
            )
        application.engines += 1
        return application


def leave(application: Application) -> None:
    """Hand the application back; the last one ends it."""
    with _turn:
        application.engines -= 1
        if application.engines or application not in _running:
            return
        _running.remove(application)
        if application.place is not None:
            application.session.stop()
            _end_java()


def _started(place: Place) -> Application:
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise MissingExtraError("pyspark", extra="spark") from None
    before = SparkSession.getActiveSession()
    if before is not None:
        return Application(before, None)
    _check(place)
    demand_java()
    if place.event_log and "://" not in place.event_log:
        Path(place.event_log).mkdir(parents=True, exist_ok=True)
    if place.temp_dir is not None:
        place.temp_dir.mkdir(parents=True, exist_ok=True)
    conf = SparkConf(loadDefaults=False).setAll(list(place.settings().items()))
    try:
        with _environment(place):
            context = SparkContext(conf=conf)
    except (PySparkException, OSError, RuntimeError, ValueError) as error:
        raise _not_started(place, error) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "py4j":
            raise
        raise _not_started(place, error) from error
    return Application(SparkSession(context), place)


def _end_java() -> None:
    """End the Java process beside this one, which Spark would keep with all its memory until this process ends."""
    from pyspark import SparkContext

    gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None  # noqa: SLF001 - as Spark's own tests do it
    if gateway is None:
        return
    process = getattr(gateway, "proc", None)
    gateway.shutdown()
    if process is not None and process.stdin is not None:
        process.stdin.close()  # which is how it learns of the end
        try:
            process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _environment(place: Place) -> Iterator[None]:
    """Set what Spark reads from the environment alone, while it starts; what the user has set there already counts."""
    wanted = {"SPARK_LOCAL_IP": place.driver_host, "PYSPARK_PYTHON": sys.executable}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    before = os.environ.get("PYSPARK_PYTHON")
    os.environ.update(added)
    if place.python:
        os.environ["PYSPARK_PYTHON"] = place.python
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
        if before is not None:
            os.environ["PYSPARK_PYTHON"] = before


def _not_started(place: Place, error: Exception) -> UnavailableError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UnavailableError(
        f"Spark did not start: {lines[0]}",
        where=f"engine spark, {place.url}",
        next_step="trunkline doctor looks at Java; the log of Spark is on standard error",
    )


def _check(place: Place) -> None:
    """Refuse what is no master, and say at once when nobody listens there: Spark itself tries for a minute."""
    if not _MASTER.fullmatch(place.url):
        raise InputError(f"{place.url!r} is no address of Spark", where="settings: engine.url", allowed=_MASTERS)
    if not place.url.startswith("spark://"):
        return
    masters = place.url.removeprefix("spark://").split(",")
    troubles = []
    for master in masters:
        host, _, port = master.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(f"{place.url!r} is no address of Spark", where="settings: engine.url", allowed=_MASTERS)
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S):
                return
        except (OSError, OverflowError) as error:
            troubles.append(str(error))
    raise UnavailableError(
        f"no Spark master answers: {'; '.join(troubles)}",
        where=f"settings: engine.url, {place.url}",
        next_step="start one, or name another in the settings",
    )
