"""Bad link: two TUN devices in two namespaces, and a bad network between them.

``bad_link.py NAMESPACE DEVICE NAMESPACE DEVICE UP|DOWN``; *up* is from the first to the second.
Prints ``ready``, then takes another ``UP|DOWN`` from each line of its input, ends with it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import struct
import sys
import time
from pathlib import Path

from ringline.media.simulate.link import Link
from ringline.media.simulate.profile import NetworkProfile

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
_MTU = 1500


def open_tun(namespace: str, device: str) -> int:
    """Make a TUN device in a namespace; return the file that its packets pass."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open() as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN_WITHOUT_HEADER))
    return tun


def take_all(tun: int, link: Link[None]) -> None:
    """Put every packet that waits on a link."""
    while True:
        try:
            packet = os.read(tun, _MTU + 100)
        except BlockingIOError:
            return
        if packet[0] >> 4 == 4:
            link.handle_datagram(packet, time.monotonic())


def give_all(link: Link[None], tun: int) -> None:
    """Deliver every packet that is due."""
    while (arrived := link.poll_datagram(time.monotonic())) is not None:
        try:
            os.write(tun, arrived[0])
        except OSError:
            return  # the device is down or full: a packet that nobody takes is lost


def main() -> None:
    """Run until the input ends."""
    ends = [open_tun(sys.argv[1], sys.argv[2]), open_tun(sys.argv[3], sys.argv[4])]
    network = NetworkProfile.parse(sys.argv[5])
    # Packets of a TUN device bring their IP header with them.
    now = time.monotonic()
    rng = random.Random(1)
    up = Link[None](network.up, rng=rng, started_at=now, overhead=0)
    down = Link[None](network.down, rng=rng, started_at=now, overhead=0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        due = [when for when in (up.poll_timeout(), down.poll_timeout()) if when is not None]
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([*ends, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            line = sys.stdin.readline().strip()
            if not line:
                return
            network = NetworkProfile.parse(line)
            up.set_profile(network.up, time.monotonic())
            down.set_profile(network.down, time.monotonic())
        take_all(ends[0], up)
        take_all(ends[1], down)
        give_all(up, ends[1])
        give_all(down, ends[0])


if __name__ == "__main__":
    main()
