"""ICE servers: what a member of a call is given to find a path with.

The credential is good for this user in this call only and runs out soon
(:mod:`ringline.turn.credentials`); a relay that was allocated with it lives on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ringline.signaling.call import MintedServers
from ringline.signaling.hub import IceServerMinter
from ringline.signaling.messages import IceServer
from ringline.turn.credentials import Credential, mint

__all__ = ["no_ice_servers", "turn_minter"]


def turn_minter(
    *,
    secret: str,
    port: int | None,
    lifetime: float,
    external_host: str | None,
    wallclock: Callable[[], float],
    others: Sequence[str] = (),
) -> IceServerMinter:
    """Return what mints credentials for TURN servers.

    Args:
        secret: Shared with all of them.
        port: UDP and TCP port of the one beside this server; :obj:`None` if there is none.
        lifetime: Seconds that a credential is good for.
        external_host: Its host; :obj:`None` for the one that the client reached us by.
        wallclock: Gives Unix seconds.
        others: URLs of servers elsewhere; they come after ours.

    """

    def mint_servers(user: str, call: str, reached_host: str) -> MintedServers:
        credential = mint(secret, user=user, call=call, expires_at=wallclock() + lifetime)
        servers: list[IceServer] = []
        if port is not None:
            host = external_host or reached_host
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            servers.append(IceServer(urls=(f"stun:{address}",)))
            # UDP is better; TCP is for networks that pass no UDP at all.
            ours = tuple(f"turn:{address}?transport={each}" for each in ("udp", "tcp"))
            servers.append(_relay(ours, credential))
        if others:
            # Each name is good at every server of the secret, and each counts its own allocations.
            servers.append(_relay(tuple(others), credential))
        return MintedServers(tuple(servers), math.floor(lifetime * 1000))

    return mint_servers


def _relay(urls: tuple[str, ...], credential: Credential) -> IceServer:
    return IceServer(urls=urls, username=credential.username, credential=credential.password)


def no_ice_servers(_user: str, _call: str, _reached_host: str) -> MintedServers:
    """Give none: calls on one network only."""
    return MintedServers()
