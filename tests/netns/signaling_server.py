"""The server as a process, as ``ringline serve --dev`` runs it: ``signaling_server.py ADDRESS``.

Prints ``ready``.  Relays to the private addresses that the namespaces are made of.
"""

from __future__ import annotations

import asyncio
import sys

from ringline.signaling import RinglineServer, ServerConfig


async def main(address: str) -> None:
    config = ServerConfig(
        host=address, port=8080, turn_port=3478, dev=True, turn_allow_peers=("10.77.0.0/16",)
    )
    async with RinglineServer(config) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await server.wait_stopped()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
