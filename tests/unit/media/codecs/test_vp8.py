from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from ringline.media.codecs.libvpx import Libvpx
from ringline.media.codecs.shared_library import find_libraries
from ringline.media.codecs.video_codec import Reference, Vp8Config
from ringline.media.codecs.vp8 import Vp8Decoder, Vp8Encoder
from ringline.media.errors import CodecError
from ringline.media.frames import EncodedPicture

Planes = NDArray[np.uint8]
Picture = Callable[[int], Planes]
MakeScene = Callable[..., Picture]
Psnr = Callable[[Planes, Planes], float]

FRAME = 3_000  # 1/30 s


@pytest.fixture(scope="module")
def libvpx() -> Libvpx:
    libraries = find_libraries("vpx", {})
    if not libraries:
        pytest.skip("neither PyAV's wheel nor the system has a libvpx")
    return Libvpx(libraries[0])


class Sender:
    """An encoder with a clock of 30 frames a second."""

    def __init__(self, config: Vp8Config, libvpx: Libvpx) -> None:
        self.encoder = Vp8Encoder(config, libvpx)
        self.count = 0

    def send(
        self, planes: Planes, *, key: bool = False, reference: Reference = Reference.LAST
    ) -> EncodedPicture:
        self.count += 1
        frame = self.encoder.encode(
            planes,
            media_time=self.count * FRAME,
            duration=FRAME,
            force_key=key,
            reference=reference,
        )
        assert frame is not None
        return frame

    def send_second(self, picture: Picture) -> list[EncodedPicture]:
        return [self.send(picture(self.count)) for _ in range(30)]


def kilobits(frames: list[EncodedPicture]) -> float:
    return sum(len(frame.data) for frame in frames) * 8 / 1000


def test_what_goes_in_comes_out(libvpx: Libvpx, make_scene: MakeScene, psnr: Psnr) -> None:
    picture = make_scene(320, 240)
    sender, decoder = Sender(Vp8Config(width=320, height=240), libvpx), Vp8Decoder(libvpx)
    shown = planes = picture(0)
    for number in range(30):
        planes = picture(number)
        frame = sender.send(planes)
        assert (frame.key, frame.width, frame.height) == (number == 0, 320, 240)
        (shown,) = decoder.decode(frame.data)
        assert shown.shape == planes.shape
        assert shown.flags.c_contiguous
        assert shown.flags.writeable
    assert psnr(shown, planes) > 37
    assert abs(shown[240:].astype(int) - planes[240:]).mean() < 2  # colours are where they were


def test_the_rate_changes_live_and_without_a_key_frame(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(640, 360)
    sender = Sender(Vp8Config(width=640, height=360, bitrate=800_000), libvpx)
    frames = [sender.send_second(picture) for _ in range(3)]
    assert kilobits(frames[-1]) == pytest.approx(800, rel=0.2)
    sender.encoder.set_bitrate(150_000)
    low = [sender.send_second(picture) for _ in range(3)]
    assert [round(kilobits(second)) for second in low] == pytest.approx([150] * 3, rel=0.2)
    sender.encoder.set_bitrate(800_000)
    high = [sender.send_second(picture) for _ in range(3)]
    assert kilobits(high[-1]) == pytest.approx(800, rel=0.2)
    every = [frame for second in frames + low + high for frame in second]
    assert [number for number, frame in enumerate(every) if frame.key] == [0]


def test_the_quantizer_tells_a_rate_too_low(libvpx: Libvpx, make_scene: MakeScene) -> None:
    picture = make_scene(320, 240)
    last = []
    for bitrate in (1_000_000, 30_000):
        sender = Sender(Vp8Config(width=320, height=240, bitrate=bitrate), libvpx)
        last.append(sender.send_second(picture)[-1].quantizer)
    fine, coarse = last
    assert fine is not None
    assert coarse is not None
    assert 0 <= fine < 30
    assert 80 < coarse <= 127


def test_a_key_frame_comes_when_asked_for_and_stays_small(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(640, 360)
    sender = Sender(Vp8Config(width=640, height=360, bitrate=500_000), libvpx)
    before = [sender.send_second(picture) for _ in range(2)][-1]
    frame = sender.send(picture(60), key=True)
    after = sender.send_second(picture)
    assert frame.key
    assert not any(frame.key for frame in after)
    assert len(frame.data) < 4.5 * sum(len(frame.data) for frame in before) / 30


def test_a_cut_to_another_scene_makes_no_key_frame(libvpx: Libvpx, make_scene: MakeScene) -> None:
    one, other = make_scene(320, 240, 1), make_scene(320, 240, 2)
    sender = Sender(Vp8Config(width=320, height=240), libvpx)
    keys = [sender.send((one if number < 5 else other)(number)).key for number in range(10)]
    assert keys == [True] + [False] * 9


@pytest.mark.parametrize("golden_at", [0, 10])
@pytest.mark.parametrize(
    ("refresh", "only"),
    [
        (Reference.REFRESH_GOLDEN, Reference.GOLDEN_ONLY),
        (Reference.REFRESH_ALTERNATE, Reference.ALTERNATE_ONLY),
    ],
)
def test_a_frame_from_a_kept_picture_alone_heals_a_loss_exactly(
    libvpx: Libvpx, make_scene: MakeScene, golden_at: int, refresh: Reference, only: Reference
) -> None:
    picture = make_scene(320, 240)
    sender = Sender(Vp8Config(width=320, height=240), libvpx)
    whole, lossy = Vp8Decoder(libvpx), Vp8Decoder(libvpx)
    same = []
    for number in range(30):
        reference = Reference.LAST
        if number == golden_at:
            reference = refresh  # at 0 the key frame is kept by itself
        elif number == 22:
            reference = only
        frame = sender.send(picture(number), reference=reference)
        assert frame.key is (number == 0)
        (intended,) = whole.decode(frame.data)
        if not 15 <= number < 20:  # these are lost
            (shown,) = lossy.decode(frame.data)
            same.append(np.array_equal(shown, intended))
    assert same == [True] * 15 + [False] * 2 + [True] * 8


def test_everyday_frames_leave_the_golden_picture_alone(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(320, 240)
    sender = Sender(Vp8Config(width=320, height=240), libvpx)
    whole, lossy = Vp8Decoder(libvpx), Vp8Decoder(libvpx)
    (intended,) = whole.decode(key := sender.send(picture(0)).data)
    lossy.decode(key)
    for number in range(1, 40):  # all of them lost
        (intended,) = whole.decode(sender.send(picture(number)).data)
    frame = sender.send(picture(40), reference=Reference.GOLDEN_ONLY)
    (intended,) = whole.decode(frame.data)
    (shown,) = lossy.decode(frame.data)
    assert np.array_equal(shown, intended)


def test_the_two_kept_pictures_do_not_touch_each_other(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(320, 240)
    sender = Sender(Vp8Config(width=320, height=240), libvpx)
    whole, lossy = Vp8Decoder(libvpx), Vp8Decoder(libvpx)
    for number in range(30):
        reference = Reference.LAST
        if number == 5:
            reference = Reference.REFRESH_GOLDEN
        elif number == 10:
            reference = Reference.REFRESH_ALTERNATE  # lost, and all that follows
        frame = sender.send(picture(number), reference=reference)
        whole.decode(frame.data)
        if number < 10:
            lossy.decode(frame.data)
    frame = sender.send(picture(30), reference=Reference.GOLDEN_ONLY)
    (intended,) = whole.decode(frame.data)
    (shown,) = lossy.decode(frame.data)
    assert np.array_equal(shown, intended)


def test_a_new_size_starts_with_a_key_frame_and_keeps_the_rate(
    libvpx: Libvpx, make_scene: MakeScene, psnr: Psnr
) -> None:
    sender = Sender(Vp8Config(width=640, height=360, bitrate=300_000), libvpx)
    sender.encoder.set_bitrate(400_000)
    decoder = Vp8Decoder(libvpx)
    # down, up again, above what it was made for, narrow and tall, and very small
    for width, height in [(640, 360), (320, 180), (640, 360), (800, 600), (180, 640), (2, 2)]:
        picture = make_scene(width, height)
        shown = planes = picture(0)
        for number in range(10):
            planes = picture(number)
            frame = sender.send(planes)
            assert (frame.key, frame.width, frame.height) == (number == 0, width, height)
            (shown,) = decoder.decode(frame.data)
            assert shown.shape == planes.shape
        assert sender.encoder.size == (width, height)
        assert psnr(shown, planes) > (28 if width > 2 else 20)
    picture = make_scene(800, 600)
    seconds = [sender.send_second(picture) for _ in range(3)]
    assert kilobits(seconds[-1]) == pytest.approx(400, rel=0.2)


def test_the_speed_changes_live_and_without_a_key_frame(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(320, 240)

    def sizes(cpu_used: int) -> list[int]:
        sender = Sender(Vp8Config(width=320, height=240), libvpx)
        frames = sender.send_second(picture)
        sender.encoder.set_cpu_used(cpu_used)
        frames += sender.send_second(picture)
        assert [frame.key for frame in frames] == [True] + [False] * 59
        return [len(frame.data) for frame in frames]

    slow, fast = sizes(-6), sizes(-12)
    assert slow[:30] == fast[:30]
    assert slow[30:] != fast[30:]


def test_a_picture_is_only_read(libvpx: Libvpx, make_scene: MakeScene) -> None:
    planes = make_scene(320, 240)(0)
    copy = planes.copy()
    planes.flags.writeable = False
    sender = Sender(Vp8Config(width=320, height=240), libvpx)
    for _ in range(3):
        sender.send(planes)
    assert np.array_equal(planes, copy)


def test_wrong_pictures_times_and_settings_are_refused(libvpx: Libvpx) -> None:
    encoder = Vp8Encoder(Vp8Config(width=320, height=240), libvpx)
    planes = np.zeros((360, 320), np.uint8)
    assert encoder.encode(planes, media_time=10, duration=FRAME) is not None
    with pytest.raises(ValueError):
        encoder.encode(planes[:, :-1], media_time=20, duration=FRAME)
    with pytest.raises(ValueError):
        encoder.encode(planes, media_time=10, duration=FRAME)
    with pytest.raises(ValueError):
        encoder.set_bitrate(0)
    with pytest.raises(ValueError):
        encoder.set_cpu_used(1)
    assert encoder.encode(planes, media_time=20, duration=FRAME) is not None


def test_a_damaged_frame_is_refused_and_the_next_key_frame_shown(
    libvpx: Libvpx, make_scene: MakeScene, psnr: Psnr
) -> None:
    picture = make_scene(320, 240)
    sender, decoder = Sender(Vp8Config(width=320, height=240), libvpx), Vp8Decoder(libvpx)
    key = sender.send(picture(0)).data
    for damaged in (b"", key[:5], key[:10], b"\x00" * 50, b"\xff" * 50):
        with pytest.raises(CodecError):
            decoder.decode(damaged)
    (shown,) = decoder.decode(key)
    assert psnr(shown, picture(0)) > 25


def test_a_delta_frame_before_any_key_frame_is_refused(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(320, 240)
    sender = Sender(Vp8Config(width=320, height=240), libvpx)
    sender.send(picture(0))
    with pytest.raises(CodecError):
        Vp8Decoder(libvpx).decode(sender.send(picture(1)).data)


def test_a_picture_above_the_limit_is_refused(libvpx: Libvpx, make_scene: MakeScene) -> None:
    frame = Sender(Vp8Config(width=320, height=240), libvpx).send(make_scene(320, 240)(0))
    with pytest.raises(CodecError, match="320x240"):
        Vp8Decoder(libvpx, max_pixels=320 * 240 - 1).decode(frame.data)
    assert len(Vp8Decoder(libvpx, max_pixels=320 * 240).decode(frame.data)) == 1


def odd_frames() -> Iterator[tuple[tuple[int, int], bytes]]:
    for width, height in [(33, 17), (1, 1), (2, 1)]:
        context = av.CodecContext.create("libvpx", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, 30)
        context.options = {"lag-in-frames": "0"}
        frame = av.VideoFrame(width, height, "yuv420p")
        frame.pts = 0
        yield (width, height), b"".join(bytes(packet) for packet in context.encode(frame))


def test_a_browser_s_odd_sides_lose_a_pixel(libvpx: Libvpx) -> None:
    shapes = {
        size: [shown.shape for shown in Vp8Decoder(libvpx).decode(data)]
        for size, data in odd_frames()
    }
    assert shapes == {(33, 17): [(24, 32)], (1, 1): [], (2, 1): []}


def test_other_threads_run_while_it_encodes_and_decodes(
    libvpx: Libvpx, make_scene: MakeScene
) -> None:
    picture = make_scene(640, 360)
    planes = [picture(number) for number in range(40)]
    sender, decoder = Sender(Vp8Config(width=640, height=360), libvpx), Vp8Decoder(libvpx)
    turns = 0
    seen = [0]

    def work() -> None:
        for each in planes:
            decoder.decode(sender.send(each).data)
            seen.append(turns)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1_000.0)  # nobody gets a turn that the worker does not give away
    try:
        worker = threading.Thread(target=work)
        worker.start()
        while worker.is_alive():
            turns += 1
            time.sleep(0)
    finally:
        sys.setswitchinterval(interval)
    worker.join()
    assert len(seen) == 41
    assert sum(later > earlier for earlier, later in pairwise(seen)) > 5
