"""The pipeline around the real encoders: what leaves decodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ringline.media.codecs.registry import CodecRegistry
from ringline.media.rtp.rtcp import PictureLossIndication
from ringline.media.rtp.vp8 import Vp8Descriptor

AUDIO, VIDEO = 0xA, 0xB


@pytest.fixture(scope="module")
def codecs() -> CodecRegistry:
    return CodecRegistry()


def frames(call: Any) -> list[bytes]:
    """VP8 frames as they arrived, over a link that loses nothing."""
    out: list[bytearray] = []
    for _, packet in call.received:
        if packet.ssrc == VIDEO:
            descriptor, length = Vp8Descriptor.parse(packet.payload)
            if descriptor.start:
                out.append(bytearray())
            out[-1] += packet.payload[length:]
    return [bytes(frame) for frame in out]


def test_what_leaves_decodes_and_follows_the_rate(virtual_call: Any, codecs: CodecRegistry) -> None:
    call = virtual_call(up="rate=400,delay=30;4:rate=150", codecs=codecs, size=(320, 180))
    rng = np.random.default_rng(5)
    base = rng.integers(60, 190, (27, 32)).astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    call._picture = base
    call._sound = (8_000 * np.sin(np.arange(960) / 20)).astype(np.int16)
    call.connect()
    for step in range(80):  # a picture that moves
        call._picture = np.ascontiguousarray(np.roll(base, step * 2, axis=1))
        call.run((step + 1) / 10)
    call.pipeline.handle_rtcp(PictureLossIndication(1, VIDEO), call.now)
    call.run(9.0)
    decoder = codecs.video_decoder("VP8")
    sizes = [picture.shape for frame in frames(call) for picture in decoder.decode(frame)]
    assert len(sizes) > 100
    assert sizes[0] == (270, 320)
    audio = codecs.audio_decoder("opus")
    heard = [audio.decode(packet.payload) for _, packet in call.received if packet.ssrc == AUDIO]
    assert sum(map(len, heard)) > 430 * 960
    assert {len(samples) for samples in heard} == {960, 1_920}  # longer ones on the thinner link
    assert min(np.abs(samples).max() for samples in heard[5:]) > 4_000
    video = call.pipeline.stats(call.now).streams[1]
    assert video.key_frames_encoded <= 4  # the first, the one asked for, changes of size
    assert call.mean_queue(6, 9) < 0.15
