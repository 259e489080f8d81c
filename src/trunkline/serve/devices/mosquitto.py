"""Lists for Mosquitto: who may connect, and that each device writes its own topics alone.

Takes the registry and the form of a device's topics; gives the text of a ``password_file`` and of an ``acl_file``. A
revoked or unknown device is in neither: with ``allow_anonymous false`` it cannot connect, and with certificates
(``use_identity_as_username true``) it may do nothing. Mosquitto reads both again at SIGHUP.
"""

from typing import NamedTuple

from trunkline.errors import InputError
from trunkline.serve.devices.registry import DeviceRegistry

__all__ = ["MosquittoLists", "mosquitto_lists"]

_DEVICE = "{device}"


class MosquittoLists(NamedTuple):
    """Two files.

    Attributes:
        passwords: For ``password_file``.
        rights: For ``acl_file``.
    """

    passwords: str
    rights: str


def mosquitto_lists(registry: DeviceRegistry, *, topic: str) -> MosquittoLists:
    """Write the lists of all devices that are not revoked.

    Args:
        registry: The devices.
        topic: The topics of one device, with ``{device}`` as a level of its own: ``phones/{device}/#``. Readers may
            read those of all devices.

    Raises:
        InputError: The topic has no such level, or is malformed.
        UnavailableError: The registry cannot be read.

    """
    levels = topic.split("/")
    if levels.count(_DEVICE) != 1 or "+" in topic or "#" in levels[:-1] or not topic.isprintable() or " " in topic:
        raise InputError(
            f"{topic[:60]!r} is no form of a device's topics", where="--topic", allowed=("phones/{device}/#",)
        )
    active = [device for device in registry.devices() if device.revoked_at is None]
    rights = ["# written by: trunkline devices mosquitto"]
    for device in active:
        own = topic.replace(_DEVICE, "+" if device.reads else device.name)
        rights += [f"user {device.name}", f"topic {'read' if device.reads else 'write'} {own}", ""]
    passwords = [f"{name}:{hashed}" for name, hashed in registry.mosquitto_hashes().items()]
    return MosquittoLists("".join(f"{line}\n" for line in passwords), "\n".join(rights) + "\n")
