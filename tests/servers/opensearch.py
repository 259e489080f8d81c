"""OpenSearch, of one node, from its archives alone."""

import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.processes import ROOT, Server, free_port, lent_folder, program, running

_OPENSEARCH_MODULES = {  # name: its class, and how the names of its archives begin
    "transport-netty4": ("org.opensearch.transport.Netty4Plugin", ("netty-", "transport-netty4")),
    "reindex": (
        "org.opensearch.index.reindex.ReindexPlugin",
        ("reindex-", "http", "commons-", "opensearch-rest-client", "opensearch-ssl-config"),
    ),
}
_OPENSEARCH_PLUGIN = """
description={name}
version=2.19.1
name={name}
classname={class_name}
java.version=11
opensearch.version=2.19.1
has.native.controller=false
"""
_OPENSEARCH_POLICY = """
grant {
  permission java.net.SocketPermission "*", "accept,connect,resolve,listen";
  permission java.lang.RuntimePermission "getClassLoader";
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
};
"""


@pytest.fixture(scope="session")
def opensearch_url(request: pytest.FixtureRequest) -> str:
    """``http://host:port`` of a node of OpenSearch, or what ``ELASTICSEARCH_URL`` names."""
    return os.environ.get("ELASTICSEARCH_URL") or str(request.getfixturevalue("opensearch").url)


@pytest.fixture(scope="session")
def opensearch() -> Iterator[Server]:
    """A node of OpenSearch, started; whoever kills it starts it again."""
    java = program("java", "java")
    fetched = subprocess.run([ROOT / "scripts" / "maven.sh", "opensearch"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(f"OpenSearch could not be fetched: {fetched.stderr.strip()[-300:]}")
    jars = Path(os.environ.get("OPENSEARCH_CACHE") or ROOT / ".cache" / "opensearch")
    with lent_folder("nobody") as (folder, user):
        port = free_port()
        for name in ("lib", "config", "logs", "data", "plugins"):
            (folder / name).mkdir()
        homes = {}
        for name, (class_name, begins) in _OPENSEARCH_MODULES.items():
            module = folder / "modules" / name
            module.mkdir(parents=True)
            said_of = _OPENSEARCH_PLUGIN.format(name=name, class_name=class_name)
            (module / "plugin-descriptor.properties").write_text(said_of)
            (module / "plugin-security.policy").write_text(_OPENSEARCH_POLICY)
            homes[begins] = module
        for jar in jars.glob("*.jar"):
            home = next((module for begins, module in homes.items() if jar.name.startswith(begins)), folder / "lib")
            shutil.copy(jar, home)
        (folder / "config" / "log4j2.properties").write_text("status = error\nrootLogger.level = error\n")
        said = {
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": port,
            "transport.port": free_port(),
            "cluster.routing.allocation.disk.threshold_enabled": "false",  # a full disk of the machine is not its test
        }
        text = "".join(f"{name}: {value}\n" for name, value in said.items())
        (folder / "config" / "opensearch.yml").write_text(text)
        for path in (folder, *folder.rglob("*")):
            if user is not None:
                os.chown(path, user, -1)
        options = [
            *("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.security.manager=allow"),
            *("-Dlog4j2.disable.jmx=true", f"-Djava.io.tmpdir={folder / 'logs'}", f"-Dopensearch.path.home={folder}"),
            *(f"-Dopensearch.path.conf={folder / 'config'}", "-Dopensearch.distribution.type=tar"),
            *("-cp", f"{folder / 'lib'}/*", "org.opensearch.bootstrap.OpenSearch"),
        ]
        url = f"http://127.0.0.1:{port}"

        def ready() -> None:
            urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=6).close()

        node = Server(url, lambda: running([java, *options], user, folder, ready=ready, end=signal.SIGKILL))
        node.start()
        try:
            yield node
        finally:
            node.kill()
