"""``devices``: who may write, by which key or certificate; revoke; lists for Mosquitto."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trunkline.cli.output import Common, emit, opened, table
from trunkline.files import replacing

if TYPE_CHECKING:
    from trunkline.run import Workspace
    from trunkline.serve.devices import Device, DeviceRegistry

app = App(name="devices", help="Add, list and revoke devices that send records.")


@app.command
def add(
    name: str,
    /,
    *,
    certificate: Annotated[
        Path | None, Parameter(help="Its client certificate (PEM); with one it is given no key.")
    ] = None,
    reads: Annotated[
        bool, Parameter(help="Reads the topics of all devices rather than writing its own.", negative="")
    ] = False,
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Add a device, or a revoked one anew; its key is shown once, and kept as a digest.

    Args:
        name: The value of its records' device field, and of its level of MQTT topics.
        certificate: Its client certificate (PEM); with one it is given no key.
        reads: Reads the topics of all devices rather than writing its own.
        common: Options of every command.
    """
    with opened(common) as workspace:
        fingerprint = None if certificate is None else _fingerprint(certificate)
        added = _registry(workspace).add(name, certificate_sha256=fingerprint, reads=reads)
    document = {**added.device.model_dump(mode="json"), "key": added.key or None}

    def show() -> None:
        print(f"{name} is added, known by {'its key' if added.key else 'its certificate'}")
        if added.key:
            print(f"key, shown once: {added.key}")

    emit(document, common=common, text=show)
    return 0


@app.command(name="list")
def list_devices(*, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """List the devices: by what they are known, when they were heard of last, whether they are revoked.

    Args:
        common: Options of every command.
    """
    with opened(common) as workspace:
        devices = _registry(workspace).devices()
    document = {"devices": [device.model_dump(mode="json") for device in devices]}
    emit(document, common=common, text=lambda: _show(devices))
    return 0


@app.command
def revoke(name: str, /, *, common: Common = Common()) -> int:  # noqa: B008 - a frozen value
    """Refuse a device from now on, at HTTP and WebSocket; for Mosquitto, write its lists again.

    Args:
        name: The device.
        common: Options of every command.
    """
    with opened(common) as workspace:
        device = _registry(workspace).revoke(name)
    emit(device.model_dump(mode="json"), common=common, text=lambda: print(f"{name} is revoked"))
    return 0


@app.command
def mosquitto(
    folder: Path,
    /,
    *,
    topic: Annotated[str, Parameter(help="Topics of one device, with {device} as a level: phones/{device}/#.")],
    common: Common = Common(),  # noqa: B008 - a frozen value
) -> int:
    """Write a password_file and an acl_file for Mosquitto, of all devices that are not revoked.

    Each device may write its own topics and nothing else. Mosquitto reads the files again at SIGHUP.

    Args:
        folder: Where ``passwords`` and ``rights`` are written.
        topic: Topics of one device, with {device} as a level: phones/{device}/#.
        common: Options of every command.
    """
    from trunkline.errors import InputError
    from trunkline.serve.devices import mosquitto_lists

    with opened(common) as workspace:
        lists = mosquitto_lists(_registry(workspace), topic=topic)
    written = {"passwords": lists.passwords, "rights": lists.rights}
    try:
        for name, text in written.items():
            with replacing(folder / name, durable=True) as part:
                part.touch(mode=0o640)
                part.write_text(text)
                if os.geteuid() == 0:  # as readable for the broker as the folder is its own
                    owner = folder.stat()
                    os.chown(part, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise InputError(f"the lists cannot be written: {error.strerror}", where=str(folder)) from error
    document = {"files": [str(folder / name) for name in written]}
    emit(document, common=common, text=lambda: print(f"wrote {' and '.join(document['files'])}"))
    return 0


def _registry(workspace: "Workspace") -> "DeviceRegistry":
    from trunkline.serve import DEVICES
    from trunkline.serve.devices import DeviceRegistry

    workspace.folder(".")
    return DeviceRegistry(workspace.root / DEVICES, clock=workspace.clock)


def _fingerprint(path: Path) -> str:
    """SHA-256 of a certificate in PEM form."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    from trunkline.errors import InputError

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(SHA256()).hex()
    except (OSError, ValueError) as error:
        raise InputError(
            f"this is no certificate that can be read ({type(error).__name__})",
            where=str(path),
            allowed=("a file in PEM form",),
        ) from error


def _show(devices: "tuple[Device, ...]") -> None:
    if not devices:
        print("no device was added: trunkline devices add NAME")
        return
    table(
        "devices, times in UTC",
        ("name", "known by", "added", "last seen", "state"),
        [
            (
                device.name,
                "key" if device.has_key else "certificate",
                f"{device.added_at:%Y-%m-%d %H:%M}",
                "never" if device.seen_at is None else f"{device.seen_at:%Y-%m-%d %H:%M}",
                "revoked" if device.revoked_at else "reads all" if device.reads else "writes its own",
            )
            for device in devices
        ],
    )
