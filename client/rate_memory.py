"""Rate memory: what the last calls on each network reached, for the next one to start from.

A call on a narrow link that starts too fast fills its queue before the first report comes back,
and sound is broken for seconds.  Who was there before knows better.  A memory that is wrong does
no harm: a start is never above the usual one, and probing finds out what is true
(:meth:`ringline.media.session.MediaSession.expect_bitrate`).

A network is kept as a keyed hash of what tells it from others, beside the time of the last call
there; the key is made anew with each memory and lies in the same file.  So nobody reads in it where
a person was, but who has the file can try a guess (the address and router of a home that they know)
and learns when the last call there was.  After a week an entry is deleted with the next call.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ringline.media.errors import ParseError

__all__ = ["MAX_FILE_SIZE", "RateMemory", "RateMemoryConfig"]

MAX_FILE_SIZE: Final = 16_384
"""Bytes that a memory's text has at most; of 32 networks it has some 2,500."""

_NAME_BYTES: Final = 16
_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RateMemoryConfig:
    """Bounds of a memory."""

    max_networks: int = 32
    """Those used last; a person has a handful, who travels some more."""

    max_age: float = 7 * 86_400.0
    """Seconds after which what a network took says nothing of what it takes."""


class _Entry(msgspec.Struct, frozen=True):
    bitrate: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    at: Annotated[float, Meta(ge=0, le=1e11)]  # seconds since 1970


_Name = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    key: _Name
    networks: Annotated[dict[_Name, _Entry], Meta(max_length=256)]


class RateMemory:
    """Remembers bitrates by network.  Its clock is the wall's: it outlives a process.

    Args:
        config: Bounds.
        random_bytes: Makes the key that networks are hashed with.

    """

    def __init__(
        self,
        config: RateMemoryConfig | None = None,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._config: Final = config or RateMemoryConfig()
        self._key = random_bytes(_KEY_BYTES)
        self._entries: dict[str, _Entry] = {}  # the one used last is at the end

    def remember(self, network: str, bitrate: int, wall_clock: float) -> None:
        """Keep what a call reached; drop what is too old, or dated later than now.

        Args:
            network: Whatever tells this network, and the kind of path, from others.
            bitrate: Bits per second on the wire.
            wall_clock: Seconds since 1970.

        """
        name = self._name(network)
        self._entries.pop(name, None)
        # Neither what is too old nor what a wrong clock dated would ever be believed.
        self._entries = {
            name: entry for name, entry in self._entries.items() if self._counts(entry, wall_clock)
        }
        self._entries[name] = _Entry(max(1, min(bitrate, 1_000_000_000)), wall_clock)
        while len(self._entries) > self._config.max_networks:
            del self._entries[next(iter(self._entries))]

    def recall(self, network: str, wall_clock: float) -> int | None:
        """Return what the last call there reached; :obj:`None` if that is not known, or long ago.

        One from the future is not believed either: the clock has been set.
        """
        entry = self._entries.get(self._name(network))
        return entry.bitrate if entry is not None and self._counts(entry, wall_clock) else None

    def dump(self) -> bytes:
        """Return all of it as JSON."""
        return msgspec.json.encode(_File(self._key.hex(), self._entries))

    def load(self, data: bytes) -> None:
        """Take what :meth:`dump` gave, instead of what is here.

        Raises:
            ParseError: If it is nothing of the kind; nothing has changed then.

        """
        if len(data) > MAX_FILE_SIZE:
            raise ParseError(f"expected at most {MAX_FILE_SIZE} bytes of rates, got {len(data)}")
        try:
            file = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ParseError(f"expected remembered rates: {error}") from None
        newest = sorted(file.networks.items(), key=lambda item: item[1].at)
        self._key = bytes.fromhex(file.key)
        self._entries = dict(newest[-self._config.max_networks :])

    def _counts(self, entry: _Entry, wall_clock: float) -> bool:
        return 0 <= wall_clock - entry.at <= self._config.max_age

    def _name(self, network: str) -> str:
        digest = hashlib.blake2b(network.encode(), key=self._key, digest_size=_NAME_BYTES)
        return digest.hexdigest()
