from __future__ import annotations

from ringline.media.units import Unwrapper, is_newer


def test_a_number_is_newer_than_the_one_before_it_also_across_the_wrap() -> None:
    assert is_newer(1, 0)
    assert is_newer(0, 65_535)
    assert not is_newer(65_535, 0)
    assert not is_newer(7, 7)
    assert is_newer(0, 2**32 - 1, bits=32)


def test_half_a_circle_apart_neither_is_newer() -> None:
    assert not is_newer(0x8000, 0)
    assert not is_newer(0, 0x8000)


def test_the_first_number_is_kept_and_later_ones_go_on() -> None:
    unwrapper = Unwrapper()
    assert [unwrapper.unwrap(n) for n in (65_534, 65_535, 0, 1)] == [65_534, 65_535, 65_536, 65_537]


def test_a_step_back_is_a_step_back() -> None:
    unwrapper = Unwrapper()
    assert [unwrapper.unwrap(n) for n in (1, 65_535, 2)] == [1, -1, 2]


def test_timestamps_wrap_at_32_bits() -> None:
    unwrapper = Unwrapper(bits=32)
    assert unwrapper.unwrap(2**32 - 10) == 2**32 - 10
    assert unwrapper.unwrap(10) == 2**32 + 10
