"""TLS of the server: its certificate, and whose client certificates it takes."""

import hashlib
import ssl

from trunkline.errors import InputError
from trunkline.settings.serve import ServeSettings

__all__ = ["certificate_sha256", "server_context"]


def server_context(settings: ServeSettings) -> ssl.SSLContext | None:
    """Make what the server's side of TLS needs; None where the settings name no certificate.

    Raises:
        InputError: A file is missing, malformed, or does not belong to the others.
    """
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    password = settings.tls_key_password
    try:
        context.load_cert_chain(
            settings.tls_certificate,
            settings.tls_key,
            password=lambda: password.get_secret_value() if password is not None else "",
        )
    except (OSError, ValueError) as error:
        raise _unusable("serve.tls_certificate, serve.tls_key", error) from error
    if settings.tls_client_ca is not None:
        try:
            context.load_verify_locations(cafile=settings.tls_client_ca)
        except (OSError, ValueError) as error:
            raise _unusable("serve.tls_client_ca", error) from error
        context.verify_mode = ssl.CERT_REQUIRED if settings.tls_client_required else ssl.CERT_OPTIONAL
    return context


def certificate_sha256(connection: ssl.SSLObject | None) -> str | None:
    """Give the SHA-256 of the client's certificate, which was verified; None where there is none."""
    certificate = None if connection is None else connection.getpeercert(binary_form=True)
    return None if certificate is None else hashlib.sha256(certificate).hexdigest()


def _unusable(where: str, error: Exception) -> InputError:
    return InputError(
        f"a certificate or its key cannot be used ({type(error).__name__})",
        where=where,
        allowed=("files in PEM form",),
        next_step="see that they are there, can be read and belong together, and serve.tls_key_password",
    )
