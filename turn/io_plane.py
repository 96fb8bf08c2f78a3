"""Plane: the compiled data plane, where it was built.

Without it datagrams are passed on by :mod:`~ringline.turn.io_data_path` in Python.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Final

from ringline.turn.errors import ConfigError

if TYPE_CHECKING:
    from ringline.turn._relay import DataPlane

__all__ = ["make_data_plane"]

logger = logging.getLogger(__name__)

_INTERFACE: Final = 3
"""Of the data plane that io_data_path.py can work with: INTERFACE of ``_relay.c``."""


def make_data_plane(wanted: str, listener: socket.socket | None) -> DataPlane | None:
    """Return the compiled data plane; :obj:`None` for the way that is there everywhere.

    Args:
        wanted: What is configured.
        listener: The IPv4 one, if there is one.

    Raises:
        ConfigError: If it is wanted and was not built, or not from this version, or has nothing to
            listen on.

    """
    if wanted == "python":
        return None
    try:
        from ringline.turn import _relay  # noqa: PLC0415 - it may not be there
    except ImportError as error:
        if wanted == "compiled":
            raise ConfigError(
                f"data_plane: the compiled one was not built here ({error}); it needs Linux and, "
                "when Ringline is installed, a C compiler"
            ) from None
        return None
    if getattr(_relay, "INTERFACE", None) != _INTERFACE:
        stale = (
            "the compiled data plane was built from another version of Ringline; install Ringline "
            "again (pip install --editable . in a checkout)"
        )
        if wanted == "compiled":
            raise ConfigError(f"data_plane: {stale}")
        logger.warning("TURN: %s; datagrams are passed on by Python, which is slower", stale)
        return None
    if listener is None:
        if wanted == "compiled":
            raise ConfigError("data_plane: the compiled one is for IPv4, which host does not name")
        return None
    return _relay.DataPlane(listener.fileno())
