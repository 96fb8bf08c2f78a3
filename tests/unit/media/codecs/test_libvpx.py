from __future__ import annotations

import os

import pytest

from ringline.media.codecs.libvpx import Libvpx
from ringline.media.codecs.libvpx_abi import DECLARATIONS, encoder_abi
from ringline.media.codecs.shared_library import LibraryOrigin, SharedLibrary, find_libraries
from ringline.media.errors import CodecError, LibraryError


@pytest.fixture(params=find_libraries("vpx", os.environ), ids=lambda found: found.origin.value)
def library(request: pytest.FixtureRequest) -> SharedLibrary:
    assert isinstance(request.param, SharedLibrary)
    return request.param


def test_each_library_on_this_machine_passes_the_gates(library: SharedLibrary) -> None:
    libvpx = Libvpx(library)
    assert libvpx.library == library
    assert libvpx.version.startswith("v1.")
    assert libvpx.abi == encoder_abi(libvpx.lib.vpx_codec_version())
    assert libvpx.new_config().rc_target_bitrate == 256


def test_a_missing_file_is_refused_by_name() -> None:
    with pytest.raises(LibraryError, match=r"/nowhere/libvpx.so \(environment\) does not load"):
        Libvpx(SharedLibrary("/nowhere/libvpx.so", LibraryOrigin.OVERRIDE))


def test_another_library_is_refused() -> None:
    for other in find_libraries("opus", {}):
        with pytest.raises(LibraryError, match="vpx_codec_version"):
            Libvpx(other)


def test_an_unknown_version_is_refused(library: SharedLibrary) -> None:
    with pytest.raises(LibraryError, match=r"is libvpx v1\..*, a version not known to work"):
        Libvpx(library, abi_of=lambda _: None)


@pytest.mark.parametrize(
    ("ours", "wrong", "complaint"),
    [
        ("unsigned int g_h;", "", "g_h"),
        ("int g_pass;", "int g_pass; int g_more;", "rc_scaled_height is 60 where 1"),
        ("g_threads;", "g_threads; int g_more;", "g_w is"),
        ("vpx_rational_t g_timebase;", "int g_more; vpx_rational_t g_timebase;", "layout differs"),
        ("int temporal_layering_mode;", "", "504 bytes of configuration, 500 were due"),
    ],
)
def test_another_layout_is_refused(
    library: SharedLibrary, ours: str, wrong: str, complaint: str
) -> None:
    assert ours in DECLARATIONS
    with pytest.raises(LibraryError, match=complaint):
        Libvpx(library, declarations=DECLARATIONS.replace(ours, wrong))


def test_a_wrong_abi_number_is_an_error_of_the_call(library: SharedLibrary) -> None:
    libvpx = Libvpx(library)
    context = libvpx.ffi.new("vpx_codec_ctx_t *")
    code = libvpx.lib.vpx_codec_enc_init_ver(
        context, libvpx.lib.vpx_codec_vp8_cx(), libvpx.new_config(), 0, libvpx.abi + 1
    )
    with pytest.raises(CodecError, match=r"^vpx_codec_enc_init: .* \(3\)$"):
        libvpx.check(code, "enc_init")
