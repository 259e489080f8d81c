"""Which device sends a request: by its key, or by the client certificate of its connection."""

from starlette.types import Scope

from trunkline.serve.devices.registry import DeviceRegistry

__all__ = ["CERTIFICATE", "device_of"]

CERTIFICATE = "trunkline_certificate_sha256"
"""Where the state of a connection has the SHA-256 of a client certificate that the server has verified."""


def device_of(registry: DeviceRegistry, scope: Scope) -> str | None:
    """Name the device that sends a request.

    Args:
        registry: The devices.
        scope: The request; a key stands in ``authorization: Bearer KEY`` or ``x-api-key: KEY``.

    Returns:
        Its name; None where it is no device, an unknown or a revoked one.

    Raises:
        UnavailableError: The registry cannot be read.
    """
    if not registry.is_any:
        return None
    certificate = scope.get("state", {}).get(CERTIFICATE)
    if certificate is not None and (found := registry.by_certificate(certificate)) is not None:
        return found
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return registry.by_key(value)
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return registry.by_key(value[7:].strip())
    return None
