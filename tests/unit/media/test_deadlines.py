"""The earliest of several deadlines, some of which may not be."""

from __future__ import annotations

import pytest

from ringline.media.deadlines import earliest


@pytest.mark.parametrize(
    ("deadlines", "expected"),
    [
        ((), None),
        ((None, None), None),
        ((2.0,), 2.0),
        ((None, 3.0, 1.0, None, 2.0), 1.0),
        ((0.0, None), 0.0),
        ((None, -1.0, 0.0), -1.0),
    ],
)
def test_the_earliest_deadline_is_that_of_the_whole(
    deadlines: tuple[float | None, ...], expected: float | None
) -> None:
    assert earliest(*deadlines) == expected
