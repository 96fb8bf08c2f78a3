from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ringline.client.description import (
    Codec,
    Description,
    Fingerprint,
    MediaSection,
    TransportDescription,
)
from ringline.client.errors import NegotiationError
from ringline.client.negotiate import LocalMedia, accept_answer, make_answer, make_offer
from ringline.client.sdp import format_sdp, parse_sdp
from ringline.media.rtp.header_extensions import URIS

CALLER = LocalMedia.generate(random.Random(1).randbytes)
CALLEE = LocalMedia.generate(random.Random(2).randbytes)
TRANSPORT = TransportDescription(
    ufrag="abcd",
    password="x" * 22,
    fingerprints=(Fingerprint(algorithm="sha-256", value="AA:BB"),),
    setup="actpass",
)


def test_two_of_us_settle_on_everything_both_ways() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, callee = make_answer(offer, CALLEE, TRANSPORT)
    caller = accept_answer(offer, answer, CALLER)

    assert [stream.kind for stream in caller.send] == ["audio", "video"]
    assert caller.send == callee.receive
    assert callee.send == caller.receive
    assert caller.extension_ids == callee.extension_ids
    assert None not in (
        caller.extension_ids.mid,
        caller.extension_ids.audio_level,
        caller.extension_ids.absolute_send_time,
        caller.extension_ids.transport_sequence_number,
    )
    audio, video = caller.send
    assert (audio.ssrc, video.ssrc, video.rtx_ssrc) == (
        CALLER.audio_ssrc,
        CALLER.video_ssrc,
        CALLER.video_rtx_ssrc,
    )
    assert audio.in_band_fec
    assert audio.red_payload_type == 63
    assert audio.transport_cc
    assert video.nack
    assert video.pli
    assert video.rpsi
    assert video.transport_cc
    assert (video.red_payload_type, video.red_rtx_payload_type, video.ulpfec_payload_type) == (
        118,
        119,
        120,
    )


def test_the_answerer_begins_the_dtls_handshake() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    assert (offer.transport.setup, answer.transport.setup) == ("actpass", "active")


def test_an_offerer_that_wants_to_begin_the_handshake_may() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    offer = replace(offer, transport=replace(TRANSPORT, setup="active"))
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    assert answer.transport.setup == "passive"


def foreign_offer(*sections: MediaSection) -> Description:
    return Description(type="offer", transport=TRANSPORT, sections=sections)


def test_the_offerers_numbers_are_used() -> None:
    offer = foreign_offer(
        MediaSection(
            kind="video",
            mid="v",
            codecs=(
                Codec(payload_type=45, name="AV1", clock_rate=90_000),
                Codec(payload_type=120, name="vp8", clock_rate=90_000, feedback=("nack",)),
                Codec(payload_type=124, name="rtx", clock_rate=90_000, parameters={"apt": 120}),
            ),
            extensions={"urn:ietf:params:rtp-hdrext:sdes:mid": 9, "urn:unknown": 1},
            ssrc=7,
        )
    )
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert [codec.payload_type for codec in answer.sections[0].codecs] == [120, 124]
    assert answer.sections[0].codecs[0].feedback == ("nack",)
    assert answer.sections[0].extensions == {"urn:ietf:params:rtp-hdrext:sdes:mid": 9}
    (stream,) = settled.receive
    assert (stream.payload_type, stream.rtx_payload_type, stream.ssrc) == (120, 124, 7)
    assert settled.extension_ids.mid == 9
    assert settled.extension_ids.transport_sequence_number is None
    assert not stream.transport_cc
    assert not stream.rpsi


def test_others_are_told_how_long_to_hold_pictures_but_not_our_own_peers() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    uri = URIS["playout_delay"]
    assert uri in offer.sections[1].extensions
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert uri not in answer.sections[1].extensions
    assert settled.extension_ids.playout_delay is None
    assert accept_answer(offer, answer, CALLER).extension_ids.playout_delay is None

    video = offer.sections[1]
    codecs = tuple(codec for codec in video.codecs if codec.name != "ringline-rlc")
    browser = foreign_offer(replace(video, codecs=codecs, extensions={uri: 12}))
    answer, settled = make_answer(browser, CALLEE, TRANSPORT)
    assert answer.sections[0].extensions == {uri: 12}
    assert settled.extension_ids.playout_delay == 12


OPUS = Codec(payload_type=109, name="opus", clock_rate=48_000, channels=2)


def red(payload_type: int, held: str | None) -> Codec:
    parameters: dict[str, int | str | None] = {} if held is None else {held: None}
    return Codec(
        payload_type=payload_type,
        name="red",
        clock_rate=48_000,
        channels=2,
        parameters=parameters,
    )


def test_red_is_answered_before_opus_wherever_it_was_offered() -> None:
    # A browser offers Opus first, and sends what the answer has first.
    offer = foreign_offer(MediaSection(kind="audio", mid="a", codecs=(OPUS, red(70, "109/109"))))
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert [codec.payload_type for codec in answer.sections[0].codecs] == [70, 109]
    (stream,) = settled.send
    assert (stream.payload_type, stream.red_payload_type) == (109, 70)


@pytest.mark.parametrize("held", ["8/8", "109/8", None, ""])
def test_red_of_something_else_is_not_answered(held: str | None) -> None:
    offer = foreign_offer(MediaSection(kind="audio", mid="a", codecs=(red(70, held), OPUS)))
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert [codec.payload_type for codec in answer.sections[0].codecs] == [109]
    assert settled.send[0].red_payload_type is None


VP8 = Codec(payload_type=100, name="VP8", clock_rate=90_000, feedback=("nack",))
RTX = Codec(payload_type=101, name="rtx", clock_rate=90_000, parameters={"apt": 100})
PICTURE_RED = Codec(payload_type=102, name="red", clock_rate=90_000)
RED_RTX = Codec(payload_type=103, name="rtx", clock_rate=90_000, parameters={"apt": 102})
ULPFEC = Codec(payload_type=104, name="ulpfec", clock_rate=90_000)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ((VP8, RTX, PICTURE_RED, RED_RTX, ULPFEC), (100, 101, 102, 103, 104)),
        ((VP8, RTX, ULPFEC, PICTURE_RED), (100, 101, 102, 104)),
        ((VP8, RTX, PICTURE_RED, RED_RTX), (100, 101)),
        ((VP8, RTX, ULPFEC), (100, 101)),
    ],
)
def test_parity_of_pictures_is_answered_where_red_and_ulpfec_are_offered(
    offered: tuple[Codec, ...], answered: tuple[int, ...]
) -> None:
    offer = foreign_offer(MediaSection(kind="video", mid="v", codecs=offered))
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert tuple(codec.payload_type for codec in answer.sections[0].codecs) == answered
    (stream,) = settled.send
    assert (stream.payload_type, stream.rtx_payload_type) == (100, 101)
    assert stream.red_payload_type == (102 if 104 in answered else None)
    assert stream.red_rtx_payload_type == (103 if 103 in answered else None)
    assert stream.ulpfec_payload_type == (104 if 104 in answered else None)


def test_who_leaves_parity_out_of_the_answer_gets_plain_pictures() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    sound, picture, data = answer.sections
    plain = replace(picture, codecs=tuple(c for c in picture.codecs if c.name != "ulpfec"))
    answer = replace(answer, sections=(sound, plain, data))
    _, video = accept_answer(offer, answer, CALLER).send
    assert (video.red_payload_type, video.ulpfec_payload_type) == (None, None)
    assert (video.payload_type, video.rtx_payload_type) == (96, 97)


def test_who_leaves_red_out_of_the_answer_gets_plain_opus() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    sound = answer.sections[0]
    plain = replace(sound, codecs=tuple(c for c in sound.codecs if c.name == "opus"))
    answer = replace(answer, sections=(plain, *answer.sections[1:]))
    settled = accept_answer(offer, answer, CALLER)
    assert settled.send[0].red_payload_type is None
    assert settled.send[0].payload_type == 111


@pytest.mark.parametrize(
    ("packet_time", "max_packet_time", "expected"),
    [
        (None, None, (20, 40, 60)),
        (None, 40, (20, 40)),
        (None, 10, (20,)),
        (40, None, (40,)),
        (60, 40, (20, 40)),
        (30, 120, (20, 40, 60)),
    ],
)
def test_packets_are_as_long_as_their_receiver_wants(
    packet_time: int | None, max_packet_time: int | None, expected: tuple[int, ...]
) -> None:
    sound = MediaSection(
        kind="audio",
        mid="a",
        codecs=(OPUS,),
        packet_time=packet_time,
        max_packet_time=max_packet_time,
    )
    _, settled = make_answer(foreign_offer(sound), CALLEE, TRANSPORT)
    assert settled.send[0].packet_times == expected
    assert settled.receive[0].packet_times == (20, 40, 60)


def test_silence_is_left_out_for_who_wants_that() -> None:
    wants = replace(OPUS, parameters={"usedtx": 1})
    for codec, expected in ((OPUS, False), (wants, True)):
        offer = foreign_offer(MediaSection(kind="audio", mid="a", codecs=(codec,)))
        _, settled = make_answer(offer, CALLEE, TRANSPORT)
        assert settled.send[0].dtx is expected
        assert not settled.receive[0].dtx


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("a=ptime:40\r\na=maxptime:60\r\n", (40, 60)),
        ("a=maxptime:20\r\n", (None, 20)),
        ("a=ptime:0\r\na=maxptime:99999\r\n", (None, None)),
        ("a=ptime:twenty\r\na=xmaxptime:20\r\n", (None, None)),
    ],
)
def test_packet_times_are_read_from_their_own_section(
    lines: str, expected: tuple[int | None, int | None]
) -> None:
    text = format_sdp(make_offer(CALLER, TRANSPORT))
    text = text.replace("a=mid:0\r\n", "a=mid:0\r\n" + lines)
    sound, picture, _ = parse_sdp(text, "offer").sections
    assert (sound.packet_time, sound.max_packet_time) == expected
    assert (picture.packet_time, picture.max_packet_time) == (None, None)


def test_what_we_cannot_speak_is_rejected_in_its_place() -> None:
    opus = Codec(payload_type=111, name="opus", clock_rate=48_000, channels=2)
    offer = foreign_offer(
        MediaSection(
            kind="video",
            mid="0",
            codecs=(Codec(payload_type=99, name="H264", clock_rate=90_000),),
        ),
        MediaSection(kind="audio", mid="1", codecs=(opus,)),
        MediaSection(kind="audio", mid="2", codecs=(opus,)),
        MediaSection(kind="application", mid="3"),
    )
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert [(s.mid, s.rejected) for s in answer.sections] == [
        ("0", True),
        ("1", False),
        ("2", True),
        ("3", True),
    ]
    assert [stream.mid for stream in settled.send] == ["1"]


def test_no_codec_in_common_is_an_error_that_names_theirs() -> None:
    offer = foreign_offer(
        MediaSection(
            kind="audio",
            mid="0",
            codecs=(Codec(payload_type=0, name="PCMU", clock_rate=8000),),
        )
    )
    with pytest.raises(NegotiationError, match="PCMU"):
        make_answer(offer, CALLEE, TRANSPORT)


def test_a_side_that_only_sends_is_only_received() -> None:
    opus = Codec(payload_type=111, name="opus", clock_rate=48_000, channels=2)
    offer = foreign_offer(MediaSection(kind="audio", mid="0", codecs=(opus,), direction="sendonly"))
    answer, settled = make_answer(offer, CALLEE, TRANSPORT)
    assert answer.sections[0].direction == "recvonly"
    assert settled.send == ()
    assert len(settled.receive) == 1


def test_an_answer_that_rejects_the_picture_leaves_the_sound() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    audio, video, data = answer.sections
    answer = replace(answer, sections=(audio, replace(video, rejected=True), data))
    settled = accept_answer(offer, answer, CALLER)
    assert [stream.kind for stream in settled.send] == ["audio"]


def test_an_answer_that_is_none_is_refused() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    with pytest.raises(NegotiationError, match="sections"):
        accept_answer(offer, replace(answer, sections=answer.sections[:1]), CALLER)
    open_role = replace(answer, transport=replace(answer.transport, setup="actpass"))
    with pytest.raises(NegotiationError, match="actpass"):
        accept_answer(offer, open_role, CALLER)
    nothing = tuple(replace(section, rejected=True) for section in answer.sections)
    with pytest.raises(NegotiationError, match="neither"):
        accept_answer(offer, replace(answer, sections=nothing), CALLER)


def test_two_of_us_agree_on_repair_packets_also_through_text() -> None:
    offer = parse_sdp(format_sdp(make_offer(CALLER, TRANSPORT)), "offer")
    answer, callee = make_answer(offer, CALLEE, TRANSPORT)
    caller = accept_answer(offer, parse_sdp(format_sdp(answer), "answer"), CALLER)
    ours, theirs = caller.send[1], caller.receive[1]
    assert (ours.repair_payload_type, ours.repair_ssrc) == (107, CALLER.video_repair_ssrc)
    assert (theirs.repair_payload_type, theirs.repair_ssrc) == (107, CALLEE.video_repair_ssrc)
    assert (callee.send[1], callee.receive[1]) == (theirs, ours)


def test_a_peer_that_does_not_answer_our_code_gets_no_repair_packets() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    answer, _ = make_answer(offer, CALLEE, TRANSPORT)
    video = answer.sections[1]
    browser = replace(video, codecs=video.codecs[:2])  # a stray group of SSRCs means nothing
    sections = (answer.sections[0], browser, answer.sections[2])
    settled = accept_answer(offer, replace(answer, sections=sections), CALLER)
    for stream in (settled.send[1], settled.receive[1]):
        assert stream.rtx_payload_type == 97
        assert (stream.repair_payload_type, stream.repair_ssrc) == (None, None)


def test_a_peer_that_does_not_offer_our_code_is_not_answered_it() -> None:
    offer = make_offer(CALLER, TRANSPORT)
    video = offer.sections[1]
    foreign = replace(video, codecs=video.codecs[:2], repair_ssrc=None)
    sections = (offer.sections[0], foreign, offer.sections[2])
    answer, settled = make_answer(replace(offer, sections=sections), CALLEE, TRANSPORT)
    assert [codec.name for codec in answer.sections[1].codecs] == ["VP8", "rtx"]
    assert answer.sections[1].repair_ssrc is None
    assert settled.send[1].repair_ssrc is None


def test_repair_packets_of_another_stream_are_none_of_ours() -> None:
    text = format_sdp(make_offer(CALLER, TRANSPORT))
    group = f"FEC-FR {CALLER.video_ssrc} "
    assert group in text
    read = parse_sdp(text.replace(group, "FEC-FR 4242 "), "offer")
    assert read.sections[1].repair_ssrc is None
    assert read.sections[1].rtx_ssrc == CALLER.video_rtx_ssrc


def test_streams_have_different_numbers() -> None:
    local = LocalMedia.generate(lambda n: b"\x01" * n if n != 4 else next(answers))
    ssrcs = (local.audio_ssrc, local.video_ssrc, local.video_rtx_ssrc, local.video_repair_ssrc)
    assert ssrcs == (1, 2, 3, 4)


answers = iter([b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3", b"\0\0\0\4"])
