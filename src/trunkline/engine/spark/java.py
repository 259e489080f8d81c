"""The Java that Spark runs on: where it is, and whether it is one that Spark takes. Loads no part of Spark."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trunkline.errors import AuthorError

__all__ = ["INSTALL_JAVA", "JAVA_VERSIONS", "Java", "JavaMissingError", "demand_java", "find_java"]

JAVA_VERSIONS: Final = (17, 21)
"""Versions of Java that Spark 4.0 is made for."""

INSTALL_JAVA: Final = "apt-get install openjdk-17-jre-headless, or name one that is installed by JAVA_HOME"
"""What to do where there is none."""

_ANSWER_S: Final = 20


class JavaMissingError(AuthorError):
    """Spark was asked for, and there is no Java that it runs on."""

    exit_code = 2


@dataclass(frozen=True)
class Java:
    """A Java that was found.

    Attributes:
        path: Its ``java``.
        version: The number before the first dot; 0 when it does not say.
    """

    path: Path
    version: int

    @property
    def fits(self) -> bool:
        """Whether Spark runs on it."""
        return self.version in JAVA_VERSIONS


def find_java() -> Java | None:
    """Find the Java that Spark will start: that of ``JAVA_HOME``, else the first on the path; None if there is none."""
    home = os.environ.get("JAVA_HOME")
    place = str(Path(home) / "bin" / "java") if home else "java"
    found = shutil.which(place)
    if found is None:
        return None
    try:
        said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Java(Path(found), 0)
    version = re.search(r'version "(\d+)', said.stderr + said.stdout)
    return Java(Path(found), int(version[1]) if version else 0)


def demand_java() -> Java:
    """Find the Java, or say how to get one.

    Raises:
        JavaMissingError: There is none, or one of a version that Spark does not run on.
    """
    java = find_java()
    allowed = [f"Java {version}" for version in JAVA_VERSIONS]
    if java is None:
        home = os.environ.get("JAVA_HOME")
        where = f"JAVA_HOME={home}" if home else "the path"
        raise JavaMissingError(
            "Spark needs Java, and none is installed", where=where, allowed=allowed, next_step=INSTALL_JAVA
        )
    if not java.fits:
        what = f"Spark does not run on Java {java.version}" if java.version else "this Java does not say its version"
        raise JavaMissingError(what, where=str(java.path), allowed=allowed, next_step=INSTALL_JAVA)
    return java
