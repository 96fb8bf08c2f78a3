"""Outbox: datagrams that the core passes on, gathered by where they go until the edge takes them.

Beside the few :mod:`~ringline.turn.commands` they are what a relay is busy with, so that each costs
a look-up here and no object.  What goes to one address keeps its order; the edge sends it together.
"""

from __future__ import annotations

from typing import Final

from ringline.turn.addresses import Address, ClientSocket
from ringline.turn.commands import SendToClient, SendToPeer

__all__ = ["Outbox"]


class Outbox:
    """What is to be sent.

    Attributes:
        to_peers: Datagrams by the port of the relay that they leave from, and the peer.
        to_clients: Datagrams, or what stands for one on a connection, by client.

    """

    __slots__ = ("to_clients", "to_peers")

    def __init__(self) -> None:
        self.to_peers: Final[dict[tuple[int, Address], list[bytes]]] = {}
        self.to_clients: Final[dict[ClientSocket, list[bytes]]] = {}

    def add_for_peer(self, relay_port: int, peer: Address, data: bytes) -> None:
        """Keep what leaves from a relay, the one of the peer's family."""
        kept = self.to_peers.get((relay_port, peer))
        if kept is None:
            self.to_peers[relay_port, peer] = [data]
        else:
            kept.append(data)

    def add_for_client(self, client: ClientSocket, data: bytes) -> None:
        """Keep what leaves from the listening socket, or by the client's connection."""
        kept = self.to_clients.get(client)
        if kept is None:
            self.to_clients[client] = [data]
        else:
            kept.append(data)

    def take_commands(self) -> list[SendToPeer | SendToClient]:
        """Return all as commands, and keep nothing: for an edge that sends one by one."""
        commands: list[SendToPeer | SendToClient] = []
        for (relay_port, peer), datagrams in self.to_peers.items():
            commands += [SendToPeer(relay_port, peer, data) for data in datagrams]
        for client, datagrams in self.to_clients.items():
            commands += [SendToClient(client, data) for data in datagrams]
        self.clear()
        return commands

    def clear(self) -> None:
        """Keep nothing."""
        self.to_peers.clear()
        self.to_clients.clear()
