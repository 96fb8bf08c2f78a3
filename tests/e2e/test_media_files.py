"""Files and devices for real: played in real time, recorded and read back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from ringline.client.verify_recording import inspect_recording
from ringline.media.errors import DeviceError, RecordingError
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.io_camera import Camera
from ringline.media.io_devices import DeviceKind, list_devices
from ringline.media.io_display import Display, display_problem
from ringline.media.io_file import FileSource
from ringline.media.io_microphone import Microphone
from ringline.media.io_record import Recorder
from ringline.media.io_record_file import RecordConfig
from ringline.media.io_speaker import Speaker
from ringline.media.synthetic import MovingPicture, read_frame_number
from ringline.media.synthetic_voice import Voice

SIZE = (320, 180)


# Recording


async def record(recorder: Recorder, seconds: float, *, frozen: tuple[float, float]) -> None:
    """Record 30 pictures and 50 blocks a second of an imagined call, as fast as it goes."""
    picture, voice = MovingPicture(*SIZE), Voice(1)
    for block in range(round(seconds * 50)):
        now = 100 + block * 0.02
        recorder.handle_audio_frame(AudioFrame(voice.next_block()), now)
        for number in range(-(-block * 30 // 50), -(-(block + 1) * 30 // 50)):
            if not frozen[0] <= number / 30 < frozen[1]:
                recorder.handle_video_frame(VideoFrame(picture.draw(number)), 100 + number / 30)


def no_limits() -> RecordConfig:
    """These tests feed a recorder faster than real time."""
    return RecordConfig(max_pictures=10_000, max_sounds=10_000)


async def test_a_recording_can_be_played_to_the_next_call(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", config=no_limits())
    await record(recorder, 1.0, frozen=(9, 9))
    await recorder.close()
    film = FileSource(tmp_path / "call.mkv", loop=False)

    async def see() -> list[VideoFrame]:
        return [frame async for frame in film.video.frames()]

    async def hear() -> list[AudioFrame]:
        return [frame async for frame in film.audio.frames()]

    seen, heard = await asyncio.gather(see(), hear())
    numbers = [read_frame_number(frame.luma) for frame in seen]
    assert None not in numbers
    assert numbers == sorted(set(numbers), key=lambda number: number or 0)  # none came twice
    assert len(numbers) > 15  # a machine too busy for all of them may skip some
    assert 25 < len(heard) <= 51
    await film.close()


async def test_a_recording_holds_what_was_seen_and_heard_and_its_freeze(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    recorder = Recorder(path, config=no_limits())
    await record(recorder, 4.0, frozen=(1.5, 2.5))
    await recorder.close()
    await recorder.close()
    facts = inspect_recording(path)
    assert (facts.width, facts.height, facts.frames) == (640, 360, 90)
    assert 3.95 <= facts.duration <= 4.1
    assert 2.9 <= facts.moving_seconds <= 3.0
    assert 0.95 <= facts.longest_freeze <= 1.1
    assert facts.speech_seconds > 2.5
    with av.open(str(path)) as container:
        stamps = [(frame.time or 0.0, frame) for frame in container.decode(video=0)]
        first, start = (
            read_frame_number(stamps[0][1].to_ndarray()[:360].astype(np.uint8)),
            stamps[0][0],
        )
        assert first == 0
        for time, frame in stamps:
            number = read_frame_number(frame.to_ndarray()[:360].astype(np.uint8))
            assert number is not None
            assert abs(time - start - number / 30) < 0.002
    with av.open(str(path)) as container:
        spans = [
            (sound.time or 0.0, sound.samples / sound.sample_rate)
            for sound in container.decode(audio=0)
        ]
    ends = [time + length for time, length in spans]
    holes = [start - end for (start, _), end in zip(spans[1:], ends, strict=False)]
    assert max(map(abs, holes)) < 0.002  # Matroska counts in ms


async def test_a_freeze_at_the_end_is_held_to_the_end(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", config=no_limits())
    await record(recorder, 2.0, frozen=(1.0, 2.0))
    await recorder.close()
    facts = inspect_recording(tmp_path / "call.mkv")
    assert facts.frames == 31
    assert facts.longest_freeze > 0.9


async def test_pictures_of_other_sizes_are_scaled_to_the_first(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv")
    for number, (width, height) in enumerate([(160, 90), (640, 360), (360, 640), (320, 180)]):
        planes = MovingPicture(width, height).draw(number)
        recorder.handle_video_frame(VideoFrame(planes), number / 10)
    await recorder.close()
    with av.open(str(tmp_path / "call.mkv")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(540, 640)] * 4
    assert [read_frame_number(frames[n][:360].astype(np.uint8)) for n in (0, 1, 3)] == [0, 1, 3]
    assert frames[2][:360, :200].mean() < 25  # upright in a wide frame: black at the sides


async def test_a_recording_without_pictures_is_sound_alone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", video=False)
    recorder.handle_video_frame(VideoFrame(MovingPicture(64, 64).draw(0)), 0.0)
    for block in range(50):
        recorder.handle_audio_frame(AudioFrame(np.full(960, 3000, np.int16)), block * 0.02)
    await recorder.close()
    with av.open(str(tmp_path / "call.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


async def test_a_picture_that_comes_late_in_a_call_has_a_track(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", config=RecordConfig(patience=0.5))
    for block in range(100):
        recorder.handle_audio_frame(AudioFrame(np.full(960, block, np.int16)), block * 0.02)
    picture = MovingPicture(*SIZE)
    for number in range(5):
        recorder.handle_video_frame(VideoFrame(picture.draw(number)), 2 + number / 30)
    await recorder.close()
    facts = inspect_recording(tmp_path / "call.mkv")
    assert (facts.width, facts.height, facts.frames) == (640, 360, 5)


async def test_a_recording_that_is_cut_off_still_plays(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    recorder = Recorder(path, config=no_limits())
    await record(recorder, 5.0, frozen=(9, 9))
    while recorder.waiting:  # noqa: ASYNC110 - its thread has nobody to tell
        await asyncio.sleep(0.02)
    shutil.copy(path, tmp_path / "cut.mkv")
    await recorder.close()
    facts = inspect_recording(tmp_path / "cut.mkv")
    assert facts.moving_seconds > 3.0
    assert facts.sound_seconds > 1.5


async def test_a_full_recorder_drops_pictures_and_never_blocks(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", config=RecordConfig(max_pictures=3))
    planes = MovingPicture(1280, 720).draw(0)
    for number in range(60):
        recorder.handle_video_frame(VideoFrame(planes), number / 30)
    assert recorder.dropped_pictures > 0
    await recorder.close()
    assert inspect_recording(tmp_path / "call.mkv").frames == 60 - recorder.dropped_pictures


async def test_a_recording_that_cannot_be_written_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file or directory"):
        Recorder(tmp_path / "nowhere" / "call.mkv")
    with pytest.raises(RecordingError, match="directory"):
        Recorder(tmp_path)


async def test_a_recording_of_nothing_leaves_no_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv")
    with pytest.raises(RecordingError, match="no frame ever came"):
        await recorder.close()
    assert not (tmp_path / "call.mkv").exists()


# Devices


def test_devices_are_listed_without_failing() -> None:
    kinds: list[DeviceKind] = ["camera", "microphone", "speaker"]
    for kind in kinds:
        assert all(device.kind == kind and device.name for device in list_devices(kind))


async def test_a_missing_device_is_one_clear_line() -> None:
    devices: list[tuple[DeviceKind, Callable[[], object]]] = [
        ("camera", Camera),
        ("microphone", Microphone),
        ("speaker", Speaker),
    ]
    for kind, make in devices:
        if not list_devices(kind):
            with pytest.raises(DeviceError, match=f"no {kind} here"):
                make()


async def test_a_camera_that_is_not_there_fails_at_the_first_frame() -> None:
    camera = Camera("/dev/no-such-camera")
    with pytest.raises(DeviceError, match="camera /dev/no-such-camera stopped"):
        await anext(camera.frames())
    await camera.close()


def test_no_window_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    problem = display_problem()
    if problem is None:
        pytest.skip("windows need no DISPLAY on this system")
    with pytest.raises(DeviceError, match="no window here"):
        Display()


@pytest.mark.skipif(
    not Path("/usr/share/alsa/alsa.conf").exists(), reason="no ALSA configuration on this system"
)
async def test_alsas_null_device_can_be_heard_and_played_to() -> None:
    microphone = Microphone("null")
    shapes = []
    async for heard in microphone.frames():
        shapes.append(heard.samples.shape)
        if len(shapes) == 3:
            break
    await microphone.close()
    assert shapes == [(960,)] * 3
    speaker = Speaker("null")
    for _ in range(5):
        speaker.handle_audio_frame(AudioFrame(np.zeros(960, np.int16)), 0.0)
    await speaker.close()
    assert (speaker.played, speaker.dropped) == (5, 0)
