"""Profiles: the named networks, one table for simulations, namespaces, benchmarks and the demo.

A number measured on one of them can be measured again by its name.  The first group are the
links on which calls are scored; only the way up is bad there, and the way up is what is scored.
The second group is modelled on what people have: both ways are alike unless the table shows two.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ringline.media.simulate.profile import NetworkProfile

__all__ = ["PROFILES", "find_network"]

_TABLE: Final = (
    ("perfect", "nothing between the two", "delay=0"),
    # Links that are scored
    ("clean", "20 ms each way, wide open", "delay=20"),
    (
        "loss5",
        "2 Mbit/s, 5 % lost at random",
        "rate=2000,delay=40,loss=5|rate=2000,delay=40",
    ),
    (
        "loss20",
        "2 Mbit/s, 20 % lost at random",
        "rate=2000,delay=40,loss=20|rate=2000,delay=40",
    ),
    (
        "burst",
        "2 Mbit/s, 7 % lost, four in a row on average",
        "rate=2000,delay=40,ge=2/25|rate=2000,delay=40",
    ),
    (
        "g3",
        "500 kbit/s, 100 to 120 ms, 1 % lost",
        "rate=500,delay=100,loss=1,jitter=20,queue=400|rate=500,delay=100,jitter=20,queue=400",
    ),
    (
        "g2",
        "150 kbit/s, 150 to 180 ms, 1 % lost",
        "rate=150,delay=150,loss=1,jitter=30,queue=600|rate=150,delay=150,jitter=30,queue=600",
    ),
    (
        "step",
        "2 Mbit/s that become 300 kbit/s for 20 s",
        "rate=2000,delay=40;15:rate=300;35:rate=2000|rate=2000,delay=40",
    ),
    (
        "outage",
        "2 Mbit/s, nothing at all from 12 to 15 s",
        "rate=2000,delay=40;12:loss=100;15:loss=0",
    ),
    # Networks that people have
    ("wifi", "a good wireless network at home", "rate=20000,delay=8,jitter=6,loss=0.1,queue=100"),
    (
        "wifi_lossy",
        "the far end of the flat: losses in bursts",
        "rate=8000,delay=12,jitter=20,ge=1.5/35,queue=200",
    ),
    (
        "wifi_congested",
        "a cafe: everybody shares it, the queue is long",
        (
            "rate=1500,delay=15,jitter=60,loss=2,queue=500;20:rate=600;30:rate=1500"
            "|rate=3000,delay=15,jitter=60,loss=1,queue=500"
        ),
    ),
    (
        "mobile",
        "4G on the move: the rate wanders, the queue is long",
        (
            "rate=3000,delay=45,jitter=25,loss=0.5,queue=600;10:rate=1000;20:rate=400;28:rate=2500"
            "|rate=8000,delay=45,jitter=25,loss=0.3,queue=600"
        ),
    ),
    ("moderate", "75 to 125 ms, 5 % lost", "rate=3000,delay=75,jitter=50,loss=5"),
    (
        "international",
        "150 to 350 ms, 10 % lost in bursts",
        "rate=3000,delay=150,jitter=200,ge=3/27",
    ),
    (
        "spiky_loss",
        "30 % lost from 10 to 20 s",
        "rate=3000,delay=40;10:loss=30;20:loss=0",
    ),
    (
        "satellite",
        "geostationary: 280 ms each way, a deep queue",
        "rate=2000,delay=280,jitter=20,loss=0.5,queue=800|rate=8000,delay=280,jitter=20,queue=800",
    ),
    (
        "reordering",
        "several paths at once: a tenth out of order, some twice",
        "rate=3000,delay=30,jitter=40,reorder=10,duplicate=1",
    ),
)

PROFILES: Final[Mapping[str, NetworkProfile]] = MappingProxyType(
    {name: NetworkProfile.parse(text, name=name, summary=summary) for name, summary, text in _TABLE}
)
"""Every named network, in the order of the table."""


def find_network(name: str) -> NetworkProfile:
    """Return a network by its name, or one described as :meth:`NetworkProfile.parse` reads it.

    Raises:
        ValueError: If it is neither; the message lists the names.

    """
    if name in PROFILES:
        return PROFILES[name]
    if "=" in name:
        return NetworkProfile.parse(name)
    raise ValueError(
        f"no network {name!r}; there are {', '.join(PROFILES)}, or 'rate=300,delay=50'"
    )
