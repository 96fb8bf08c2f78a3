"""Page files: the test page that the server carries along, read once."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from pathlib import Path

from ringline.signaling.origin import host_without_port

__all__ = ["PageFile", "content_security_policy", "read_page"]

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
"""Where a machine's own table is known to differ."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file with its media type."""

    body: bytes
    content_type: str


def read_page(folder: Path) -> dict[str, PageFile]:
    """Return the files of the page's folder by name; none if there is no such folder."""
    files = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            guessed = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
            files[path.name] = PageFile(path.read_bytes(), guessed or "application/octet-stream")
    return files


def content_security_policy(host: str | None) -> str:
    """Return the policy of the page: nothing but what this server serves.

    Args:
        host: The ``Host`` header; named because some browsers do not take ``'self'`` to mean
            WebSockets too.

    """
    sockets = f" ws://{host} wss://{host}" if host_without_port(host) is not None else ""
    return (
        f"default-src 'self'; connect-src 'self'{sockets}; media-src 'self' blob:; "
        "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
