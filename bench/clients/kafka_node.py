"""One node of Kafka for a benchmark, as the tests start it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serve import free_port  # type: ignore[import-not-found]  # beside the benchmark that imports this

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.servers import kafka_node  # noqa: E402 - of the folder that was just added


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """Run one node of Kafka, or take what ``KAFKA_BOOTSTRAP_SERVERS`` names; empty where there is none."""
    if named := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield named
        return
    java, script = shutil.which("java"), ROOT / "scripts" / "kafka.sh"
    if java is None or subprocess.run([script], capture_output=True, check=False).returncode:
        yield ""
        return
    jars = os.environ.get("KAFKA_CACHE") or str(ROOT / ".cache" / "kafka")
    place = folder / "kafka"
    place.mkdir()
    with kafka_node(place, jars=jars, java=java, port=free_port(), controller=free_port()) as address:
        yield address
