# See _relay.c, which may not have been built.

from typing import Final

INTERFACE: Final[int]
REPORTED: Final[tuple[int, ...]]

class Bucket:
    def has(self, size: float, now: float, /) -> bool: ...
    def take(self, size: float, /) -> None: ...

class DataPlane:
    def __init__(self, listener: int) -> None: ...
    def fileno(self) -> int: ...
    def open_flow(
        self,
        relay_port: int,
        fd: int,
        client: tuple[str, int],
        relayed: tuple[str, int],
        buckets: object = ...,
        /,
    ) -> None: ...
    def make_bucket(self, rate: float, size: float, /) -> Bucket: ...
    def close_flow(self, relay_port: int, /) -> None: ...
    def set_channel(
        self,
        relay_port: int,
        number: int,
        peer: tuple[str, int],
        expires_at: float,
        relayed_only: bool,
        /,
    ) -> None: ...
    def run(self, now: float, /) -> list[tuple[int, bytes, str, int]]: ...
    def take_counts(self) -> tuple[int, int, int, int, int, int, int]: ...
    def close(self) -> None: ...
