"""libvpx: open the library, and refuse it unless it is one that we know how to call.

Four gates stand before the first frame, each with its reason in words:

1. the file loads and has every function that we call;
2. its version is on the allow-list (:func:`~ringline.media.codecs.libvpx_abi.encoder_abi`);
3. the struct that it fills has our layout: known defaults at the offsets that we read;
4. it encodes a picture and decodes it again (done by :mod:`ringline.media.codecs.registry`,
   which has both an encoder and a decoder at hand).

Calls go through cffi, which releases the GIL for their duration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cffi

from ringline.media.codecs.libvpx_abi import CONFIG_TAIL_BYTES, DECLARATIONS, encoder_abi
from ringline.media.codecs.shared_library import SharedLibrary
from ringline.media.errors import CodecError, LibraryError

__all__ = ["Libvpx"]

_PATTERN: Final = 0xA5  # neither a byte of a default nor of a small integer

# What VP8's default configuration holds in every version on the allow-list.
_KNOWN_DEFAULTS: Final = {
    "g_w": 320,
    "g_h": 240,
    "rc_scaled_width": 1,
    "rc_scaled_height": 1,
    "rc_resize_up_thresh": 60,
    "rc_resize_down_thresh": 30,
    "rc_target_bitrate": 256,
    "rc_min_quantizer": 4,
    "rc_max_quantizer": 63,
    "rc_buf_sz": 6000,
    "rc_buf_initial_sz": 4000,
    "rc_buf_optimal_sz": 5000,
    "kf_mode": 1,
    "kf_max_dist": 128,
}


class Libvpx:
    """A libvpx that passed gates 1 to 3.

    Args:
        library: The file to load.
        declarations: The layout to expect.
        abi_of: The allow-list.

    Attributes:
        library: The file that was loaded.
        version: As the library words it: ``v1.16.0``.
        abi: The number that its encoder wants to hear.
        ffi: cffi's view of the declarations: makes structs.
        lib: The functions.  Both are untyped, as everything behind a foreign interface.

    Raises:
        LibraryError: If a gate stays shut; the message says which.

    """

    def __init__(
        self,
        library: SharedLibrary,
        *,
        declarations: str = DECLARATIONS,
        abi_of: Callable[[int], int | None] = encoder_abi,
    ) -> None:
        self.library: Final = library
        self.ffi: Final[Any] = cffi.FFI()
        self.ffi.cdef(declarations)
        try:
            self.lib: Final[Any] = self.ffi.dlopen(library.path)
            number = int(self.lib.vpx_codec_version())
            self.version: Final = self._text(self.lib.vpx_codec_version_str())
        except (OSError, AttributeError) as error:
            # OSError: no such file or not a library.  AttributeError: a library without our symbols
            reason = str(error).split("  Additionally", 1)[0]  # cffi adds a second, vaguer sentence
            raise LibraryError(f"{library} does not load: {reason}") from None
        abi = abi_of(number)
        if abi is None:
            raise LibraryError(f"{library} is libvpx {self.version}, a version not known to work")
        self.abi: Final = abi
        try:
            self._check_layout()
        except AttributeError as error:  # built without VP8, or trimmed
            raise LibraryError(f"{library} lacks a function: {error}") from None

    def new_config(self) -> Any:  # noqa: ANN401 - a struct behind the foreign interface
        """Return a ``vpx_codec_enc_cfg_t *`` with VP8's defaults.

        Raises:
            CodecError: If the library refuses.

        """
        config = self.ffi.new("vpx_codec_enc_cfg_t *")
        self.check(
            self.lib.vpx_codec_enc_config_default(self.lib.vpx_codec_vp8_cx(), config, 0),
            "enc_config_default",
        )
        return config

    def check(self, code: int, call: str, context: Any = None) -> None:  # noqa: ANN401 - a struct
        """Do nothing if a call returned 0.

        Args:
            code: What it returned.
            call: Its name, for the message.
            context: The codec's, where there is one: it may hold a detail.

        Raises:
            CodecError: If ``code`` is not 0.

        """
        if code == 0:
            return
        message = self._text(self.lib.vpx_codec_err_to_string(code))
        if context is not None:
            detail = self.lib.vpx_codec_error_detail(context)
            if detail:
                message += f": {self._text(detail)}"
        raise CodecError(f"vpx_codec_{call}: {message} ({code})")

    def _text(self, pointer: Any) -> str:  # noqa: ANN401 - a char pointer
        return bytes(self.ffi.string(pointer)).decode("utf-8", "replace")

    def _check_layout(self) -> None:
        config = self.ffi.new("vpx_codec_enc_cfg_t *")
        raw = self.ffi.buffer(config)
        raw[:] = bytes([_PATTERN]) * len(raw)
        code = self.lib.vpx_codec_enc_config_default(self.lib.vpx_codec_vp8_cx(), config, 0)
        if code != 0:
            raise LibraryError(f"{self.library} gives no default configuration ({code})")
        for field, expected in _KNOWN_DEFAULTS.items():
            got = getattr(config, field)
            if got != expected:
                raise LibraryError(
                    f"{self.library}: layout differs, {field} is {got} where {expected} was due"
                )
        timebase = (config.g_timebase.num, config.g_timebase.den)
        if timebase != (1, 30):
            raise LibraryError(f"{self.library}: layout differs, g_timebase is {timebase}")
        written = len(bytes(raw).rstrip(bytes([_PATTERN])))
        due = self.ffi.offsetof("vpx_codec_enc_cfg_t", "spare") + CONFIG_TAIL_BYTES
        if written != due:
            raise LibraryError(
                f"{self.library}: layout differs, {written} bytes of configuration, {due} were due"
            )
