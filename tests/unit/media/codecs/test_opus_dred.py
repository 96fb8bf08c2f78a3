from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import c_int32

import pytest

from ringline.media.codecs.libopus import Libopus
from ringline.media.codecs.opus_dred import has_dred
from ringline.media.codecs.registry import CodecRegistry

READING = (
    "opus_dred_decoder_create",
    "opus_dred_alloc",
    "opus_dred_parse",
    "opus_decoder_dred_decode",
)
UNIMPLEMENTED = -5


class Library:
    """Has the functions that it is given; its encoder answers each request with one code."""

    def __init__(self, names: Sequence[str], *, code: int) -> None:
        self.requests: list[tuple[object, int, int]] = []

        def control(encoder: object, request: int, value: c_int32) -> int:
            self.requests.append((encoder, request, value.value))
            return code

        def other() -> None:
            raise AssertionError("a probe calls nothing else")

        self._functions: dict[str, Callable[..., object]] = dict.fromkeys(names, other)
        self._functions["opus_encoder_ctl"] = control

    def __getitem__(self, name: str) -> Callable[..., object]:
        if name not in self._functions:
            raise AttributeError(f"undefined symbol: {name}")
        return self._functions[name]


def test_a_library_that_sends_and_reads_it_has_it() -> None:
    library = Library(READING, code=0)
    assert has_dred(library, "encoder")
    assert library.requests == [("encoder", 4_050, 0)]  # off, as it was


def test_functions_of_a_library_that_refuses_the_request_prove_nothing() -> None:
    assert not has_dred(Library(READING, code=UNIMPLEMENTED), "encoder")


@pytest.mark.parametrize("missing", READING)
def test_a_library_that_cannot_read_it_is_not_asked(missing: str) -> None:
    library = Library([name for name in READING if name != missing], code=0)
    assert not has_dred(library, "encoder")
    assert library.requests == []


def test_the_library_in_use_is_judged_by_whether_it_takes_a_duration(codecs: CodecRegistry) -> None:
    libopus = Libopus.load({})
    encoder = libopus.new_encoder(48_000, 1, libopus.constants.APPLICATION_VOIP)
    code = libopus.encoder_ctl(encoder, 4_050, c_int32(10))
    libopus.destroy_encoder(encoder)
    assert code in (0, UNIMPLEMENTED)
    assert codecs.has_dred is libopus.has_dred is (code == 0)
