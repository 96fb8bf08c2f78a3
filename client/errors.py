"""Errors of the client package.

::

    RinglineError
    ├── LocalError                 the program or its user asked for something that cannot be
    │   ├── CallEndedError         the call is over
    │   └── NegotiationError       offer and answer do not meet
    ├── SignalingError             the server did not let us in or did not answer
    │   ├── ServerUnreachableError nobody listens there, or it is no Ringline server
    │   ├── UnauthorizedError      the token is wrong or has expired
    │   └── NameTakenError         somebody else has that name
    └── CallFailedError            the call did not come about; ``reason`` says why
        ├── OfflineError           nobody of that name is there
        ├── BusyError              they are in another call
        ├── DeclinedError          they said no
        ├── NoAnswerError          they did not answer in time
        └── ConnectionFailedError  no path between the two, or it was lost for good

Every message is one line that a person can act on.
"""

from __future__ import annotations

__all__ = [
    "BusyError",
    "CallEndedError",
    "CallFailedError",
    "ConnectionFailedError",
    "DeclinedError",
    "LocalError",
    "NameTakenError",
    "NegotiationError",
    "NoAnswerError",
    "OfflineError",
    "RinglineError",
    "ServerUnreachableError",
    "SignalingError",
    "UnauthorizedError",
]


class RinglineError(Exception):
    """Base of every error that this package defines."""


class LocalError(RinglineError):
    """The program or its user asked for something that cannot be."""


class CallEndedError(LocalError):
    """The call is over; nothing more can be sent in it."""


class NegotiationError(LocalError):
    """Offer and answer do not meet: no codec in common, or a description that breaks its form."""


class SignalingError(RinglineError):
    """The signaling server did not let us in or did not answer."""


class ServerUnreachableError(SignalingError):
    """Nobody listens at that address, or what listens there is no Ringline server."""


class UnauthorizedError(SignalingError):
    """The token is missing, wrong or has expired."""


class NameTakenError(SignalingError):
    """Somebody else is there under that name."""


class CallFailedError(RinglineError):
    """The call did not come about, or broke.

    Attributes:
        reason: One of the closed list of end reasons of ``ringline.v1``.

    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class OfflineError(CallFailedError):
    """Nobody of that name is there."""


class BusyError(CallFailedError):
    """They are in another call."""


class DeclinedError(CallFailedError):
    """They said no."""


class NoAnswerError(CallFailedError):
    """They did not answer in time."""


class ConnectionFailedError(CallFailedError):
    """No path between the two was found, or it was lost for good."""
