from __future__ import annotations

import pytest

from ringline.media.codecs.video_codec import Reference
from ringline.media.frames import EncodedPicture
from ringline.media.rtp.vp8 import ReferenceMark
from ringline.media.send.references import ReferencePlan

KEY, DELTA = EncodedPicture(b"\x00", key=True), EncodedPicture(b"\x01", key=False)


class Sender:
    """Sends ten pictures a second by a plan; numbers are 10 times the seconds."""

    def __init__(self) -> None:
        self.plan = ReferencePlan()
        self.number = 0
        self.is_heard = True
        self.marks = {0: self.plan.handle_picture(0, KEY, Reference.LAST, 0.0)}

    def run(self, until: int) -> None:
        while self.number < until:
            self.number += 1
            now = self.number / 10
            if self.is_heard:
                self.plan.handle_heard(0.05, now)
            reference = self.plan.choose(now)
            self.marks[self.number] = self.plan.handle_picture(self.number, DELTA, reference, now)

    def special(self) -> dict[int, str]:
        return {number: mark.name for number, mark in self.marks.items() if mark}


def test_pictures_are_kept_in_turn() -> None:
    sender = Sender()
    sender.run(17)
    assert sender.special() == {5: "REFRESH_GOLDEN", 10: "REFRESH_ALTERNATE", 15: "REFRESH_GOLDEN"}


def test_before_the_first_key_frame_nothing_is_kept() -> None:
    assert ReferencePlan().choose(10.0) is Reference.LAST


def test_a_long_round_trip_keeps_them_for_longer() -> None:
    plan = ReferencePlan()
    plan.handle_picture(0, KEY, Reference.LAST, 0.0)
    plan.handle_heard(0.2, 1.0)
    assert plan.choose(1.1) is Reference.LAST
    assert plan.choose(1.25) is Reference.REFRESH_GOLDEN


@pytest.mark.parametrize(("picture_id", "mark"), [(5, "GOLDEN_ONLY"), (10, "ALTERNATE_ONLY")])
def test_the_next_frame_is_from_the_picture_that_the_receiver_names(
    picture_id: int, mark: str
) -> None:
    sender = Sender()
    sender.run(12)
    assert sender.plan.handle_request(picture_id, 0.2, 1.2)
    sender.run(14)
    assert sender.special() == {5: "REFRESH_GOLDEN", 10: "REFRESH_ALTERNATE", 13: mark}
    assert sender.plan.recoveries == 1


def test_after_a_key_frame_that_is_kept_in_both_places() -> None:
    sender = Sender()
    sender.run(3)
    assert sender.plan.handle_request(0, 0.2, 0.3)


def test_a_picture_that_is_not_kept_any_more_is_refused() -> None:
    sender = Sender()
    sender.run(16)
    assert sender.plan.handle_request(5, 0.2, 1.6) is None
    assert sender.plan.handle_request(11, 0.2, 1.6) is None


def test_a_request_that_cannot_have_seen_the_answer_changes_nothing() -> None:
    sender = Sender()
    sender.run(12)
    assert sender.plan.handle_request(10, 0.2, 1.2)
    assert sender.plan.handle_request(10, 0.2, 1.21) is False
    sender.run(13)
    assert sender.plan.handle_request(10, 0.2, 1.4) is False
    assert sender.plan.handle_request(10, 0.2, 1.55)


def test_a_key_frame_makes_the_wish_void() -> None:
    sender = Sender()
    sender.run(12)
    sender.plan.handle_request(10, 0.2, 1.2)
    assert sender.plan.handle_picture(13, KEY, Reference.ALTERNATE_ONLY, 1.3) is ReferenceMark.LAST
    assert sender.plan.choose(1.4) is Reference.LAST


def test_in_an_outage_the_last_picture_that_came_is_kept() -> None:
    sender = Sender()
    sender.run(11)
    sender.is_heard = False
    sender.run(60)
    # 10 was reported on.  15 takes the place of 5, and then nothing is heard of 15.
    assert sender.special() == {5: "REFRESH_GOLDEN", 10: "REFRESH_ALTERNATE", 15: "REFRESH_GOLDEN"}
    assert sender.plan.handle_return()
    assert sender.plan.choose(6.1) is Reference.ALTERNATE_ONLY


def test_without_a_word_from_the_receiver_there_is_nothing_to_return_to() -> None:
    sender = Sender()
    sender.is_heard = False
    sender.run(3)
    assert not sender.plan.handle_return()
    late = ReferencePlan()
    late.handle_heard(0.1, 0.5)
    late.handle_picture(0, KEY, Reference.LAST, 1.0)
    assert not late.handle_return()
