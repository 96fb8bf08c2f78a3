"""Network: what tells the network that this machine is in from others, and a file of rates.

Nothing here needs privileges or sends a packet.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from ringline.client.rate_memory import MAX_FILE_SIZE, RateMemory
from ringline.client.transport import Path as MediaPath
from ringline.media.errors import ParseError

__all__ = ["NetworkRates", "default_rate_file", "describe_network"]

logger = logging.getLogger(__name__)

_ARP: Final = Path("/proc/net/arp")  # on Linux: IP address, type, flags, hardware address ...
_ROUTES: Final = Path("/proc/net/route")  # interface, destination, gateway ... in hexadecimal
_PREFIX: Final = {4: 24, 6: 64}  # bits of an address that a network's machines share, usually


class NetworkRates:
    """What calls reached on the networks that this machine was in.

    Args:
        file: Where that is kept from one process to the next; :obj:`None` only remembers.

    """

    def __init__(self, file: Path | None = None) -> None:
        self._file: Final = file
        self._memory: Final = RateMemory()
        if file is not None:
            _load(self._memory, file)

    def recall(self, path: MediaPath) -> int | None:
        """Return what the last call over such a path reached, bits per second, if it is known."""
        network = describe_network(path.remote_address[0], path.kind)
        return None if network is None else self._memory.recall(network, time.time())

    def remember(self, path: MediaPath, bitrate: int) -> None:
        """Keep what a call over this path reached."""
        network = describe_network(path.remote_address[0], path.kind)
        if network is None:
            return
        if self._file is not None:
            _load(self._memory, self._file)  # another call may have ended meanwhile
        self._memory.remember(network, bitrate, time.time())
        if self._file is not None:
            _save(self._memory, self._file)


def describe_network(remote: str, path_kind: str) -> str | None:
    """Return a text that is the same whenever this machine is in this network.

    It is made of the prefix of the address that leads to ``remote``, the gateway's hardware
    address where the system tells it (so many homes are 192.168.1.0/24), and the kind of path.

    Args:
        remote: Address that media goes to, IPv4 or IPv6.
        path_kind: ``host``, ``srflx`` or ``relay``.

    Returns:
        The text, which is private: hash it before it is kept; :obj:`None` without a way there.

    """
    try:
        family = socket.AF_INET6 if ":" in remote else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))  # sends nothing: it only chooses the way
            address = ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
    except (OSError, ValueError):
        return None
    network = ipaddress.ip_network((address, _PREFIX[address.version]), strict=False)
    return f"{path_kind} {network} {_gateway()}"


def _gateway() -> str:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _ROUTES.read_text().splitlines()[1:]:
            interface, destination, gateway = line.split()[:3]
            if destination != "00000000":
                continue
            address = socket.inet_ntoa(int(gateway, 16).to_bytes(4, sys.byteorder))
            for entry in _ARP.read_text().splitlines()[1:]:
                fields = entry.split()
                if fields[0] == address and fields[-1] == interface:
                    return f"{address} {fields[3]}"
            return address
    return ""


def default_rate_file() -> Path | None:
    """Return the file that the command line keeps rates in, in the user's folder of caches.

    :obj:`None` where it is not known whose computer this is, as in a container without HOME.
    """
    try:
        return _caches() / "ringline" / "rates.json"
    except RuntimeError:  # no home
        return None


def _caches() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base) if base else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"


def _load(memory: RateMemory, path: Path) -> None:
    """Read a file of rates; one that is missing or broken is an empty one."""
    try:
        with path.open("rb") as file:
            memory.load(file.read(MAX_FILE_SIZE + 1))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, ParseError) as error:
        logger.info("what calls reached on this network is not known: %s", error)


def _save(memory: RateMemory, path: Path) -> None:
    """Write a file of rates, whole or not at all; a call is not worth less if it cannot be."""
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A new file of an unforeseeable name, the user's own from its first byte on.
        number, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        scratch = Path(name)
        with os.fdopen(number, "wb") as file:
            file.write(memory.dump())
        scratch.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        logger.info("what this call reached is not kept: %s", error)
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
