"""DRED: whether a libopus can send and read deep redundancy (draft-ietf-mlcodec-opus-dred).

With it each packet carries up to a second of what was said before, at a fiftieth of the rate, in a
padding extension that others skip.  libopus has it from 1.5 on if it was built with it and with
megabytes of weights: neither PyAV's wheel nor Debian's is.  Nothing here sends any.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

__all__ = ["has_dred"]

SET_DRED_DURATION: Final = 4_050
"""``OPUS_SET_DRED_DURATION`` of opus_defines.h, in units of 10 ms."""

_READING: Final = (
    "opus_dred_decoder_create",
    "opus_dred_alloc",
    "opus_dred_parse",
    "opus_decoder_dred_decode",
)


def has_dred(library: Any, encoder: Any) -> bool:  # noqa: ANN401 - a ctypes.CDLL, a pointer
    """Tell whether a library can do both.

    The functions alone prove nothing: without DRED 1.6.1 has them too, and refuses the request.

    Args:
        library: Gives functions by their names; :exc:`AttributeError` if there is none.
        encoder: The state of an encoder.  Its DRED is off, and stays so.

    """
    try:
        for name in _READING:
            library[name]
        control = library["opus_encoder_ctl"]
    except AttributeError:
        return False
    control.argtypes = (ctypes.c_void_p, ctypes.c_int)
    off = ctypes.c_int32(0)
    return bool(control(encoder, SET_DRED_DURATION, off) == 0)
