"""Certificate: what TLS connections of clients are accepted with."""

from __future__ import annotations

import ssl

from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError

__all__ = ["check_certificate", "load_certificate", "tls_context"]


def check_certificate(config: TurnConfig) -> None:
    """Find out whether certificate and key can be used.

    Raises:
        ConfigError: If not.

    """
    if config.tls_certificate is not None:
        tls_context(config)


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
    assert config.tls_certificate is not None  # noqa: S101 - the caller has looked
    try:
        context.load_cert_chain(
            config.tls_certificate, config.tls_private_key, lambda: _refuse_encrypted(config)
        )
    except (OSError, ssl.SSLError) as error:
        files = config.tls_certificate
        if config.tls_private_key is not None:
            files += f", {config.tls_private_key}"
        raise ConfigError(f"tls_certificate: cannot use {files}: {error}") from None


def _refuse_encrypted(config: TurnConfig) -> str:
    """Stand in for OpenSSL's own question, which would wait for somebody at the terminal."""
    file = config.tls_private_key or config.tls_certificate
    raise ConfigError(f"tls_private_key: {file} is encrypted; give one without a passphrase")
