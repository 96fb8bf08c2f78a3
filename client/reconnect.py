"""Reconnect: when a call whose path has gone tries another, and when it gives up.

::

              path lost for restart_after,
              or the network changed          restart answered, path works
    CONNECTED ───────────────────────> RESTARTING ───────────────────────> CONNECTED
        │                                  │  ^ │
        │ path lost                        │  └─┘ no path after restart_every: once more,
        v                                  │      from the second on through the relay only
    (waits restart_after)                  v
                                        gave up after give_up_after without a path

The media session and its DTLS association live on through all of it; only the path is new.
A path that comes back by itself ends the wait, whatever was begun.

Sans I/O: see the drain rule in :mod:`ringline.media.session`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = ["Action", "ReconnectConfig", "Reconnector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectConfig:
    """Times in seconds."""

    restart_after: float = 2.0
    """Wait for a lost path to come back by itself: most outages of a mobile network are shorter
    (Matrix clients and Jitsi wait as long)."""

    restart_every: float = 5.0
    """A restart that gave no path within this is followed by another: gathering, one signaling
    round trip and the checks take 1 to 3 s on a slow network."""

    give_up_after: float = 30.0
    """Without a path for this long the call ends (RFC 7675 §5.1: consent expires after 30 s)."""


class Action(Enum):
    """What the call is to do."""

    RESTART = auto()
    """Begin an ICE restart."""
    RESTART_RELAYED = auto()
    """Likewise, through the relay only."""
    GIVE_UP = auto()
    """End the call: ``connection_lost``."""


class Reconnector:
    """Decides on ICE restarts of one call.

    Args:
        config: Times.

    """

    def __init__(self, config: ReconnectConfig | None = None) -> None:
        self._config: Final = config or ReconnectConfig()
        self._lost_at: float | None = None
        self._restart_due: float | None = None
        self._restarts = 0  # since the path was last there
        self._gave_up = False

    def handle_connected(self) -> None:
        """Tell that the path works (again)."""
        self._lost_at = None
        self._restart_due = None
        self._restarts = 0

    def handle_disconnected(self, now: float) -> None:
        """Tell that nothing comes through any more."""
        if self._lost_at is None:
            self._lost_at = now
            if self._restart_due is None:
                self._restart_due = now + self._config.restart_after

    def handle_network_changed(self, now: float) -> None:
        """Tell that this machine's addresses are other ones: no use in waiting.

        The path may still work (another interface came or went); then one restart is all.  What
        was tried on the network before tells nothing about this one.
        """
        self._restart_due = now
        self._restarts = 0

    def handle_restarted(self, now: float) -> None:
        """Tell that the other side has begun a restart: ours would only break it off."""
        if self._lost_at is not None:
            self._restart_due = now + self._config.restart_every
            self._restarts += 1

    def poll_action(self, now: float) -> Action | None:
        """Return what is due; each is returned once."""
        if self._gave_up:
            return None
        if self._lost_at is not None and now >= self._lost_at + self._config.give_up_after:
            self._gave_up = True
            return Action.GIVE_UP
        if self._restart_due is not None and now >= self._restart_due:
            again = now + self._config.restart_every
            self._restart_due = again if self._lost_at is not None else None
            self._restarts += 1
            return Action.RESTART if self._restarts == 1 else Action.RESTART_RELAYED
        return None

    def poll_timeout(self) -> float | None:
        """Return when :meth:`poll_action` is to be asked, or :obj:`None`."""
        if self._gave_up:
            return None
        times = [] if self._restart_due is None else [self._restart_due]
        if self._lost_at is not None:
            times.append(self._lost_at + self._config.give_up_after)
        return min(times, default=None)
