from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.media.receive.references import KeptPictures
from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor


def frame(picture_id: int, mark: ReferenceMark = ReferenceMark.LAST) -> Vp8Descriptor:
    return Vp8Descriptor(start=True, picture_id=picture_id, reference=mark)


def started() -> KeptPictures:
    kept = KeptPictures()
    kept.handle_frame(frame(0), key=True, continuous=True)
    return kept


def test_at_first_nothing_is_kept() -> None:
    kept = KeptPictures()
    assert kept.newest is None
    assert not kept.mends(frame(1, ReferenceMark.GOLDEN_ONLY))


def test_a_key_frame_is_kept_in_both_places() -> None:
    kept = started()
    assert kept.newest == 0
    assert kept.mends(frame(1, ReferenceMark.GOLDEN_ONLY))
    assert kept.mends(frame(1, ReferenceMark.ALTERNATE_ONLY))
    assert not kept.mends(frame(1, ReferenceMark.REFRESH_GOLDEN))


def test_the_newest_whole_one_is_known() -> None:
    kept = started()
    kept.handle_frame(frame(1, ReferenceMark.REFRESH_GOLDEN), key=False, continuous=True)
    assert kept.newest == 1
    kept.handle_frame(frame(2, ReferenceMark.REFRESH_ALTERNATE), key=False, continuous=True)
    assert kept.newest == 2


def test_one_that_was_made_of_damage_takes_the_place_of_a_whole_one() -> None:
    kept = started()
    kept.handle_frame(frame(5, ReferenceMark.REFRESH_GOLDEN), key=False, continuous=True)
    kept.handle_frame(frame(7), key=False, continuous=False)
    kept.handle_frame(frame(8, ReferenceMark.REFRESH_ALTERNATE), key=False, continuous=True)
    assert kept.newest == 5
    assert not kept.mends(frame(9, ReferenceMark.ALTERNATE_ONLY))
    kept.handle_frame(frame(9, ReferenceMark.REFRESH_GOLDEN), key=False, continuous=True)
    assert kept.newest is None


def test_a_frame_from_a_whole_one_makes_what_follows_whole() -> None:
    kept = started()
    kept.handle_frame(frame(7), key=False, continuous=False)
    kept.handle_frame(frame(8, ReferenceMark.GOLDEN_ONLY), key=False, continuous=True)
    kept.handle_frame(frame(9, ReferenceMark.REFRESH_ALTERNATE), key=False, continuous=True)
    assert kept.newest == 9


def test_a_frame_from_a_damaged_one_does_not() -> None:
    kept = started()
    kept.handle_frame(frame(7, ReferenceMark.REFRESH_GOLDEN), key=False, continuous=False)
    kept.handle_frame(frame(8, ReferenceMark.GOLDEN_ONLY), key=False, continuous=True)
    kept.handle_frame(frame(9, ReferenceMark.REFRESH_ALTERNATE), key=False, continuous=True)
    assert kept.newest is None


def test_another_decoder_has_nothing() -> None:
    kept = started()
    kept.clear()
    assert kept.newest is None
    kept.handle_frame(frame(1, ReferenceMark.REFRESH_GOLDEN), key=False, continuous=True)
    assert kept.newest is None


@given(
    st.lists(
        st.tuples(st.integers(0, 15), st.booleans(), st.booleans()).filter(
            lambda sent: not (sent[1] and sent[0])
        ),
        max_size=60,
    )
)
def test_what_is_said_to_be_whole_is_so_in_a_model_of_the_decoder(
    frames: list[tuple[int, bool, bool]],
) -> None:
    kept = KeptPictures()
    last = False
    places: dict[int, tuple[int, bool] | None] = {0: None, 1: None}  # number, and whether whole
    for number, (mark, key, continuous) in enumerate(frames):
        descriptor = Vp8Descriptor(picture_id=number, reference=mark)
        source = places[mark - 3] if mark in (3, 4) else None
        whole = key or (source is not None and source[1] if mark in (3, 4) else last and continuous)
        assert kept.mends(descriptor) == (mark in (3, 4) and whole)
        kept.handle_frame(descriptor, key=key, continuous=continuous)
        last = whole
        for place in (0, 1):
            if key or mark == place + 1:
                places[place] = number, whole
        good = [place[0] for place in places.values() if place is not None and place[1]]
        assert kept.newest == max(good, default=None)
