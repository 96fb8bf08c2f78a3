from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from ringline.client.io_devices import default_camera, default_microphone, open_sources
from ringline.client.source_choice import Origin, SourceChoice
from ringline.media.errors import DeviceError, SourceError
from ringline.media.io_devices import list_devices
from ringline.media.io_synthetic import SyntheticVideo, SyntheticVoice

AUTO = SourceChoice(Origin.AUTO)
NONE = SourceChoice(Origin.NONE)
SYNTHETIC = SourceChoice(Origin.SYNTHETIC)
needs_no_devices = pytest.mark.skipif(
    bool(list_devices("camera") or list_devices("microphone")),
    reason="this machine has a camera or microphone",
)


def write_sound(path: Path) -> SourceChoice:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(96_000))
    return SourceChoice(Origin.FILE, str(path))


def write_silent_film(path: Path) -> SourceChoice:
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libvpx", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), format="yuv420p")
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
    return SourceChoice(Origin.FILE, str(path))


@needs_no_devices
async def test_a_machine_without_devices_sends_something_all_the_same() -> None:
    assert isinstance(default_microphone(), SyntheticVoice)
    assert isinstance(default_camera(), SyntheticVideo)
    sources = open_sources(AUTO, AUTO, name="lab")
    assert isinstance(sources.audio, SyntheticVoice)
    assert isinstance(sources.video, SyntheticVideo)
    assert [note.partition(" here")[0] for note in sources.notes] == ["no camera", "no microphone"]
    await sources.close()


@needs_no_devices
def test_a_device_asked_for_by_its_kind_must_be_there() -> None:
    with pytest.raises(DeviceError, match="no microphone here"):
        open_sources(SourceChoice(Origin.DEVICE), NONE, name="lab")
    with pytest.raises(DeviceError, match="no camera here"):
        open_sources(NONE, SourceChoice(Origin.DEVICE), name="lab")


async def test_nothing_is_opened_for_none() -> None:
    sources = open_sources(NONE, NONE, name="lab")
    assert (sources.audio, sources.video, sources.notes) == (None, None, ())
    await sources.close()


async def test_two_people_do_not_look_alike() -> None:
    pictures = []
    for name in ("lab", "desk", "lab"):
        sources = open_sources(NONE, SYNTHETIC, name=name)
        assert sources.video is not None
        async for frame in sources.video.frames():
            pictures.append(frame.planes)
            break
        await sources.close()
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])


def test_a_film_without_sound_is_played_with_a_voice_and_a_note(tmp_path: Path) -> None:
    film = write_silent_film(tmp_path / "silent.mkv")
    sources = open_sources(film, film, name="lab")
    assert isinstance(sources.audio, SyntheticVoice)
    assert sources.video is not None
    assert sources.video.width == 64
    assert sources.notes == (f"no sound in {film.name}; a synthetic voice speaks instead",)


def test_sound_asked_for_by_name_must_be_in_the_file(tmp_path: Path) -> None:
    film = write_silent_film(tmp_path / "silent.mkv")
    with pytest.raises(SourceError, match="no sound in"):
        open_sources(film, NONE, name="lab")


def test_a_file_without_picture_says_how_to_send_its_sound(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav")
    with pytest.raises(SourceError, match=r"--audio .*a\.wav --video none"):
        open_sources(sound, sound, name="lab")
    assert open_sources(sound, NONE, name="lab").audio is not None
