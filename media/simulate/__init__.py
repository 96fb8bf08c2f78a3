"""Simulate: bad networks in virtual time, for our tests and for those of whoever builds on us.

::

    profile ── profiles      what a network does, in words and by name
       │
      link                   one direction of it, sans I/O: also good for real sockets
       │
     driver ── call          endpoints, links and a clock; a call of two real sessions
       │         │
     marks ── codecs         numbered pictures and sounds, and codecs that look at nothing else
       │                     (video_codec, audio_codec)
    observe                  what a person notices of a call: freezes, gaps, delays
    greedy_flow              a download beside the call, that takes what it can get

    nat                      what a home router does to addresses, for whoever has addresses

A call on a bad network, and what it was like::

    call = SimulatedCall(find_network("g3"), seed=1)
    call.run(until=60.0)
    up, down = call.observe(start=5.0)
    assert up.picture_delay_p95 < 0.5
"""

from __future__ import annotations

from ringline.media.simulate.call import CallConfig, SimulatedCall
from ringline.media.simulate.codecs import SimulatedCodecs
from ringline.media.simulate.driver import Endpoint, Node, Simulation, SimulationError
from ringline.media.simulate.greedy_flow import (
    GreedyReceiver,
    GreedySender,
    start_greedy_flow,
)
from ringline.media.simulate.link import Link, LinkStats
from ringline.media.simulate.marks import make_picture, make_sound, read_picture, read_sound
from ringline.media.simulate.observe import Freeze, Observation, Observer, find_freezes
from ringline.media.simulate.profile import LinkConditions, LinkProfile, NetworkProfile
from ringline.media.simulate.profiles import PROFILES, find_network

__all__ = [
    "PROFILES",
    "CallConfig",
    "Endpoint",
    "Freeze",
    "GreedyReceiver",
    "GreedySender",
    "Link",
    "LinkConditions",
    "LinkProfile",
    "LinkStats",
    "NetworkProfile",
    "Node",
    "Observation",
    "Observer",
    "SimulatedCall",
    "SimulatedCodecs",
    "Simulation",
    "SimulationError",
    "find_freezes",
    "find_network",
    "make_picture",
    "make_sound",
    "read_picture",
    "read_sound",
    "start_greedy_flow",
]
