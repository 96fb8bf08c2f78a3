"""Certificate: what TLS connections of clients are accepted with."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError

__all__ = ["check_certificate", "load_certificate", "read_certificate", "tls_context"]

_APART = "; is it in a file of its own? name it as tls_private_key"
_BROKEN = "what stands in a PEM block is broken"


def check_certificate(config: TurnConfig) -> None:
    """Find out whether certificate and key can be used.

    Raises:
        ConfigError: If not.

    """
    if config.tls_certificate is not None:
        tls_context(config)


def read_certificate(config: TurnConfig) -> dict[str, bytes]:
    """Return what the files of certificate and key hold, by setting; nothing without TLS.

    Raises:
        ConfigError: If it cannot be used.

    """
    check_certificate(config)
    files = {key: getattr(config, key) for key in ("tls_certificate", "tls_private_key")}
    return {setting: _read(setting, file) for setting, file in files.items() if file is not None}


def tls_context(config: TurnConfig) -> ssl.SSLContext:
    """Return what TLS connections are accepted with.

    Raises:
        ConfigError: If certificate or key cannot be used.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 §3.1.1
    load_certificate(context, config)
    return context


def load_certificate(context: ssl.SSLContext, config: TurnConfig) -> None:
    """Read certificate and key, which new connections are then shown.

    Raises:
        ConfigError: If they cannot be used.

    """
    certificate, key = config.tls_certificate, config.tls_private_key
    assert certificate is not None  # noqa: S101 - the caller has looked
    # OpenSSL names neither the file nor what it missed in it.
    _check_pem("tls_certificate", certificate, "CERTIFICATE")
    if key is None:
        _check_pem("tls_certificate", certificate, "PRIVATE KEY", _APART)
    else:
        _check_pem("tls_private_key", key, "PRIVATE KEY")
    try:
        context.load_cert_chain(certificate, key, lambda: _refuse_encrypted(config))
    except (OSError, ssl.SSLError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"tls_private_key: {key or certificate} has another key than the certificate in "
                f"{certificate}"
            ) from None
        files = certificate if key is None else f"{certificate} with {key}"
        name = "tls_certificate" if key is None else "tls_certificate, tls_private_key"
        # Where the content of a PEM block is broken, OpenSSL gives a library and no reason.
        known = not isinstance(error, ssl.SSLError) or error.reason
        raise ConfigError(f"{name}: cannot use {files}: {error if known else _BROKEN}") from None


def _check_pem(setting: str, file: str, kind: str, hint: str = "") -> None:
    """Find out whether a file can be read and has a block of such a kind (RFC 7468 §2)."""
    if f"{kind}-----".encode() not in _read(setting, file):
        raise ConfigError(f"{setting}: no {kind.lower()} (PEM) in {file}{hint}")


def _read(setting: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"{setting}: cannot read {file}: {reason}") from None


def _refuse_encrypted(config: TurnConfig) -> str:
    """Stand in for OpenSSL's own question, which would wait for somebody at the terminal."""
    file = config.tls_private_key or config.tls_certificate
    raise ConfigError(f"tls_private_key: {file} is encrypted; give one without a passphrase")
