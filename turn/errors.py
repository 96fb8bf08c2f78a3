"""Errors of the turn package.

::

    TurnError
    ├── ConfigError   a setting cannot be meant so; the message begins with its key
    ├── ListenError   the listening socket could not be opened; one line, fit to be shown, and
    │                 the settings that say where it is
    └── ParseError    bytes from the network break their wire format; the sender's fault

No datagram, however malformed, makes the server raise: it is dropped, counted by reason in
:class:`~ringline.turn.metrics.TurnMetrics` and logged at debug.  What a client asks for and may
not have is answered with an :class:`~ringline.turn.error_codes.ErrorCode` on the wire.
"""

from __future__ import annotations

__all__ = ["ConfigError", "ListenError", "ParseError", "TurnError"]


class TurnError(Exception):
    """Base of every error that this package defines."""


class ConfigError(TurnError, ValueError):
    """A value of :class:`~ringline.turn.config.TurnConfig` is out of range or malformed."""


class ListenError(TurnError):
    """The server's own socket could not be opened: the port is taken, the address not ours.

    Attributes:
        keys: Settings that say where it was to be opened; none if it was not about that.

    """

    def __init__(self, message: str, *keys: str) -> None:
        super().__init__(message)
        self.keys = keys


class ParseError(TurnError):
    """Bytes from the network break their wire format.  The only error that parsers raise."""
