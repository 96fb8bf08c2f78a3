from __future__ import annotations

import pytest

from ringline.client.quality_words import describe_quality, grade
from ringline.media.quality import Cause, DirectionQuality, Side


def quality(score: float, cause: Cause, side: Side | None) -> DirectionQuality:
    return DirectionQuality(
        score=score, sound=score, picture=None, cause=cause, side=side, mouth_to_ear=0.1
    )


@pytest.mark.parametrize(
    ("score", "word"),
    [(5.0, "very good"), (4.2, "good"), (3.9, "fair"), (2.0, "poor"), (1.0, "bad")],
)
def test_a_score_has_a_word(score: float, word: str) -> None:
    assert grade(score) == word


def test_a_person_reads_how_it_is_and_why() -> None:
    bad = quality(1.5, Cause.LOSS, Side.THEIR_UPLOAD)
    assert describe_quality("receiving", bad) == (
        "what you see and hear is bad: packets get lost on the way from them"
    )
    good = quality(4.8, Cause.NONE, None)
    assert describe_quality("sending", good) == "what they see and hear is very good"
