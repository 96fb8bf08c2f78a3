from __future__ import annotations

import pytest

from ringline.media.receive.assemble import AssembleConfig, AssembledFrame, Assembler
from ringline.media.receive.references import KeptPictures
from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor

KEY, DELTA = b"\x00", b"\x01"


def feed(
    assembler: Assembler,
    sequence: int,
    now: float,
    *,
    frame: int,
    first: bool = True,
    last: bool = True,
    data: bytes = DELTA,
    has_picture_id: bool = True,
    layer: tuple[int, int] | None = None,
    retransmitted: bool = False,
    mark: ReferenceMark = ReferenceMark.LAST,
) -> None:
    head = Vp8Descriptor(start=first, picture_id=frame & 0x7FFF if has_picture_id else None)
    head.reference = mark
    if layer is not None:
        head.temporal_layer, head.tl0_picture_index = (layer[0], False), layer[1]
    assembler.handle_packet(
        sequence,
        frame * 3_000,
        head.serialize() + data,
        now,
        marker=last,
        retransmitted=retransmitted,
    )


def drain(assembler: Assembler) -> list[AssembledFrame]:
    return list(iter(assembler.poll_frame, None))


def numbers(frames: list[AssembledFrame]) -> list[tuple[int, bool]]:
    return [(frame.timestamp // 3_000, frame.continuous) for frame in frames]


def started() -> Assembler:
    assembler = Assembler()
    assembler.set_deadline(0.3)
    feed(assembler, 10, 0.0, frame=0, data=KEY)
    assert numbers(drain(assembler)) == [(0, True)]
    return assembler


def test_a_frame_is_complete_from_its_start_to_its_marker() -> None:
    assembler = Assembler()
    feed(assembler, 10, 0.0, frame=0, last=False, data=b"\x00ab")
    feed(assembler, 11, 0.1, frame=0, first=False, last=False, data=b"cd")
    assert drain(assembler) == []
    feed(assembler, 12, 0.2, frame=0, first=False, data=b"ef")
    (frame,) = drain(assembler)
    assert frame.picture.data == b"\x00abcdef"
    assert frame.picture.key
    assert (frame.timestamp, frame.continuous) == (0, True)
    assert (frame.started_at, frame.completed_at) == (0.0, 0.2)
    assert assembler.poll_timeout() is None


def test_a_key_frame_tells_its_size() -> None:
    assembler = Assembler()
    feed(assembler, 10, 0.0, frame=0, data=bytes.fromhex("1002009d012a80026801"))
    (frame,) = drain(assembler)
    assert (frame.picture.width, frame.picture.height) == (640, 360)


def test_frames_behind_a_gap_wait_for_it() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2)
    feed(assembler, 13, 0.13, frame=3)
    assert drain(assembler) == []
    assert assembler.poll_timeout() == pytest.approx(0.4)
    feed(assembler, 11, 0.2, frame=1, retransmitted=True)
    assert numbers(drain(assembler)) == [(1, True), (2, True), (3, True)]
    assert assembler.poll_timeout() is None
    assert assembler.skipped == 0


def test_after_the_deadline_they_go_on_and_say_so() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2)
    feed(assembler, 13, 0.13, frame=3)
    assembler.handle_timeout(0.39)
    assert drain(assembler) == []
    assembler.handle_timeout(0.41)
    assert numbers(drain(assembler)) == [(2, False), (3, True)]
    assert assembler.skipped == 1
    feed(assembler, 11, 0.5, frame=1, retransmitted=True)  # too late
    assert drain(assembler) == []


def test_a_second_gap_has_a_deadline_of_its_own() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2)
    feed(assembler, 14, 0.2, frame=4)
    feed(assembler, 11, 0.25, frame=1, retransmitted=True)
    assert numbers(drain(assembler)) == [(1, True), (2, True)]
    assert assembler.poll_timeout() == pytest.approx(0.5)


def test_a_key_frame_behind_a_gap_goes_at_once() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2)
    feed(assembler, 13, 0.13, frame=3, data=KEY)
    assert numbers(drain(assembler)) == [(3, True)]
    assert assembler.poll_timeout() is None


def test_a_gap_of_padding_is_no_gap_by_picture_number() -> None:
    assembler = started()
    feed(assembler, 14, 0.1, frame=1)
    assert numbers(drain(assembler)) == [(1, True)]


def test_padding_that_came_is_no_gap() -> None:
    assembler = Assembler()
    feed(assembler, 10, 0.0, frame=0, data=KEY, has_picture_id=False)
    drain(assembler)
    for sequence in (11, 12):
        assembler.handle_packet(sequence, 0, b"", 0.05, marker=False)
    feed(assembler, 13, 0.1, frame=1, has_picture_id=False)
    assert numbers(drain(assembler)) == [(1, True)]


def test_picture_numbers_wrap_in_both_forms() -> None:
    for last in (127, 0x7FFF):
        assembler = Assembler()
        feed(assembler, 10, 0.0, frame=last, data=KEY)
        drain(assembler)
        head = Vp8Descriptor(start=True, picture_id=0)
        assembler.handle_packet(15, (last + 1) * 3_000, head.serialize() + DELTA, 0.1, marker=True)
        assert numbers(drain(assembler)) == [(last + 1, True)]


def test_a_base_layer_frame_does_not_wait_for_upper_layers() -> None:
    assembler = Assembler()
    feed(assembler, 10, 0.0, frame=0, data=KEY, layer=(0, 255))
    feed(assembler, 12, 0.1, frame=2, layer=(0, 0))
    assert numbers(drain(assembler)) == [(0, True), (2, True)]
    feed(assembler, 16, 0.2, frame=6, layer=(0, 2))  # a base frame is lost too
    assert drain(assembler) == []


def test_after_an_outage_no_time_is_lost() -> None:
    assembler = started()
    feed(assembler, 500, 3.0, frame=90)
    assert assembler.poll_timeout() == pytest.approx(3.0)
    assembler.handle_timeout(3.0)
    assert numbers(drain(assembler)) == [(90, False)]


def test_a_gap_with_nothing_whole_behind_it_is_given_up_all_the_same() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2, last=False)
    assembler.handle_timeout(0.4)
    assert drain(assembler) == []
    feed(assembler, 13, 0.5, frame=2, first=False)
    assert numbers(drain(assembler)) == [(2, False)]


def test_what_was_cut_off_before_we_came_holds_nothing_up() -> None:
    assembler = Assembler()
    feed(assembler, 10, 0.0, frame=0, first=False)
    feed(assembler, 11, 0.03, frame=1)
    due = assembler.poll_timeout()
    assert due == pytest.approx(0.03)
    assembler.handle_timeout(0.03)
    assert numbers(drain(assembler)) == [(1, False)]


def test_a_first_packet_that_comes_late_still_makes_the_first_frame() -> None:
    assembler = Assembler()
    feed(assembler, 11, 0.0, frame=0, first=False)
    feed(assembler, 10, 0.01, frame=0, last=False, data=KEY)
    assert numbers(drain(assembler)) == [(0, True)]


def test_a_key_frame_on_its_way_is_known_while_packets_come() -> None:
    assembler = Assembler()
    assembler.set_deadline(0.3)
    feed(assembler, 10, 0.0, frame=0, last=False, data=KEY)
    assert assembler.is_key_frame_arriving(0.1)
    assert not assembler.is_key_frame_arriving(0.5)
    feed(assembler, 11, 0.6, frame=0, first=False)
    drain(assembler)
    assert not assembler.is_key_frame_arriving(0.6)


def test_what_is_held_is_bounded() -> None:
    assembler = Assembler(AssembleConfig(max_packets=50))
    feed(assembler, 10, 0.0, frame=0, data=KEY)
    for sequence in range(12, 200):
        feed(assembler, sequence, 0.01, frame=1, first=False, last=False)
        assert len(assembler._arrived) <= 50
    feed(assembler, 200, 0.02, frame=2)
    assert assembler.skipped >= 1
    assembler.handle_timeout(5.0)
    assert numbers(drain(assembler)) == [(0, True), (2, False)]


def test_packets_from_before_what_was_dropped_do_not_come_back() -> None:
    assembler = Assembler(AssembleConfig(max_packets=3))
    for sequence in range(100, 104):
        feed(assembler, sequence, 0.0, frame=0, first=False, last=False)
    feed(assembler, 50, 0.01, frame=9)
    feed(assembler, 105, 0.02, frame=10, data=KEY)
    assert numbers(drain(assembler)) == [(10, True)]


def test_a_payload_that_is_no_vp8_is_counted() -> None:
    assembler = Assembler()
    assembler.handle_packet(1, 0, b"\x80", 0.0, marker=True)
    assert assembler.malformed == 1
    assert drain(assembler) == []


def test_contradicting_marks_raise_nothing() -> None:
    assembler = started()
    feed(assembler, 13, 0.1, frame=1)  # start and end
    feed(assembler, 11, 0.1, frame=1)  # again, before it
    feed(assembler, 12, 0.1, frame=1, first=False, last=False)
    assembler.handle_timeout(9.0)
    drain(assembler)
    feed(assembler, 20, 9.0, frame=9, data=KEY)
    assert numbers(drain(assembler)) == [(9, True)]


def test_a_frame_from_a_whole_kept_picture_goes_at_once_and_mends() -> None:
    kept = KeptPictures()
    assembler = Assembler(kept=kept)
    feed(assembler, 10, 0.0, frame=0, data=KEY)
    feed(assembler, 12, 0.1, frame=2)
    feed(assembler, 13, 0.2, frame=3, mark=ReferenceMark.ALTERNATE_ONLY)
    feed(assembler, 14, 0.3, frame=4, mark=ReferenceMark.REFRESH_GOLDEN)
    frames = drain(assembler)
    assert numbers(frames) == [(0, True), (3, True), (4, True)]
    assert [frame.mends for frame in frames] == [False, True, False]
    assert kept.newest == 4
    assert assembler.poll_timeout() is None


def test_a_frame_from_a_picture_that_is_damaged_waits_as_any_other() -> None:
    kept = KeptPictures()
    assembler = Assembler(kept=kept)
    assembler.set_deadline(0.3)
    feed(assembler, 10, 0.0, frame=0, data=KEY)
    feed(assembler, 12, 0.1, frame=2, mark=ReferenceMark.REFRESH_GOLDEN)
    assembler.handle_timeout(0.4)
    feed(assembler, 14, 0.5, frame=4, mark=ReferenceMark.GOLDEN_ONLY)
    assert numbers(drain(assembler)) == [(0, True), (2, False)]
    assembler.handle_timeout(0.8)
    (late,) = drain(assembler)
    assert (late.continuous, late.mends) == (False, False)


def test_where_marks_were_not_negotiated_they_mean_nothing() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2, mark=ReferenceMark.GOLDEN_ONLY)
    assert drain(assembler) == []


def test_a_frame_that_goes_on_behind_its_end_is_not_whole_once_it_was_passed() -> None:
    assembler = started()
    feed(assembler, 12, 0.1, frame=2)
    feed(assembler, 15, 0.1, frame=2, first=False, last=False)  # of the same media time
    feed(assembler, 13, 0.1, frame=3, data=KEY)
    assert numbers(drain(assembler)) == [(3, True)]
    assembler.handle_timeout(0.5)
    feed(assembler, 16, 0.6, frame=4, data=KEY)
    assert numbers(drain(assembler)) == [(4, True)]
