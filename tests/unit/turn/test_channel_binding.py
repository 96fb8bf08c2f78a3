from __future__ import annotations

from ringline.turn.channel_binding import ChannelBindings

PEER, OTHER = ("192.0.2.1", 9), ("192.0.2.2", 9)


def test_a_number_stands_for_one_peer_and_a_peer_has_one_number() -> None:
    channels = ChannelBindings(4)
    channels.bind(0x4000, PEER, 100.0, relayed_only=False)
    assert not channels.conflicts(0x4000, PEER, 50.0)
    assert channels.conflicts(0x4000, OTHER, 50.0)
    assert channels.conflicts(0x4001, PEER, 50.0)
    assert not channels.conflicts(0x4001, OTHER, 50.0)
    assert not channels.conflicts(0x4001, (PEER[0], 10), 50.0)


def test_an_ended_binding_conflicts_with_nothing_and_is_gone_when_rebound() -> None:
    channels = ChannelBindings(4)
    channels.bind(0x4000, PEER, 100.0, relayed_only=False)
    assert not channels.conflicts(0x4000, OTHER, 100.0)
    assert not channels.conflicts(0x4001, PEER, 100.0)
    channels.bind(0x4000, OTHER, 200.0, relayed_only=False)
    assert list(channels.by_peer) == [OTHER]
    channels.bind(0x4001, OTHER, 300.0, relayed_only=False)
    assert list(channels.by_number) == [0x4001]
    assert channels.by_peer[OTHER] is channels.by_number[0x4001]


def test_numbers_outside_of_the_range_conflict() -> None:
    channels = ChannelBindings(4)
    assert channels.conflicts(0x3FFF, PEER, 0.0)
    assert channels.conflicts(0x8000, PEER, 0.0)
    assert not channels.conflicts(0x7FFF, PEER, 0.0)


def test_the_limit_counts_what_lives() -> None:
    channels = ChannelBindings(1)
    channels.bind(0x4000, PEER, 100.0, relayed_only=False)
    assert channels.has_room(0x4000, 50.0)
    assert not channels.has_room(0x4001, 50.0)
    assert channels.has_room(0x4001, 100.0)
    assert len(channels) == 0
