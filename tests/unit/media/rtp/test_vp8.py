from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.vp8 import ReferenceMark, Vp8Descriptor, frame_size, is_key_frame


@pytest.mark.parametrize(
    ("descriptor", "wire"),
    [
        (Vp8Descriptor(start=True), "10"),
        (Vp8Descriptor(partition=3, non_reference=True), "23"),
        (Vp8Descriptor(start=True, picture_id=5), "90808005"),
        (Vp8Descriptor(start=True, picture_id=0x7FFF, tl0_picture_index=9), "90c0ffff09"),
        (Vp8Descriptor(temporal_layer=(2, True)), "8020a0"),
        (Vp8Descriptor(key_index=31), "80101f"),
        (
            Vp8Descriptor(start=True, picture_id=5, reference=ReferenceMark.ALTERNATE_ONLY),
            "90848005",
        ),
        (
            Vp8Descriptor(
                picture_id=1, tl0_picture_index=2, temporal_layer=(1, False), key_index=3
            ),
            "80f080010243",
        ),
    ],
)
def test_each_form_has_its_bytes(descriptor: Vp8Descriptor, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert descriptor.serialize() == data
    assert Vp8Descriptor.parse(data + b"frame") == (descriptor, len(data))


def test_a_short_picture_number_is_read() -> None:
    assert Vp8Descriptor.parse(bytes.fromhex("90807f00")) == (
        Vp8Descriptor(start=True, picture_id=127),
        3,
    )


@pytest.mark.parametrize("wire", ["", "80", "8080", "808080", "8040", "8020", "80f0800102"])
def test_a_payload_that_ends_too_soon_is_refused(wire: str) -> None:
    with pytest.raises(ParseError):
        Vp8Descriptor.parse(bytes.fromhex(wire))


def test_a_key_frame_tells_its_size() -> None:
    key = bytes.fromhex("1002009d012a80026801") + b"..."
    assert is_key_frame(key)
    assert frame_size(key) == (640, 360)


def test_scaling_bits_are_no_part_of_the_size() -> None:
    assert frame_size(bytes.fromhex("1002009d012a804268c1")) == (640, 360)


@pytest.mark.parametrize("wire", ["", "110200", "1002009d012a8002", "100200000000800268010000"])
def test_other_data_has_no_size(wire: str) -> None:
    assert frame_size(bytes.fromhex(wire)) is None


def test_a_delta_frame_is_no_key_frame() -> None:
    assert not is_key_frame(b"\x11")
    assert not is_key_frame(b"")
