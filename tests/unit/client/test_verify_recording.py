from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ringline.client.verify_recording import inspect_recording
from ringline.media.errors import RecordingError
from ringline.media.synthetic import MovingPicture
from ringline.media.synthetic_voice import Voice

Samples = np.ndarray[tuple[int, ...], np.dtype[np.int16]]


def write(path: Path, *, numbers: list[int] | None = None, sound: Samples | None = None) -> None:
    """Write pictures of these numbers at 25 a second, and sound at 48 kHz."""
    with av.open(str(path), "w") as container:
        track = voice = None  # both before the first frame, as Matroska wants it
        if numbers is not None:
            track = container.add_stream("libvpx", rate=25)
            track.width, track.height, track.pix_fmt = 160, 90, "yuv420p"
            track.bit_rate = 500_000
            track.options = {"deadline": "realtime", "cpu-used": "8"}
        if sound is not None:
            voice = container.add_stream("libopus", rate=48000)
            voice.layout = "mono"
        if track is not None:
            picture = MovingPicture(160, 90, frame_rate=25)
            for index, number in enumerate(numbers or []):
                frame = av.VideoFrame.from_ndarray(picture.draw(number), format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
        if voice is not None and sound is not None:
            for index, block in enumerate(sound.reshape(-1, 960)):
                heard = av.AudioFrame.from_ndarray(block[None, :], format="s16", layout="mono")
                heard.sample_rate = 48000
                heard.pts, heard.time_base = index * 960, Fraction(1, 48000)
                container.mux(voice.encode(heard))
            container.mux(voice.encode(None))


def speech(seconds: int) -> Samples:
    voice = Voice(1)
    return np.concatenate([voice.next_block() for _ in range(seconds * 50)])


def test_moving_picture_and_speech_are_found(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    write(path, numbers=list(range(100)), sound=speech(4))
    facts = inspect_recording(path)
    assert (facts.width, facts.height, facts.frames) == (160, 90, 100)
    assert facts.moving_frames >= 98
    assert 3.9 <= facts.moving_seconds <= 4.0
    assert facts.longest_freeze < 0.1
    assert 3.9 <= facts.duration <= 4.1
    assert 2.0 < facts.sound_seconds < 3.9
    assert facts.sound_seconds < facts.speech_seconds <= 4.0
    assert facts.level_variation > 15


def test_a_frozen_picture_does_not_count_as_moving(tmp_path: Path) -> None:
    path = tmp_path / "freeze.mkv"
    write(path, numbers=[*range(25), *[24] * 50, *range(25, 50)])
    facts = inspect_recording(path)
    assert facts.frames == 100
    assert 1.8 <= facts.moving_seconds <= 2.0
    assert 1.9 <= facts.longest_freeze <= 2.1
    assert (facts.sound_seconds, facts.speech_seconds) == (0.0, 0.0)


def test_a_picture_that_never_changes_is_no_motion(tmp_path: Path) -> None:
    path = tmp_path / "still.mkv"
    write(path, numbers=[7] * 50)
    facts = inspect_recording(path)
    assert (facts.frames, facts.moving_frames, facts.moving_seconds) == (50, 0, 0.0)
    assert facts.longest_freeze > 1.9


def test_a_tone_is_sound_but_no_speech_and_silence_is_neither(tmp_path: Path) -> None:
    tone = (np.sin(np.arange(96000) * 2 * np.pi * 440 / 48000) * 8000).astype(np.int16)
    write(tmp_path / "tone.mkv", sound=tone)
    facts = inspect_recording(tmp_path / "tone.mkv")
    assert 1.9 <= facts.sound_seconds <= 2.02
    assert facts.speech_seconds == 0.0
    assert facts.level_variation < 3
    write(tmp_path / "silence.mkv", sound=np.zeros(96000, np.int16))
    assert inspect_recording(tmp_path / "silence.mkv").sound_seconds == 0.0


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such recording"):
        inspect_recording(tmp_path / "none.mkv")
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no media at all")
    with pytest.raises(RecordingError, match="cannot decode the recording"):
        inspect_recording(broken)
