"""Trust: whose word a client takes for the certificates of TURN servers."""

from __future__ import annotations

import ssl
from pathlib import Path

from ringline.client.errors import LocalError

__all__ = ["trust_authority"]


def trust_authority(path: Path) -> ssl.SSLContext:
    """Return what TLS connections are made with: this authority is trusted beside the system's.

    Args:
        path: Certificates of one or more authorities, PEM.

    Raises:
        LocalError: If the file cannot be read or holds no certificate.

    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise LocalError(f"turn-ca: {path} holds no certificate in PEM") from None
    except OSError as error:
        raise LocalError(f"turn-ca: cannot read {path}: {error.strerror or error}") from None
    return context
