"""Files are real here, time is not: decoding runs in place and the clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ringline.media.errors import SourceError
from ringline.media.frames import AudioFrame, VideoFrame
from ringline.media.io_file import FileSource
from ringline.media.io_file_inspect import PictureLimits
from ringline.media.source import AudioSource, VideoSource
from ringline.media.synthetic import MovingPicture, read_frame_number

Run = Callable[[Coroutine[Any, Any, None]], None]

SIZE = (320, 180)


class InlineExecutor(Executor):
    """Runs at once, on the calling thread: decoding never waits for this busy machine."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor passes on whatever is raised
            future.set_exception(error)
        return future


def write_film(
    path: Path, *, pictures: int = 0, rate: int = 30, blocks: int = 0, size: tuple[int, int] = SIZE
) -> Path:
    """Write a film: numbered pictures, and in block n of the sound a level that tells n."""
    with av.open(str(path), "w") as container:
        track = voice = None
        if pictures:
            track = container.add_stream("libx264", rate=rate)
            track.width, track.height = size
            track.pix_fmt = "yuv420p"
            track.options = {"preset": "ultrafast", "g": "15"}
        if blocks:
            voice = container.add_stream("pcm_s16le", rate=48000)
            voice.layout = "mono"
        if track is not None:
            picture = MovingPicture(*size, frame_rate=rate)
            for number in range(pictures):
                frame = av.VideoFrame.from_ndarray(picture.draw(number), format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, rate)
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
        if voice is not None:
            for number in range(blocks):
                samples = np.full((1, 960), 100 + number, np.int16)
                heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                heard.sample_rate = 48000
                heard.pts, heard.time_base = number * 960, Fraction(1, 48000)
                container.mux(voice.encode(heard))
            container.mux(voice.encode(None))
    return path


async def see(source: VideoSource, count: int = 10_000) -> list[VideoFrame]:
    seen: list[VideoFrame] = []
    iterator = source.frames()
    async for frame in iterator:
        seen.append(frame)
        if len(seen) == count:
            break
    await iterator.aclose()  # type: ignore[attr-defined] # an async generator, in fact
    return seen


async def hear(source: AudioSource, count: int = 10_000) -> list[AudioFrame]:
    heard: list[AudioFrame] = []
    iterator = source.frames()
    async for frame in iterator:
        heard.append(frame)
        if len(heard) == count:
            break
    await iterator.aclose()  # type: ignore[attr-defined] # an async generator, in fact
    return heard


def numbers(frames: list[VideoFrame]) -> list[int | None]:
    return [read_frame_number(frame.luma) for frame in frames]


def times(frames: list[VideoFrame] | list[AudioFrame]) -> list[float]:
    stamps = [frame.captured_at for frame in frames]
    assert None not in stamps
    return [stamp or 0.0 for stamp in stamps]


def blocks_of(frames: list[AudioFrame]) -> list[int]:
    """Which block of the film each frame is."""
    return [int(np.median(frame.samples)) - 100 for frame in frames]


@pytest.fixture
def inline() -> Iterator[InlineExecutor]:
    with InlineExecutor() as executor:
        yield executor


def test_a_film_plays_in_real_time_and_sound_and_picture_keep_together(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        film = FileSource(
            write_film(tmp_path / "film.mkv", pictures=15, blocks=25), loop=False, executor=inline
        )
        assert (film.has_audio, film.has_video, film.duration) == (True, True, 0.5)
        assert (film.video.width, film.video.height, film.video.frame_rate) == (*SIZE, 30.0)
        seen, heard = await asyncio.gather(see(film.video), hear(film.audio))
        assert numbers(seen) == list(range(15))
        assert blocks_of(heard) == list(range(25))
        assert np.allclose(times(seen), np.arange(15) / 30, atol=0.0011)  # Matroska counts in ms
        assert np.allclose(times(heard), np.arange(25) / 50)
        await film.close()

    run_virtual(main())


def test_the_loop_is_seamless(tmp_path: Path, inline: InlineExecutor, run_virtual: Run) -> None:
    async def main() -> None:
        film = FileSource(
            write_film(tmp_path / "film.mkv", pictures=12, blocks=20), executor=inline
        )
        seen, heard = await asyncio.gather(see(film.video, 30), hear(film.audio, 50))
        assert numbers(seen) == [index % 12 for index in range(30)]
        assert np.allclose(times(seen), np.arange(30) / 30, atol=0.0011)
        assert blocks_of(heard) == [index % 20 for index in range(50)]

    run_virtual(main())


def test_sound_shorter_than_the_picture_is_filled_with_silence(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        film = FileSource(
            write_film(tmp_path / "film.mkv", pictures=12, blocks=10), executor=inline
        )
        heard = await hear(film.audio, 45)
        one_loop = [*range(10), *[-100] * 10]
        assert blocks_of(heard) == [*one_loop, *one_loop, *range(5)]

    run_virtual(main())


def test_who_comes_later_joins_where_the_film_is(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        film = FileSource(
            write_film(tmp_path / "film.mkv", pictures=30, blocks=50), executor=inline
        )
        heard = await hear(film.audio, 20)
        seen = await see(film.video, 1)
        position = times(seen)[0] - times(heard)[0]
        number = numbers(seen)[0]
        assert number is not None
        assert abs(number / 30 - position) < 0.034
        assert number >= 10

    run_virtual(main())


def test_a_late_start_in_a_long_film_seeks(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        film = FileSource(
            write_film(tmp_path / "film.mkv", pictures=180, blocks=300, size=(64, 64)),
            executor=inline,
        )
        first = await hear(film.audio, 1)
        await asyncio.sleep(2.2)  # above the two seconds below which it decodes on from the start
        seen, heard = await asyncio.gather(see(film.video, 3), hear(film.audio, 3))
        for frames, found, rate in (
            (times(seen), numbers(seen), 30),
            (times(heard), blocks_of(heard), 50),
        ):
            assert found[0] is not None
            assert abs(found[0] / rate - (frames[0] - times(first)[0])) < 0.034
        assert blocks_of(heard) == [blocks_of(heard)[0] + step for step in range(3)]

    run_virtual(main())


def test_a_closed_film_ends(tmp_path: Path, inline: InlineExecutor, run_virtual: Run) -> None:
    async def main() -> None:
        film = FileSource(write_film(tmp_path / "film.mkv", pictures=6), executor=inline)
        seen = []
        async for frame in film.video.frames():
            seen.append(frame)
            await film.close()
        assert len(seen) == 1

    run_virtual(main())


def test_a_big_fast_picture_is_brought_down(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        path = write_film(tmp_path / "film.mkv", pictures=20, rate=50, size=(640, 360))
        film = FileSource(
            path,
            loop=False,
            limits=PictureLimits(max_width=320, max_height=320, max_frame_rate=25),
            executor=inline,
        )
        assert (film.video.width, film.video.height, film.video.frame_rate) == (320, 180, 25.0)
        seen = await see(film.video)
        assert {(frame.width, frame.height) for frame in seen} == {(320, 180)}
        assert numbers(seen) == list(range(0, 20, 2))

    run_virtual(main())


def lay_on_its_side(film: Path) -> None:
    """Mark an MP4 as an upright telephone does: to be turned by a quarter, clockwise."""

    def fixed(value: int, bits: int = 16) -> bytes:
        return (value << bits & 0xFFFFFFFF).to_bytes(4, "big")

    data = film.read_bytes()
    header = data.index(b"tkhd")  # ISO/IEC 14496-12, 8.3.2: the matrix of a track
    upright = fixed(1) + bytes(12) + fixed(1) + bytes(12) + fixed(1, 30)
    turned = bytes(4) + fixed(1) + bytes(4) + fixed(-1) + bytes(8)
    turned += fixed(SIZE[1]) + bytes(4) + fixed(1, 30)
    start = data.index(upright, header)
    film.write_bytes(data[:start] + turned + data[start + len(upright) :])


def test_a_film_that_lies_on_its_side_is_turned_upright(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        path = write_film(tmp_path / "film.mp4", pictures=3)
        lay_on_its_side(path)
        seen = await see(FileSource(path, loop=False, executor=inline).video)
        assert [(frame.width, frame.height) for frame in seen] == [(180, 320)] * 3
        lying = [np.rot90(frame.luma) for frame in seen]
        assert [read_frame_number(luma) for luma in lying] == [0, 1, 2]

    run_virtual(main())


def test_a_file_of_one_kind_says_so_when_asked_for_the_other(
    tmp_path: Path, run_virtual: Run
) -> None:
    async def main() -> None:
        sound = FileSource(write_film(tmp_path / "sound.wav", blocks=5))
        assert (sound.has_audio, sound.has_video) == (True, False)
        with pytest.raises(SourceError, match=r"no picture in .*sound\.wav"):
            _ = sound.video
        mute = FileSource(write_film(tmp_path / "mute.mkv", pictures=5))
        with pytest.raises(SourceError, match=r"no sound in .*mute\.mkv"):
            _ = mute.audio

    run_virtual(main())


def test_what_cannot_be_played_is_one_clear_line(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    for path, reason in (
        (tmp_path / "none.mp4", "no such file"),
        (tmp_path, "this is a folder"),
        (text, "not a media file"),
    ):
        with pytest.raises(SourceError, match=reason) as caught:
            FileSource(path)
        assert "\n" not in str(caught.value)


def test_a_codec_without_decoder_is_named_as_the_reason(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv", pictures=3)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/ISO/X"))
    with pytest.raises(SourceError, match="no decoder here for the codec of the picture"):
        FileSource(path)


def test_damage_in_the_middle_does_not_end_the_film(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        path = write_film(tmp_path / "film.mkv", pictures=45)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 400] = bytes(400)
        path.write_bytes(data)
        film = FileSource(path, executor=inline)
        seen = await see(film.video, 60)  # more than one loop
        assert len(seen) == 60

    run_virtual(main())


def test_a_file_that_goes_away_ends_with_an_error(
    tmp_path: Path, inline: InlineExecutor, run_virtual: Run
) -> None:
    async def main() -> None:
        path = write_film(tmp_path / "film.mkv", pictures=6)
        film = FileSource(path, executor=inline)
        path.unlink()
        with pytest.raises(SourceError, match="no such file"):
            await see(film.video, 1)

    run_virtual(main())
