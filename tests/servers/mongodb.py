"""MongoDB's protocol: mongo-java-server, of one node and in memory, from its archives alone."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.processes import ROOT, free_port, program, running

# It says that it is MongoDB 5.0 and speaks the wire version of 4.2; drivers ask for at least that of 4.4.
_SERVER = """
version = new de.bwaldvogel.mongo.MongoVersion() {
  getVersionArray() { return java.util.Arrays.asList(new Integer[] {4, 4, 0, 0}); }
  getWireVersion() { return 9; }
  toVersionString() { return "4.4.0"; }
};
backend = new de.bwaldvogel.mongo.backend.memory.MemoryBackend().version(version);
new de.bwaldvogel.mongo.MongoServer(backend).bind("127.0.0.1", Integer.parseInt(bsh.args[0]));
"""


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``mongodb://host:port/`` of a server without a login, or what ``MONGODB_URL`` names."""
    pymongo = pytest.importorskip("pymongo", reason="the extra mongodb is not installed")
    if named := os.environ.get("MONGODB_URL"):
        yield named
        return
    java = program("java", "java")
    jars = Path(os.environ.get("MONGODB_CACHE") or ROOT / ".cache" / "mongodb")
    if not any(jars.glob("*.jar")):
        pytest.skip("mongo-java-server is not installed: scripts/maven.sh mongodb tries to")
    folder, port = tmp_path_factory.mktemp("mongodb"), free_port()
    (folder / "server.bsh").write_text(_SERVER)
    options = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "bsh.Interpreter")
    url = f"mongodb://127.0.0.1:{port}/"

    def ready() -> None:
        with pymongo.MongoClient(url, serverSelectionTimeoutMS=1000) as client:
            client.admin.command("ping")

    command = (java, *options, folder / "server.bsh", port)
    with running(command, None, folder, ready=ready, end=signal.SIGTERM):
        yield url
