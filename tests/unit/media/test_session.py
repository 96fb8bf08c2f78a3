from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from ringline.media.frames import AudioFrame
from ringline.media.parameters import SessionParameters, StreamParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import is_rtcp
from ringline.media.rtp.rtcp import (
    Bye,
    PictureLossIndication,
    ReceiverReport,
    RtcpPacket,
    SenderReport,
    TransportFeedback,
    parse_compound,
    serialize_compound,
)
from ringline.media.session import MediaSession
from ringline.media.simulate.codecs import SimulatedCodecs
from ringline.media.units import PayloadType, Ssrc

OURS = StreamParameters(
    kind="audio", mid="0", payload_type=PayloadType(111), ssrc=Ssrc(1), transport_cc=True
)
THEIRS = replace(OURS, ssrc=Ssrc(2))
PARAMETERS = SessionParameters(
    cname="us",
    local_ssrc=Ssrc(1),
    send=(OURS,),
    receive=(THEIRS,),
    extension_ids=ExtensionIds(mid=4, transport_sequence_number=3),
)


def make_session(parameters: SessionParameters = PARAMETERS) -> MediaSession:
    rng = random.Random(1)
    return MediaSession(
        parameters,
        codecs=SimulatedCodecs(rng),  # type: ignore[arg-type] # the same methods, see its tests
        rng=rng,
        wall_clock=lambda: 1000.0,
        now=0.0,
    )


def talk(session: MediaSession, start: float, seconds: float) -> list[tuple[float, bytes]]:
    """Say something for a while in virtual time; return what left and when."""
    sent = []
    for tick in range(round(seconds / 0.02)):
        now = start + tick * 0.02
        session.handle_audio_frame(AudioFrame(np.full(960, 1000, np.int16), now), now)
        session.handle_timeout(now)
        while (data := session.poll_datagram(now)) is not None:
            sent.append((now, data))
        while session.poll_event() is not None:
            pass
    return sent


def exchange(us: MediaSession, them: MediaSession, seconds: float) -> list[RtcpPacket]:
    """Let us talk to them; return the RTCP that they send back."""
    answers: list[RtcpPacket] = []
    for tick in range(round(seconds / 0.02)):
        now = tick * 0.02
        for _, sent in talk(us, now, 0.02):
            them.handle_datagram(sent, now)
        them.handle_timeout(now)
        while them.poll_audio() is not None:
            pass
        while (data := them.poll_datagram(now)) is not None:
            answers += parse_compound(data)
            us.handle_datagram(data, now)
    return answers


def test_2_nothing_leaves_before_the_path_is_there() -> None:
    session = make_session()
    assert talk(session, 0.0, 3.0) == []
    session.set_connected(connected=True, now=3.0)
    assert talk(session, 3.0, 0.1) != []


def test_sound_leaves_every_20_ms_and_reports_beside_it() -> None:
    session = make_session()
    session.set_connected(connected=True, now=0.0)
    sent = talk(session, 0.0, 3.0)
    assert sum(not is_rtcp(data) for _, data in sent) == 150
    reports = [parse_compound(data)[0] for _, data in sent if is_rtcp(data)]
    assert reports
    assert all(isinstance(report, SenderReport) for report in reports)


def test_a_muted_kind_sends_no_media() -> None:
    session = make_session()
    session.set_connected(connected=True, now=0.0)
    session.set_muted("audio", muted=True, now=0.0)
    assert all(is_rtcp(data) for _, data in talk(session, 0.0, 2.0))


@pytest.mark.parametrize("reduced", [False, True])
def test_3_a_compound_starts_with_a_report_unless_it_need_not(*, reduced: bool) -> None:
    parameters = replace(PARAMETERS, reduced_size_rtcp=reduced)
    us, them = make_session(), make_session(_mirrored(parameters))
    us.set_connected(connected=True, now=0.0)
    them.set_connected(connected=True, now=0.0)
    firsts = set()
    for tick in range(100):
        now = tick * 0.02
        for _, sent in talk(us, now, 0.02):
            them.handle_datagram(sent, now)
        them.handle_timeout(now)
        while (data := them.poll_datagram(now)) is not None:
            if is_rtcp(data):
                firsts.add(type(parse_compound(data)[0]))
    assert (TransportFeedback in firsts) is reduced
    assert firsts <= {SenderReport, ReceiverReport, TransportFeedback}


def test_feedback_comes_back_and_gives_the_round_trip() -> None:
    us, them = make_session(), make_session(_mirrored(PARAMETERS))
    us.set_connected(connected=True, now=0.0)
    them.set_connected(connected=True, now=0.0)
    answers = exchange(us, them, 4.0)
    assert any(isinstance(packet, TransportFeedback) for packet in answers)
    assert any(isinstance(packet, ReceiverReport) for packet in answers)
    assert us.round_trip is not None


def test_goodbye_is_the_last_that_leaves() -> None:
    session = make_session()
    session.set_connected(connected=True, now=0.0)
    talk(session, 0.0, 1.0)
    session.close(1.0)
    last = session.poll_datagram(1.0)
    assert last is not None
    assert Bye([1]) in parse_compound(last)
    assert talk(session, 1.0, 3.0) == []


def test_1_what_does_not_parse_is_dropped_and_counted() -> None:
    session = make_session()
    session.set_connected(connected=True, now=0.0)
    session.handle_datagram(b"\x80\xc8\xff\xff", 0.0)
    session.handle_datagram(b"\x80\x6f", 0.0)
    session.handle_datagram(b"", 0.0)
    stats = session.stats(0.0)
    assert stats.malformed_datagrams == 1
    assert stats.receive.malformed_packets == 2


def test_requests_for_streams_that_are_not_ours_change_nothing() -> None:
    session = make_session()
    session.set_connected(connected=True, now=0.0)
    session.handle_datagram(serialize_compound([PictureLossIndication(9, 77)]), 0.0)
    assert session.stats(0.0).send.streams[0].pli_count == 0


def _mirrored(parameters: SessionParameters) -> SessionParameters:
    return replace(
        parameters, local_ssrc=Ssrc(2), send=(replace(OURS, ssrc=Ssrc(2)),), receive=(OURS,)
    )
