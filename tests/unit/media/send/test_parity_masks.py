"""Parity masks: what comes back, counted over every pattern of loss."""

from __future__ import annotations

from itertools import combinations

import pytest

from ringline.media.send.parity_masks import MAX_MEDIA, MAX_PARITY, parity_masks

Masks = tuple[tuple[int, ...], ...]
SIZES = [(media, parity) for media in range(1, 13) for parity in range(1, min(media, 4) + 1)]


def comes_back(masks: Masks, media: int, lost: tuple[int, ...]) -> bool:
    """Tell whether all lost media come back; indices from ``media`` on are parity packets."""
    missing = {index for index in lost if index < media}
    rows = [set(mask) for index, mask in enumerate(masks) if media + index not in lost]
    while alone := {next(iter(row & missing)) for row in rows if len(row & missing) == 1}:
        missing -= alone
    return not missing


def unrecoverable(masks: Masks, media: int, losses: int) -> int:
    patterns = combinations(range(media + len(masks)), losses)
    return sum(not comes_back(masks, media, lost) for lost in patterns)


def interleaved(media: int, parity: int) -> Masks:
    return tuple(tuple(range(row, media, parity)) for row in range(parity))


@pytest.mark.parametrize(("media", "parity"), SIZES)
def test_every_single_loss_comes_back(media: int, parity: int) -> None:
    assert unrecoverable(parity_masks(media, parity), media, 1) == 0


@pytest.mark.parametrize(("media", "parity"), SIZES)
def test_two_losses_come_back_as_often_as_xor_permits(media: int, parity: int) -> None:
    if parity == 1:
        assert parity_masks(media, parity) == (tuple(range(media)),)
        return
    # Two are lost for good when their columns are equal; there are 2^parity - 1 columns, and the
    # parity packets take one each.  Sharing them evenly makes the fewest equal pairs.
    kinds, packets = (1 << parity) - 1, media + parity
    each, more = divmod(packets, kinds)
    fewest = more * (each + 1) * each // 2 + (kinds - more) * each * (each - 1) // 2
    assert unrecoverable(parity_masks(media, parity), media, 2) == fewest


@pytest.mark.parametrize(("media", "parity"), [s for s in SIZES if s[1] >= 3 and s[0] <= 9])
def test_three_losses_come_back_more_often_than_by_interleaving(media: int, parity: int) -> None:
    if media <= parity:
        return  # some have a parity packet to themselves either way
    ours = unrecoverable(parity_masks(media, parity), media, 3)
    assert ours < unrecoverable(interleaved(media, parity), media, 3)


@pytest.mark.parametrize(("media", "parity"), [(m, p) for m in range(8, 49) for p in (2, 3, 5, 8)])
def test_a_burst_of_two_comes_back(media: int, parity: int) -> None:
    masks = parity_masks(media, parity)
    assert all(comes_back(masks, media, (first, first + 1)) for first in range(media - 1))


@pytest.mark.parametrize(
    ("media", "parity"),
    [(m, p) for m in (1, 2, 7, 24, 47, MAX_MEDIA) for p in range(1, min(m, MAX_PARITY) + 1)],
)
def test_every_packet_is_protected_and_no_parity_packet_is_empty(media: int, parity: int) -> None:
    masks = parity_masks(media, parity)
    assert len(masks) == parity
    assert all(mask and list(mask) == sorted(set(mask)) for mask in masks)
    assert set().union(*masks) == set(range(media))


@pytest.mark.parametrize(("media", "parity"), [(0, 1), (49, 1), (1, 0), (1, 2), (48, 25)])
def test_sizes_out_of_range_are_refused(media: int, parity: int) -> None:
    with pytest.raises(ValueError, match="no masks"):
        parity_masks(media, parity)
