"""Session: a client's stay at the server, longer than any of its sockets.

::

                hello                       socket lost
    (nothing) ────────> ATTACHED ───────────────────────────> DETACHED
                          │  ^                                   │  │
                          │  └──────── hello with resume ────────┘  │ nobody came for session_ttl
                          │ closed by the client, or replaced       v
                          └──────────────────────────────────────> over

A session says who somebody is and what is on its way to them.  Calls do not belong to sessions
but to devices (:class:`ringline.signaling.call.DeviceKey`), so they outlive even these.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ringline.signaling.call import DeviceKey
from ringline.signaling.config import ServerConfig
from ringline.signaling.messages import Message, Resume
from ringline.signaling.reliable import ReliableChannel

__all__ = ["Session"]

_REMEMBERED_IDS: Final = 1024
"""Message ids of a client that make a repeated message a no-op."""


class Session:
    """One client's stay.

    Args:
        device: Whose.
        config: Limits.
        encode: Turns a message into bytes.
        random_bytes: For the id and the secret.

    """

    __slots__ = (
        "_ids",
        "_secret",
        "channel",
        "connection",
        "device",
        "id",
        "reached_host",
        "wants_presence",
    )

    def __init__(
        self,
        device: DeviceKey,
        config: ServerConfig,
        *,
        encode: Callable[[Message], bytes],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.id: Final = random_bytes(8).hex()
        self.device: Final = device
        self.channel: Final = ReliableChannel(
            encode,
            max_messages=config.max_outbox_messages,
            max_bytes=config.max_outbox_bytes,
        )
        self.connection: int | None = None
        """The socket's number, while there is one."""
        self.reached_host = ""
        """Host that the client reached us by; the last socket's."""
        self.wants_presence = False
        self._secret: Final = random_bytes(16).hex()
        self._ids: OrderedDict[str, None] | None = None  # made when the first id comes

    @property
    def secret(self) -> str:
        """What a client proves itself with when it resumes; for its welcome only."""
        return self._secret

    def accepts(self, resume: Resume, device: DeviceKey) -> bool:
        """Say whether this claim to the session is good and can be made good on."""
        return (
            hmac.compare_digest(self._secret.encode(), resume.secret.encode())
            and device == self.device
            and self.channel.can_replay(resume.last_seq)
        )

    def is_repeated(self, message_id: str | None) -> bool:
        """Say whether a message of this id came before; remember it."""
        if message_id is None:
            return False
        if self._ids is None:
            self._ids = OrderedDict()
        if message_id in self._ids:
            return True
        self._ids[message_id] = None
        if len(self._ids) > _REMEMBERED_IDS:
            self._ids.popitem(last=False)
        return False
