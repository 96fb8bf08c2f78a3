"""What happens to a call besides the network."""

from __future__ import annotations

import numpy as np
import pytest

from ringline.media.codecs import CodecRegistry
from ringline.media.frames import AudioFrame, Kind
from ringline.media.simulate import CallConfig, SimulatedCall, find_network
from ringline.media.synthetic import MovingPicture

KINDS: tuple[Kind, ...] = ("audio", "video")


def simulate(network: str, *, seed: int = 1, until: float = 0.0) -> SimulatedCall:
    call = SimulatedCall(find_network(network), seed=seed)
    call.run(until=until)
    return call


def set_muted(call: SimulatedCall, kind: Kind, *, muted: bool) -> None:
    call.session(call.a).set_muted(kind, muted, call.simulation.now)
    call.a.drain()


def set_connected(call: SimulatedCall, *, connected: bool) -> None:
    for node in (call.a, call.b):
        call.session(node).set_connected(connected, call.simulation.now)
        node.drain()


def test_one_seed_is_one_call_to_the_last_bit() -> None:
    first, again, other = (simulate("g3", seed=seed, until=6.0) for seed in (5, 5, 6))
    assert first.observe(0.0) == again.observe(0.0)
    assert first.up.stats == again.up.stats
    assert first.observe(0.0) != other.observe(0.0)


def test_a_muted_microphone_is_not_heard_and_comes_back_at_once() -> None:
    call = simulate("clean", until=3.0)
    set_muted(call, "audio", muted=True)
    call.run(until=6.0)
    set_muted(call, "audio", muted=False)
    call.run(until=9.0)
    assert call.a_to_b.observe(3.5, 6.0).sound_delay_p50 is None
    assert call.a_to_b.sound_after(6.0, within=0.3) is not None
    assert call.a_to_b.observe(3.0, 9.0).freezes == 0


def test_a_covered_camera_is_not_seen_and_comes_back_at_once() -> None:
    call = simulate("clean", until=3.0)
    set_muted(call, "video", muted=True)
    call.run(until=6.0)
    set_muted(call, "video", muted=False)
    call.run(until=9.0)
    hidden = call.a_to_b.observe(3.5, 6.0)
    assert hidden.frames_per_second == 0
    assert hidden.concealed_ms_per_minute == 0
    assert call.a_to_b.picture_after(6.0, within=0.3) is not None


def test_a_minute_of_mute_leaves_nothing_behind() -> None:
    """Not old sound, not a long jitter buffer, not a rate that was forgotten."""
    call = simulate("loss5", until=8.0)
    before = call.a_to_b.observe(5.0, 8.0)
    for kind in KINDS:
        set_muted(call, kind, muted=True)
    call.run(until=68.0)
    for kind in KINDS:
        set_muted(call, kind, muted=False)
    call.run(until=74.0)
    muted = call.a_to_b.observe(9.0, 68.0)
    assert muted.frames_per_second == 0
    assert muted.sound_delay_p50 is None
    assert call.a_to_b.sound_after(68.0, within=0.4) is not None
    assert call.a_to_b.picture_after(68.0, within=0.6) is not None
    after = call.a_to_b.observe(70.0, 74.0)
    assert after.bitrate > 0.5 * before.bitrate
    assert after.frames_per_second > 27
    assert after.sound_delay_p95 is not None
    assert before.sound_delay_p95 is not None
    assert after.sound_delay_p95 < before.sound_delay_p95 + 0.1
    assert call.b_to_a.observe(9.0, 68.0).silent_gaps == 0


def test_a_path_that_is_known_to_be_gone_carries_nothing() -> None:
    call = simulate("clean", until=5.0)
    set_connected(call, connected=False)
    call.run(until=5.1)
    sent = call.up.stats.handled
    call.run(until=8.0)
    assert call.up.stats.handled == sent
    set_connected(call, connected=True)
    call.run(until=12.0)
    for seen in (call.a_to_b, call.b_to_a):
        assert seen.picture_after(8.0, within=0.5) is not None
        assert seen.sound_after(8.0, within=0.5) is not None
    for observed in call.observe(9.0):
        assert (observed.freezes, observed.silent_gaps) == (0, 0)


def test_a_call_of_voices_alone_works() -> None:
    config = CallConfig(video=False, answering_video=False)
    call = SimulatedCall(find_network("loss5"), seed=1, config=config)
    call.run(until=60.0)
    for seen in call.observe(1.0):
        assert seen.frames_per_second == 0
        assert seen.silent_gaps == 0
        assert seen.concealed_ms_per_minute < 2000


def test_small_pictures_at_a_low_rate_are_fine_too() -> None:
    config = CallConfig(width=320, height=240, frame_rate=15.0)
    call = SimulatedCall(find_network("clean"), seed=1, config=config)
    call.run(until=10.0)
    for seen in call.observe(2.0):
        assert 14.5 < seen.frames_per_second < 15.5
        assert seen.freezes == 0


def test_real_codecs_carry_pictures_and_sounds_of_ones_own() -> None:
    codecs = CodecRegistry()
    tone = (np.sin(np.arange(960) * (2 * np.pi * 400 / 48_000)) * 9_000).astype(np.int16)
    config = CallConfig(
        width=320,
        height=180,
        answering_video=False,
        codecs=lambda _: codecs,
        pictures=MovingPicture(320, 180).draw,
        sounds=lambda _: tone,
    )
    call = SimulatedCall(find_network("clean"), seed=1, config=config)
    heard: list[AudioFrame] = []
    call.b.on_audio = lambda frame, _: heard.append(frame)
    call.run(until=3.0)
    seen, _ = call.observe(1.0)
    assert seen.frames_per_second == pytest.approx(30, abs=0.5)
    assert seen.picture_delay_p95 is not None
    assert seen.picture_delay_p95 < 0.06
    loudness = float(np.sqrt(np.mean(np.square(heard[-1].samples, dtype=np.float64))))
    assert loudness == pytest.approx(9_000 / np.sqrt(2), rel=0.1)


def test_the_observer_knows_when_a_picture_was_sent() -> None:
    call = simulate("clean", until=1.0)
    sent = [call.a_to_b.sent_at(number) for number in (3, 4)]
    assert sent[0] is not None
    assert sent[1] is not None
    assert sent[1] - sent[0] == pytest.approx(1 / 30)
    assert call.a_to_b.sent_at(40) is None
