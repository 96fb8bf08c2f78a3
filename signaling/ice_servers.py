"""ICE servers: what a member of a call is given to find a path with.

The credential is good for this user in this call only and runs out soon
(:mod:`ringline.turn.credentials`); a relay that was allocated with it lives on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ringline.signaling.call import MintedServers
from ringline.signaling.hub import IceServerMinter
from ringline.signaling.messages import IceServer
from ringline.turn.credentials import mint

__all__ = ["no_ice_servers", "turn_minter"]


def turn_minter(
    *,
    secret: str,
    port: int,
    lifetime: float,
    external_host: str | None,
    wallclock: Callable[[], float],
) -> IceServerMinter:
    """Return what mints credentials for our TURN server.

    Args:
        secret: Shared with the TURN server.
        port: Its UDP and TCP port.
        lifetime: Seconds that a credential is good for.
        external_host: Its host; :obj:`None` for the one that the client reached us by.
        wallclock: Gives Unix seconds.

    """

    def mint_servers(user: str, call: str, reached_host: str) -> MintedServers:
        host = external_host or reached_host
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        credential = mint(secret, user=user, call=call, expires_at=wallclock() + lifetime)
        return MintedServers(
            (
                IceServer(urls=(f"stun:{address}",)),
                IceServer(
                    # UDP is better; TCP is for networks that pass no UDP at all.
                    urls=tuple(f"turn:{address}?transport={each}" for each in ("udp", "tcp")),
                    username=credential.username,
                    credential=credential.password,
                ),
            ),
            math.floor(lifetime * 1000),
        )

    return mint_servers


def no_ice_servers(_user: str, _call: str, _reached_host: str) -> MintedServers:
    """Give none: calls on one network only."""
    return MintedServers()
