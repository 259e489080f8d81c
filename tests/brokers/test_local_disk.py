"""The embedded log is kept off file systems that other hosts serve: a real FUSE mount, and the kernel's table."""

import ctypes
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trunkline.brokers import EmbeddedLog, local_disk
from trunkline.brokers.local_disk import file_system_of
from trunkline.cli import main
from trunkline.errors import InputError
from trunkline.settings.brokers import BrokerSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def fuse(tmp_path: Path) -> Iterator[Path]:
    """A file system of type fuse.sshfs whose process is gone: the kernel knows its kind, and any access to it fails."""
    place = tmp_path / "far"
    place.mkdir()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"FUSE cannot be had: {error}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    failed = LIBC.mount(b"far", bytes(place), b"fuse.sshfs", 0, options)
    problem = os.strerror(ctypes.get_errno())
    os.close(device)
    if failed:
        pytest.skip(f"a file system cannot be mounted: {problem}")
    yield place
    assert LIBC.umount2(bytes(place), 2) == 0  # MNT_DETACH


def opened(folder: Path, **settings: object) -> EmbeddedLog:
    return EmbeddedLog(folder / "log.db", settings=BrokerSettings.model_validate(settings), clock=lambda: NOW)


def test_a_log_on_a_real_fuse_mount_is_refused_before_anything_is_made(fuse: Path) -> None:
    with pytest.raises(InputError, match=r"fuse\.sshfs") as refused:
        opened(fuse / "workspace" / "log")
    assert "broker.url" in refused.value.next_step
    assert "broker.network_disk" in refused.value.next_step


def test_the_doctor_says_so(fuse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()

    def finding(code: int) -> dict[str, str]:
        assert main(["doctor", "--workspace", str(workspace), "--json"]) == code
        (found,) = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["part"] == "log disk"]
        return dict(found)

    assert finding(0)["state"] == "ok"
    (workspace / "log").symlink_to(fuse)
    found = finding(1)
    assert found["state"] == "broken"
    assert "fuse.sshfs" in found["detail"]
    assert "local disk" in found["mend"]


@pytest.fixture
def kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def say(lines: str) -> None:
        table = tmp_path / "mountinfo"
        table.write_text(lines.replace("$TMP", str(tmp_path).replace(" ", r"\040")))
        monkeypatch.setattr(local_disk, "_MOUNTS", table)

    return say


ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"


def test_a_setting_allows_it(kernel_says: Callable[[str], None], tmp_path: Path) -> None:
    kernel_says(ROOT + "90 27 0:44 / $TMP rw,relatime shared:5 - nfs4 host:/export rw,vers=4.2\n")
    with pytest.raises(InputError, match="nfs4"):
        opened(tmp_path / "log")
    assert not (tmp_path / "log").exists()
    log = opened(tmp_path / "log", network_disk="allow")
    log.close()
    assert (tmp_path / "log" / "log.db").exists()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse", "fuse.s3fs", "ceph"])
def test_kinds_that_others_serve(kernel_says: Callable[[str], None], tmp_path: Path, kind: str) -> None:
    kernel_says(ROOT + f"90 27 0:44 / $TMP/a\\040b rw - {kind} far rw\n")
    found = file_system_of(tmp_path / "a b" / "log")
    assert found is not None
    assert (found.kind, found.mount, found.is_far) == (kind, tmp_path / "a b", True)
    beside = file_system_of(tmp_path / "a")
    assert beside is not None
    assert not beside.is_far


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.fuse-overlayfs"])
def test_kinds_of_this_host(kernel_says: Callable[[str], None], tmp_path: Path, kind: str) -> None:
    kernel_says(
        f"27 1 254:0 / / rw - nfs4 far rw\n28 27 254:0 / $TMP rw - nfs far rw\n29 28 9:1 / $TMP rw - {kind} - rw\n"
    )
    found = file_system_of(tmp_path / "log")
    assert found is not None  # of two at one place the later hides the earlier
    assert (found.kind, found.is_far) == (kind, False)
