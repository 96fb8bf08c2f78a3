"""A transport finds its path, carries media and messages, and outlives its sockets."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aioice import ice, stun

from ringline.client.check_list import CheckConfig
from ringline.client.io_aiortc import (
    CandidateFound,
    CandidatesComplete,
    IceServer,
    NetworkChanged,
    TransportConfig,
    TransportState,
    TransportStateChanged,
)
from ringline.turn.config import TurnConfig
from ringline.turn.io_service import TurnService
from tests.e2e.transport_ends import LOOPBACK, MakePair, Pair, remote_of

RTP = bytes.fromhex("80600001 00000000 00000001") + b"payload"
RTCP = bytes.fromhex("80c90001 00000001")


def rtp(sequence: int) -> bytes:
    return RTP[:2] + sequence.to_bytes(2, "big") + RTP[4:]


@pytest.fixture
async def turn() -> AsyncIterator[IceServer]:
    config = TurnConfig(
        host="127.0.0.1", port=0, users={"alice": "secret"}, allow_peers=("127.0.0.0/8",)
    )
    async with TurnService(config) as server:
        yield IceServer(url=f"turn:127.0.0.1:{server.port}", username="alice", credential="secret")


async def check_media(pair: Pair) -> None:
    """Send packets each way, which the path may lose, until one comes out as it was."""
    for here, there in ((pair.offerer, pair.answerer), (pair.answerer, pair.offerer)):
        there.media.clear()
        sent = [rtp(next(pair.sequence)) for _ in range(100)]
        for packet in sent:
            here.transport.send(packet)
            try:
                await there.until(there.has_media, within=0.1)
            except TimeoutError:
                continue
            break
        assert there.media
        assert {data for data, _ in there.media} <= set(sent)


async def test_media_and_reports_flow_both_ways(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()

    now = asyncio.get_running_loop().time()
    pair.offerer.transport.send(RTP)
    pair.answerer.transport.send(RTCP)
    await pair.answerer.until(lambda: pair.answerer.media)
    await pair.offerer.until(lambda: pair.offerer.media)

    assert [data for data, _ in pair.answerer.media] == [RTP]
    assert [data for data, _ in pair.offerer.media] == [RTCP]
    assert 0.0 <= pair.answerer.media[0][1] - now < 0.1
    for end in pair:
        assert end.states == [TransportState.CONNECTING, TransportState.CONNECTED]
        path = end.path
        assert (path.kind, path.local_type, path.remote_type, path.protocol) == (
            "host",
            "host",
            "host",
            "udp",
        )
        assert 0.0 < path.round_trip < 0.1


async def test_ipv6_is_used_where_there_is_any(make_pair: MakePair) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    pair = make_pair(replace(LOOPBACK, addresses=("::1",)))
    await pair.connect()
    await check_media(pair)
    assert pair.offerer.path.remote_address[0] == "::1"


async def test_a_relay_may_be_named_by_an_ipv6_address(make_pair: MakePair) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    config = TurnConfig(
        host=("127.0.0.1", "::1"),
        port=0,
        users={"alice": "secret"},
        allow_peers=("127.0.0.0/8", "::1/128"),
    )
    async with TurnService(config) as server:
        url = f"turn:[::1]:{server.port}"
        pair = make_pair(replace(LOOPBACK, policy="relay"))
        await pair.connect([IceServer(url=url, username="alice", credential="secret")])
        await check_media(pair)
        assert pair.offerer.path.relay == ("::1", server.port)


async def test_an_address_that_is_not_ours_is_left_out(make_pair: MakePair) -> None:
    pair = make_pair(replace(LOOPBACK, addresses=("192.0.2.77", "127.0.0.1")))
    await pair.connect()
    assert len(pair.offerer.transport.local_description.candidates) == 1
    assert pair.offerer.transport.dropped == {"cannot bind": 1}


class LosesFirstFlights:
    """A link that loses the first copy of every DTLS datagram."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.passed: list[tuple[bytes, object]] = []

    def handle_datagram(self, data: bytes, now: float, tag: object) -> None:
        assert now > 0.0
        if 20 <= data[0] < 23 and data not in self.seen:
            self.seen.add(data)
        else:
            self.passed.append((data, tag))

    def poll_datagram(self, now: float) -> tuple[bytes, object] | None:
        assert now > 0.0
        return self.passed.pop(0) if self.passed else None

    def poll_timeout(self) -> float | None:
        return None


async def test_lost_flights_are_sent_again_within_tenths_of_a_second(make_pair: MakePair) -> None:
    pair = make_pair(replace(LOOPBACK, link=lambda _: LosesFirstFlights()))
    pair.gather()
    began = asyncio.get_running_loop().time()
    pair.start()
    await pair.offerer.until_state(TransportState.CONNECTED)
    assert pair.answerer.states == [TransportState.CONNECTING]  # the last flight was lost
    pair.offerer.transport.send(RTP)  # and media overtakes it
    await pair.answerer.until_state(TransportState.CONNECTED)
    assert asyncio.get_running_loop().time() - began < 0.5  # OpenSSL alone: 1 s for each
    await pair.answerer.until(pair.answerer.has_media)
    assert [data for data, _ in pair.answerer.media] == [RTP]


async def test_a_change_of_addresses_is_told(
    make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = ["127.0.0.1"]
    monkeypatch.setattr(ice, "get_host_addresses", lambda **_: list(addresses))
    offerer = make_pair(TransportConfig(watch_interval=0.02)).offerer
    offerer.transport.gather()
    addresses.append("127.0.0.2")
    await offerer.until(lambda: NetworkChanged() in offerer.events)
    assert offerer.events == [CandidatesComplete(generation=0), NetworkChanged()]
    assert len(offerer.transport.restart().candidates) == 2


async def test_candidates_of_this_machine_exist_when_gather_returns(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.offerer.transport.gather()
    (candidate,) = pair.offerer.transport.local_description.candidates
    assert candidate.startswith("candidate:")
    assert " 127.0.0.1 " in candidate
    assert " typ host" in candidate
    await pair.offerer.until(lambda: pair.offerer.events)
    assert pair.offerer.events == [CandidatesComplete(generation=0)]


async def test_messages_flow_both_ways_and_those_sent_early_come_first(make_pair: MakePair) -> None:
    pair = make_pair()
    channel = pair.offerer.transport.open_channel("chat")
    answers = pair.offerer.listen(channel)
    assert channel.send("before the call")
    await pair.connect()
    await pair.answerer.until(lambda: pair.answerer.channels)

    (other,) = pair.answerer.channels
    assert other.label == "chat"
    received = pair.answerer.listen(other)
    assert channel.send(b"\x00\xff")
    assert other.send("back")
    await pair.answerer.until(lambda: len(received) == 2)
    await pair.offerer.until(lambda: answers)
    assert received == ["before the call", b"\x00\xff"]
    assert answers == ["back"]


async def test_what_a_channel_keeps_is_bounded(make_pair: MakePair) -> None:
    pair = make_pair()
    channel = pair.offerer.transport.open_channel("chat")
    assert channel.send(bytes(1 << 20))
    assert not channel.send(b"x")
    assert pair.offerer.transport.dropped == {"channel full": 1}


async def test_candidates_may_trickle_after_the_start(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.start()  # no candidate is known yet
    pair.gather()
    for here, there in ((pair.offerer, pair.answerer), (pair.answerer, pair.offerer)):
        for candidate in here.transport.local_description.candidates:
            there.transport.add_remote_candidate(candidate)
        there.transport.add_remote_candidate(None)
    await pair.until_both(TransportState.CONNECTED)
    await check_media(pair)


async def test_one_side_alone_may_know_the_candidates_of_the_other(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.answerer.trickle_to = None
    pair.offerer.transport.start(  # before the answerer has gathered
        remote_of(pair.answerer), dtls_role="server"
    )
    pair.gather()
    pair.answerer.transport.start(remote_of(pair.offerer), dtls_role="client")
    await pair.until_both(TransportState.CONNECTED)


async def test_both_sides_may_think_that_they_control(make_pair: MakePair) -> None:
    pair = make_pair()
    twin = make_pair().offerer
    twin.trickle_to = None
    for end in (pair.offerer, twin):
        end.transport.gather()
    pair.offerer.transport.start(remote_of(twin), dtls_role="server")
    twin.transport.start(remote_of(pair.offerer), dtls_role="client")
    await pair.offerer.until_state(TransportState.CONNECTED)
    await twin.until_state(TransportState.CONNECTED)


async def test_a_relay_only_call_shows_no_address_and_goes_through_turn(
    turn: IceServer, make_pair: MakePair
) -> None:
    pair = make_pair(replace(LOOPBACK, policy="relay"))
    await pair.connect([turn])
    await check_media(pair)
    for end in pair:
        assert end.paths == ["relay"]
        (candidate,) = end.transport.local_description.candidates
        assert " typ relay raddr 0.0.0.0 rport 9" in candidate


async def test_a_direct_path_wins_over_the_relay(turn: IceServer, make_pair: MakePair) -> None:
    pair = make_pair()
    pair.gather([turn])
    for end in pair:
        await end.until(end.has_gathered)
        kinds = [text.split()[7] for text in end.transport.local_description.candidates]
        assert kinds == ["host", "relay"]
    pair.start()
    await pair.until_both(TransportState.CONNECTED)
    await check_media(pair)
    assert [end.path.kind for end in pair] == ["host", "host"]


async def test_a_direct_path_that_works_later_is_moved_to(
    turn: IceServer, make_pair: MakePair
) -> None:
    pair = make_pair()
    offerer, answerer = pair
    hidden: list[str] = []
    pair.offerer.trickle_to = pair.answerer.trickle_to = None
    pair.gather([turn])
    for end in pair:
        await end.until(end.has_gathered)
    for end in (answerer, offerer):
        parameters = remote_of(end)
        hidden.append(parameters.candidates[0])
        relayed = tuple(text for text in parameters.candidates if " typ relay" in text)
        if end is answerer:
            offerer.transport.start(replace(parameters, candidates=relayed), dtls_role="server")
        else:
            answerer.transport.start(replace(parameters, candidates=relayed), dtls_role="client")
    await pair.until_both(TransportState.CONNECTED)
    assert [end.path.kind for end in pair] == ["relay", "relay"]

    offerer.transport.add_remote_candidate(hidden[0])
    answerer.transport.add_remote_candidate(hidden[1])
    for end in pair:
        await end.until_path("host")
        assert end.states == [TransportState.CONNECTING, TransportState.CONNECTED]
    await check_media(pair)


async def test_a_dead_server_costs_the_call_nothing(turn: IceServer, make_pair: MakePair) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        pair = make_pair(replace(LOOPBACK, gather_timeout=0.3))
        dead = [
            IceServer(url=f"stun:127.0.0.1:{port}"),
            IceServer(url=f"turn:127.0.0.1:{port}", username="a", credential="b"),
            IceServer(url="nonsense:1.2.3.4"),
        ]
        await pair.connect([*dead, turn])
        offerer = pair.offerer
        await offerer.until(offerer.has_gathered)
    found = [event for event in offerer.events if isinstance(event, CandidateFound)]
    assert [event.candidate.split()[7] for event in found] == ["relay"]
    assert offerer.transport.dropped["server silent"] == 3  # STUN twice: of each server


async def test_a_wrong_turn_password_leaves_the_other_candidates(
    turn: IceServer, make_pair: MakePair
) -> None:
    pair = make_pair()
    await pair.connect([replace(turn, credential="wrong")])
    offerer = pair.offerer
    await offerer.until(offerer.has_gathered)
    assert offerer.transport.dropped["server refused"] == 1


async def test_a_restart_outlives_every_old_socket_and_keeps_the_dtls_session(
    make_pair: MakePair,
) -> None:
    pair = make_pair(replace(LOOPBACK, retire_after=0.05))
    channel = pair.offerer.transport.open_channel("chat")
    await pair.connect()
    await pair.answerer.until(lambda: pair.answerer.channels)
    received = pair.answerer.listen(pair.answerer.channels[0])
    keys = [end.transport._keys_out for end in pair]
    for end in pair:  # as when the interface goes down
        for base in end.transport._generations[0]._protocols:
            await base.close()

    old = pair.offerer.transport.local_description
    offer = pair.offerer.transport.restart()
    answer = pair.answerer.transport.restart()
    assert (offer.generation, answer.generation) == (1, 1)
    assert offer.ufrag != old.ufrag
    assert offer.fingerprints == old.fingerprints
    pair.start()
    await check_media(pair)
    channel.send("still here")
    await pair.answerer.until(lambda: received)

    assert received == ["still here"]
    assert [end.transport._keys_out for end in pair] == keys
    for end in pair:
        assert end.transport.state is TransportState.CONNECTED


async def test_the_answerer_may_restart_too_and_media_flows_meanwhile(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()
    pair.answerer.transport.restart()
    await check_media(pair)  # on the old path
    pair.answerer.transport.restart()  # the first one was never answered
    pair.offerer.transport.restart()
    pair.start()
    await check_media(pair)
    await pair.offerer.until(lambda: len(pair.offerer.paths) == 2)
    assert pair.answerer.transport.local_description.generation == 2


async def test_a_round_trip_longer_than_the_silence_between_checks_stays_connected(
    make_pair: MakePair,
) -> None:
    check = CheckConfig(consent_interval=0.1, urgent_interval=0.05, alive_for=0.9)
    config = replace(LOOPBACK, check=check, disconnected_after=0.9)
    pair = make_pair(config, up="delay=300,loss=10", down="delay=300,loss=10")
    await pair.connect(within=15.0)
    with pytest.raises(TimeoutError):
        await pair.offerer.until_state(TransportState.DISCONNECTED, within=2.0)
    for end in pair:
        assert end.states == [TransportState.CONNECTING, TransportState.CONNECTED]
        assert 0.6 <= end.path.round_trip < 0.7


async def test_an_outage_is_told_and_ends_with_the_first_datagram(make_pair: MakePair) -> None:
    check = CheckConfig(consent_interval=0.1, urgent_interval=0.05, alive_for=0.3)
    config = replace(LOOPBACK, check=check, disconnected_after=0.3, failed_after=5.0)
    dies = "delay=5;0.5:loss=100;1.5:loss=0"
    pair = make_pair(config, up=dies, down=dies)
    began = asyncio.get_running_loop().time()
    await pair.connect()
    await pair.until_both(TransportState.DISCONNECTED)
    assert asyncio.get_running_loop().time() - began < 1.2
    await pair.until_both(TransportState.CONNECTED)
    assert asyncio.get_running_loop().time() - began < 1.5 + 0.3
    await check_media(pair)
    for end in pair:
        assert end.states == [
            TransportState.CONNECTING,
            TransportState.CONNECTED,
            TransportState.DISCONNECTED,
            TransportState.CONNECTED,
        ]


async def test_a_path_that_stays_silent_fails_and_a_restart_revives_it(make_pair: MakePair) -> None:
    check = CheckConfig(consent_interval=0.1, urgent_interval=0.05, alive_for=0.2)
    config = replace(LOOPBACK, check=check, disconnected_after=0.2, failed_after=0.6)
    dies = "delay=1;0.3:loss=100;1.2:loss=0"
    pair = make_pair(config, up=dies, down=dies)
    await pair.connect()
    await pair.until_both(TransportState.FAILED)
    lost = TransportStateChanged(state=TransportState.FAILED, reason="the path was lost")
    assert all(lost in end.events for end in pair)
    pair.offerer.transport.restart()
    pair.answerer.transport.restart()
    pair.start()
    await pair.until_both(TransportState.CONNECTED)
    await check_media(pair)


async def test_no_path_at_all_fails(make_pair: MakePair) -> None:
    pair = make_pair(replace(LOOPBACK, failed_after=0.2))
    pair.gather()
    parameters = replace(remote_of(pair.answerer), candidates=())
    pair.offerer.transport.start(parameters, dtls_role="client")
    await pair.offerer.until_state(TransportState.FAILED)
    assert pair.offerer.events[-1] == TransportStateChanged(
        state=TransportState.FAILED, reason="no path was found"
    )


async def test_a_certificate_that_was_not_announced_fails(make_pair: MakePair) -> None:
    pair = make_pair()
    pair.gather()
    wrong = tuple(
        replace(entry, value="00:" * 31 + "00")
        for entry in pair.answerer.transport.local_description.fingerprints
    )
    parameters = replace(remote_of(pair.answerer), fingerprints=wrong)
    pair.offerer.transport.start(parameters, dtls_role="server")
    pair.answerer.transport.start(remote_of(pair.offerer), dtls_role="client")
    await pair.offerer.until_state(TransportState.FAILED)
    pair.offerer.transport.send(RTP)
    assert pair.offerer.transport.dropped["no path"] == 1


async def test_what_strangers_send_is_counted_and_nothing_more(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()
    transport = pair.offerer.transport
    port = int(transport.local_description.candidates[0].split()[5])
    binding = bytes.fromhex("000100002112a442") + bytes(12)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        for data in (RTP, b"\x16\xfe\xff" + bytes(40), b"\x00", b"\x00\x01\xff\xff" + bytes(30)):
            stranger.sendto(data, ("127.0.0.1", port))
        stranger.sendto(b"\x80" * 3000, ("127.0.0.1", port))
        stranger.sendto(binding, ("127.0.0.1", port))
        stranger.settimeout(2.0)
        refusal = await asyncio.to_thread(stranger.recv, 2048)
    assert refusal[:2] == b"\x01\x11"  # 400: no credentials
    assert transport.dropped == {"unknown source": 2, "malformed STUN": 2, "bad size": 1}
    assert pair.offerer.media == []
    await check_media(pair)


async def test_no_mutation_of_a_stun_message_raises(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()
    generation = pair.offerer.transport._generations[0]
    base = generation._protocols[0]
    password = generation.local_password.encode()
    rng = random.Random(5)
    for kind in (stun.Class.REQUEST, stun.Class.RESPONSE, stun.Class.ERROR):
        message = stun.Message(stun.Method.BINDING, kind)
        message.attributes["USERNAME"] = f"{generation.local_username}:{generation.remote_username}"
        message.attributes["PRIORITY"] = 1
        message.attributes["ERROR-CODE"] = (487, "Role Conflict")
        message.attributes["XOR-MAPPED-ADDRESS"] = ("127.0.0.1", 9)
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(password)
        whole = bytes(message)
        for _ in range(1500):
            data = bytearray(whole[: rng.choice((len(whole), rng.randrange(2, len(whole))))])
            for _ in range(rng.randrange(4)):
                data[rng.randrange(1, len(data))] = rng.randrange(256)
            generation.datagram_arrived(base, bytes(data), ("127.0.0.9", 9), 1.0)  # type: ignore[arg-type]
    assert pair.offerer.transport.dropped["malformed STUN"] > 1000
    await check_media(pair)


async def test_candidates_that_make_no_sense_are_counted(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()
    transport = pair.offerer.transport
    for text in (
        "",
        "candidate:",
        "candidate:1 1 udp x 1.2.3.4 5 typ host",
        "candidate:1 1 udp 1 1.2.3.4 65536 typ host",
        "candidate:1 1 udp -1 1.2.3.4 5 typ host",
        "\x00" * 50,
    ):
        transport.add_remote_candidate(text)
    assert transport.dropped == {"malformed candidate": 6}
    for text in (
        "candidate:1 1 udp 1 example.org 5 typ host",
        "candidate:1 1 tcp 1 127.0.0.1 5 typ host",
        "candidate:1 2 udp 1 127.0.0.1 5 typ host",
        "candidate:1 1 udp 1 127.0.0.1 5 typ other",
        "candidate:1 1 udp 1 fe80::1%lo 5 typ host",
    ):
        transport.add_remote_candidate(text)
    for number in range(200):
        transport.add_remote_candidate(f"candidate:1 1 udp 1 127.0.0.2 {number + 1000} typ host")
    assert transport.dropped["too many candidates"] >= 100
    await check_media(pair)


async def test_what_is_not_rtp_is_not_sent(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()
    for data in (b"", b"\x80", b"\x80\x60\x00", bytes(4000)):
        pair.offerer.transport.send(data)
    assert pair.offerer.transport.dropped == {"not RTP": 4}
    await check_media(pair)


async def test_the_goodbye_of_the_other_side_closes(make_pair: MakePair) -> None:
    pair = make_pair()
    await pair.connect()
    await pair.offerer.transport.close()
    await pair.answerer.until_state(TransportState.CLOSED)
    assert pair.answerer.events[-1] == TransportStateChanged(
        state=TransportState.CLOSED, reason="the other side closed the connection"
    )
    pair.answerer.transport.send(RTP)
    assert pair.answerer.transport.dropped["no path"] == 1
