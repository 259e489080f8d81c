"""What goes wrong before Spark runs is said at once, and mended by a command; needs neither Java nor PySpark."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from trunkline.cli import main
from trunkline.engine.spark.application import Place, _check
from trunkline.engine.spark.java import JavaMissingError, demand_java, find_java
from trunkline.errors import InputError, UnavailableError


def java(folder: Path, says: str) -> Path:
    """A ``JAVA_HOME`` whose java says a version."""
    program = folder / "bin" / "java"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_no_java_is_said_with_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JavaMissingError) as failure:
        demand_java()
    assert failure.value.exit_code == 2
    assert "openjdk-17-jre-headless" in failure.value.next_step
    assert str(tmp_path) in failure.value.where


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 1),
        ('openjdk version "25" 2025-09-16', 25),
        ("no version", 0),
    ],
)
def test_a_java_that_spark_does_not_run_on_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, version: int
) -> None:
    program = java(tmp_path, says)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = find_java()
    assert found is not None
    assert (found.path, found.version) == (program, version)
    if version == 17:
        assert demand_java() == found
    else:
        with pytest.raises(JavaMissingError) as failure:
            demand_java()
        assert failure.value.allowed == ("Java 17", "Java 21")


def test_the_doctor_says_what_spark_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def engine(*, code: int) -> dict[str, str]:
        assert main(["doctor", "--workspace", str(tmp_path / "w"), "--json"]) == code
        findings: list[dict[str, str]] = json.loads(capsys.readouterr().out)["findings"]
        return next(finding for finding in findings if finding["part"] == "engine")

    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert (engine(code=0)["state"], engine(code=0)["mend"]) == ("ok", "")
    assert "none is installed" in engine(code=0)["detail"]
    monkeypatch.setenv("TRUNKLINE_ENGINE__NAME", "spark")
    assert engine(code=1)["state"] == "broken"
    assert "openjdk-17-jre-headless" in engine(code=1)["mend"]


@pytest.mark.parametrize("url", ["", "duckdb", "spark:7077", "spark://", "spark://host", "local[x]", "http://host:1"])
def test_what_is_no_address_of_spark_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no address of Spark"):
        _check(Place(url))


def test_a_master_that_does_not_answer_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and nobody answers
        url = f"spark://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="no Spark master answers"):
            _check(Place(url))
        taken.listen()
        _check(Place(url))


def test_settings_of_the_user_win_and_java_options_add_up(tmp_path: Path) -> None:
    options = {"spark.driver.extraJavaOptions": "-Xmx1g", "spark.ui.enabled": "true"}
    said = Place("local[2]", memory_limit_mb=700, event_log=str(tmp_path / "log"), options=options).settings()
    assert said["spark.ui.enabled"] == "true"
    assert said["spark.driver.extraJavaOptions"].endswith(" -Xmx1g")
    assert "-Duser.timezone=UTC" in said["spark.driver.extraJavaOptions"]
    assert (said["spark.driver.memory"], said["spark.driver.host"]) == ("700m", "127.0.0.1")
    assert said["spark.eventLog.dir"] == (tmp_path / "log").as_uri()
    assert Place("yarn").settings()["spark.driver.bindAddress"] == "127.0.0.1"
    assert "SPARK_LOCAL_IP" not in os.environ
