"""Call state: the server's state machine of a call, as one table.

::

          invite        accept          described           path_up
    NEW ────────> RINGING ────> ACCEPTED ────> CONNECTING ────────> ACTIVE
     │               │             │               │              path_down │ ^ path_up
     │               │             │               │                        v │
     │               │             │               │               RECONNECTING
     └───────────────┴─────────────┴───────────────┴── end ───────────┴──> ENDED

* invite     :meth:`ringline.signaling.call.Call.handle_ring`: devices of the callee ring
* accept     a member of the call other than the caller accepted
* described  offer and answer have both passed, in whichever messages
* path_up    a member's media path works and no member's is lost
* path_down  a member's media path is lost
* end        :meth:`ringline.signaling.call.Call.handle_end`

The server has the last word: peers render what it says.

Invariants, each with a test of its number:

1. ENDED is final.
2. Only ``accept`` leads out of RINGING other than to ENDED.
3. An event that means nothing in a state changes nothing: messages come late and twice.
4. Every state can end.
5. The table names every pair of state and event.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["TRANSITIONS", "CallEvent", "CallState", "advance"]


class CallState(Enum):
    """Where a call stands; the values are those of ``call.state``."""

    NEW = "new"
    """Made, nobody told yet."""
    RINGING = "ringing"
    """The callee's devices ring."""
    ACCEPTED = "accepted"
    """The callee's user said yes; offer or answer is still missing."""
    CONNECTING = "connecting"
    """The two look for a path."""
    ACTIVE = "active"
    """Media flows."""
    RECONNECTING = "reconnecting"
    """A member lost its path; the call waits for it."""
    ENDED = "ended"
    """Over."""

    @property
    def is_accepted(self) -> bool:
        """Whether the callee has said yes and nobody has hung up."""
        return self not in (CallState.NEW, CallState.RINGING, CallState.ENDED)


class CallEvent(Enum):
    """What moves a call on."""

    INVITE = "invite"
    ACCEPT = "accept"
    DESCRIBED = "described"
    PATH_UP = "path_up"
    PATH_DOWN = "path_down"
    END = "end"


_S, _E = CallState, CallEvent

TRANSITIONS: Final[dict[CallState, dict[CallEvent, CallState]]] = {
    _S.NEW: {
        _E.INVITE: _S.RINGING,
        _E.ACCEPT: _S.NEW,
        _E.DESCRIBED: _S.NEW,
        _E.PATH_UP: _S.NEW,
        _E.PATH_DOWN: _S.NEW,
        _E.END: _S.ENDED,
    },
    _S.RINGING: {
        _E.INVITE: _S.RINGING,
        _E.ACCEPT: _S.ACCEPTED,
        _E.DESCRIBED: _S.RINGING,
        _E.PATH_UP: _S.RINGING,
        _E.PATH_DOWN: _S.RINGING,
        _E.END: _S.ENDED,
    },
    _S.ACCEPTED: {
        _E.INVITE: _S.ACCEPTED,
        _E.ACCEPT: _S.ACCEPTED,
        _E.DESCRIBED: _S.CONNECTING,
        _E.PATH_UP: _S.ACCEPTED,
        _E.PATH_DOWN: _S.ACCEPTED,
        _E.END: _S.ENDED,
    },
    _S.CONNECTING: {
        _E.INVITE: _S.CONNECTING,
        _E.ACCEPT: _S.CONNECTING,
        _E.DESCRIBED: _S.CONNECTING,
        _E.PATH_UP: _S.ACTIVE,
        _E.PATH_DOWN: _S.CONNECTING,
        _E.END: _S.ENDED,
    },
    _S.ACTIVE: {
        _E.INVITE: _S.ACTIVE,
        _E.ACCEPT: _S.ACTIVE,
        _E.DESCRIBED: _S.ACTIVE,
        _E.PATH_UP: _S.ACTIVE,
        _E.PATH_DOWN: _S.RECONNECTING,
        _E.END: _S.ENDED,
    },
    _S.RECONNECTING: {
        _E.INVITE: _S.RECONNECTING,
        _E.ACCEPT: _S.RECONNECTING,
        _E.DESCRIBED: _S.RECONNECTING,
        _E.PATH_UP: _S.ACTIVE,
        _E.PATH_DOWN: _S.RECONNECTING,
        _E.END: _S.ENDED,
    },
    _S.ENDED: dict.fromkeys(CallEvent, _S.ENDED),
}


def advance(state: CallState, event: CallEvent) -> CallState:
    """Return the state after an event; the same state if it means nothing there."""
    return TRANSITIONS[state][event]
