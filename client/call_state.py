"""Call state: where a call stands, as this side of it sees it.

::

                  accept                  path found            path lost
    CALLING ──────────────┐          ┌───────────────┐     ┌──────────────────┐
       │ ringing          v          │               v     │                  v
       └────> RINGING ──> CONNECTING ┘           CONNECTED          RECONNECTING
    INCOMING ─────────────^                              ^                  │
                 accept                                  └──────────────────┘
                                                               path found
    any ── end ──> ENDED

The server's state machine has the last word on who is in a call
(:mod:`ringline.signaling.call_state`); this one adds what only the peer knows: its path.

Invariants:

1. ENDED is final.
2. Nothing but the local user's accept leads from INCOMING to CONNECTING.
3. A trigger that a state does not know changes nothing: messages come late and twice.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["CallState", "Trigger", "advance"]


class CallState(Enum):
    """Where the call stands."""

    CALLING = "calling"
    """We called; nobody has said anything yet."""
    RINGING = "ringing"
    """We called; it rings at the other side."""
    INCOMING = "incoming"
    """They called; it rings here."""
    CONNECTING = "connecting"
    """Accepted; the path is being found."""
    CONNECTED = "connected"
    """Media flows."""
    RECONNECTING = "reconnecting"
    """The path is lost; another is being found."""
    ENDED = "ended"
    """Over, or never came about."""


class Trigger(Enum):
    """What moves a call on."""

    REMOTE_RINGING = "remote_ringing"
    REMOTE_ACCEPT = "remote_accept"
    LOCAL_ACCEPT = "local_accept"
    PATH_FOUND = "path_found"
    PATH_LOST = "path_lost"
    END = "end"


_S, _T = CallState, Trigger

_TRANSITIONS: Final[dict[tuple[CallState, Trigger], CallState]] = {
    (_S.CALLING, _T.REMOTE_RINGING): _S.RINGING,
    (_S.CALLING, _T.REMOTE_ACCEPT): _S.CONNECTING,
    (_S.RINGING, _T.REMOTE_ACCEPT): _S.CONNECTING,
    (_S.INCOMING, _T.LOCAL_ACCEPT): _S.CONNECTING,
    (_S.CONNECTING, _T.PATH_FOUND): _S.CONNECTED,
    (_S.CONNECTED, _T.PATH_LOST): _S.RECONNECTING,
    (_S.RECONNECTING, _T.PATH_FOUND): _S.CONNECTED,
    **{(state, _T.END): _S.ENDED for state in CallState},
}


def advance(state: CallState, trigger: Trigger) -> CallState:
    """Return the state after a trigger; the same state if it means nothing there."""
    return _TRANSITIONS.get((state, trigger), state)
