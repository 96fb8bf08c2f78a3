from __future__ import annotations

import cffi
import pytest

from ringline.media.codecs.libvpx_abi import CONFIG_TAIL_BYTES, DECLARATIONS, encoder_abi


@pytest.mark.parametrize(
    ("version", "abi"),
    [
        (0x10B00, 25),
        (0x10C00, 25),
        (0x10D01, 30),
        (0x10E01, 34),
        (0x10F00, 36),
        (0x10F01, 37),
        (0x10F02, 37),
        (0x11000, 39),
    ],
)
def test_each_known_release_has_its_number(version: int, abi: int) -> None:
    assert encoder_abi(version) == abi


@pytest.mark.parametrize("version", [0, 0x10800, 0x10A00, 0x11200, 0x20000, 0x20C00])
def test_an_unknown_release_has_none(version: int) -> None:
    assert encoder_abi(version) is None


def test_the_configuration_is_as_long_as_the_library_s() -> None:
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    if ffi.sizeof("void *") != 8:
        pytest.skip("504 bytes is the length with pointers of 8")
    assert ffi.offsetof("vpx_codec_enc_cfg_t", "spare") + CONFIG_TAIL_BYTES == 504
    assert ffi.sizeof("vpx_codec_cx_pkt_t") == 128 + 8  # the kind is padded to a pointer's width
