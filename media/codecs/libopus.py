"""libopus, through opuslib: which library it uses, and the functions beneath its wrappers.

opuslib looks for a system library when it is imported and fails without one.  :meth:`Libopus.load`
answers that question for it, so that the library in PyAV's wheel serves as well.

Three of opuslib's habits are worked around, none by changing its files:

* its wrappers copy samples and packets through Python lists, which doubles the time of decoding;
  we call the same functions of the same library handle with the addresses of numpy arrays;
* its property setters for in-band FEC and DTX are defective, and it passes the arguments of
  ``opus_encoder_ctl``, a variadic function, as if it were none, which fails on Apple's ARM; we
  declare the fixed ones, and ctypes then marks the others as variadic;
* it compiles with a :exc:`SyntaxWarning`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from ringline.media.codecs.opus_dred import has_dred
from ringline.media.codecs.shared_library import LibraryOrigin, SharedLibrary, find_libraries
from ringline.media.errors import CodecError, LibraryError
from ringline.media.units import AUDIO_CLOCK_RATE

__all__ = ["Libopus"]

_import_lock: Final = threading.Lock()


class Libopus:
    """The loaded library.  A process has one, as it has one opuslib; make with :meth:`load`.

    Attributes:
        library: The file in use.
        version: As the library words it: ``libopus 1.6.1``.
        has_dred: Whether it has deep redundancy (:mod:`.opus_dred`).
        encode: ``opus_encode(state, samples, count, out, size)``, memory as ``bytes`` or
            by address.
        decode: ``opus_decode(state, packet or None, length, out, count, use_redundancy)``.
        encoder_ctl: ``opus_encoder_ctl(state, request, argument)``; the argument is a ctypes
            value or a reference to one, never a plain integer.
        constants: The module ``opuslib``, for the numbers of the requests.

    """

    def __init__(self, opuslib: Any, library: SharedLibrary) -> None:  # noqa: ANN401 - untyped
        self.library: Final = library
        self.constants: Final[Any] = opuslib
        self._encoder_api: Final[Any] = importlib.import_module("opuslib.api.encoder")
        self._decoder_api: Final[Any] = importlib.import_module("opuslib.api.decoder")
        handle = importlib.import_module("opuslib.api").libopus
        # handle["name"] makes a function object of our own each time; handle.name is the one
        # that opuslib has declared its own way.
        text = handle["opus_get_version_string"]
        text.restype = ctypes.c_char_p
        self.version: Final = str(text().decode("ascii", "replace"))
        self._strerror: Final = handle["opus_strerror"]
        self._strerror.restype = ctypes.c_char_p
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        self.encode: Final[Callable[..., int]] = handle["opus_encode"]
        self.encode.argtypes = (pointer, pointer, integer, pointer, ctypes.c_int32)
        self.decode: Final[Callable[..., int]] = handle["opus_decode"]
        self.decode.argtypes = (
            *(pointer, ctypes.c_char_p, ctypes.c_int32),  # from
            *(pointer, integer, integer),  # to
        )
        self.encoder_ctl: Final[Callable[..., int]] = handle["opus_encoder_ctl"]
        self.encoder_ctl.argtypes = (pointer, integer)
        encoder = self.new_encoder(AUDIO_CLOCK_RATE, 1, opuslib.APPLICATION_VOIP)
        self.has_dred: Final = has_dred(handle, encoder)
        self.destroy_encoder(encoder)

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Libopus:
        """Import opuslib with the best library there is, or take it as the program imported it.

        The wheel's before the system's: at full complexity its 1.6 encodes a frame in 0.18 ms, and
        the 1.3 of older systems in 0.26.

        Raises:
            LibraryError: If there is none, or none loads; the message has a reason for each.

        """
        candidates = find_libraries("opus", environment)
        with _import_lock:
            if "opuslib.api" in sys.modules:
                return cls(sys.modules["opuslib"], _library_in_use(candidates))
            reasons = []
            for library in candidates:
                try:
                    return cls(_import_opuslib(library.path), library)
                except (OSError, AttributeError) as error:  # not a library; not libopus
                    _forget_opuslib()
                    reasons.append(f"{library} does not load: {error}")
        raise LibraryError("; ".join(reasons) or "there is no libopus, nor PyAV's wheel with one")

    def new_encoder(self, rate: int, channels: int, application: int) -> Any:  # noqa: ANN401
        """Return an encoder's state; give it back by :meth:`destroy_encoder`."""
        return self._new(self._encoder_api.create_state, rate, channels, application)

    def new_decoder(self, rate: int, channels: int) -> Any:  # noqa: ANN401 - a pointer
        """Return a decoder's state; give it back by :meth:`destroy_decoder`."""
        return self._new(self._decoder_api.create_state, rate, channels)

    def destroy_encoder(self, state: Any) -> None:  # noqa: ANN401 - a pointer
        """Free a state; once."""
        self._encoder_api.destroy(state)

    def destroy_decoder(self, state: Any) -> None:  # noqa: ANN401 - a pointer
        """Free a state; once."""
        self._decoder_api.destroy(state)

    def check(self, code: int, call: str) -> int:
        """Return what a call returned if it is not negative.

        Raises:
            CodecError: If it is.

        """
        if code < 0:
            text = self._strerror(code).decode("ascii", "replace")
            raise CodecError(f"{call}: {text} ({code})")
        return code

    def _new(self, create: Callable[..., Any], *arguments: int) -> Any:  # noqa: ANN401 - a pointer
        try:
            return create(*arguments)
        except self.constants.OpusError as error:
            raise CodecError(f"libopus: {error}") from None


def _library_in_use(candidates: list[SharedLibrary]) -> SharedLibrary:
    path = str(importlib.import_module("opuslib.api").lib_location)
    for library in candidates:
        if library.path == path:
            return library
    return SharedLibrary(path, LibraryOrigin.PROGRAM)


def _import_opuslib(path: str) -> Any:  # noqa: ANN401 - an untyped module
    with _answering_find_library(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        opuslib = importlib.import_module("opuslib")
        api: Any = importlib.import_module("opuslib.api")
    api.find_library = ctypes.util.find_library  # it had kept the other one's name
    return opuslib


def _forget_opuslib() -> None:
    """Drop what a failed import left behind, so that the next library has a fresh one."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "opuslib"]:
        del sys.modules[name]


@contextmanager
def _answering_find_library(path: str) -> Iterator[None]:
    original = ctypes.util.find_library

    def find_library(name: str) -> str | None:
        return path if name == "opus" else original(name)

    ctypes.util.find_library = find_library
    try:
        yield
    finally:
        ctypes.util.find_library = original
