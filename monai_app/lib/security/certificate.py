"""TLS without a proxy: certificate and key are tried before the server starts.

uvicorn would end in a traceback that names neither, or ask a terminal for a pass phrase.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from monai_app.lib.security.settings import SettingsError

_OF_ANOTHER = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL calls a key that is not the certificate's."""


def check_certificate(certificate: Path | None, key: Path | None) -> None:
    """See to it that a server can use a certificate with its key.

    Args:
        certificate: PEM, with its chain; with the key, too, where `key` is None.
        key: PEM.

    Raises:
        SettingsError: a file is missing or not what it should be, the key is encrypted or of
            another certificate.
    """
    if certificate is None:
        if key is not None:
            raise SettingsError("--ssl_keyfile: --ssl_certfile has to name its certificate")
        return
    for option, path in (("--ssl_certfile", certificate), ("--ssl_keyfile", key)):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise SettingsError(f"{option} '{path}': {error.strerror}") from None
    encrypted = False

    def pass_phrase() -> str:
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, pass_phrase)
    except ssl.SSLError as error:
        raise SettingsError(_fault(certificate, key, error.reason, encrypted)) from None


def _fault(certificate: Path, key: Path | None, reason: str | None, encrypted: bool) -> str:
    named = f"--ssl_certfile '{certificate}'"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except ssl.SSLError:
        return f"{named}: no certificate in PEM"
    if key is not None:
        named = f"--ssl_keyfile '{key}'"
    if encrypted:
        return (
            f"{named}: the key is encrypted; write one without a pass phrase (openssl pkey -in KEY "
            "-out FILE) that only the server's user may read (chmod 600)"
        )
    if reason in _OF_ANOTHER:
        return f"{named}: not the key of the certificate in '{certificate}'"
    if reason in (None, "PEM_LIB"):
        hint = "" if key else "; --ssl_keyfile names its file"
        return f"{named}: no private key in PEM{hint}"
    return f"{named}: {reason.lower().replace('_', ' ')}"  # such as "ee key too small"
