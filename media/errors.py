"""Errors of the media package.

::

    MediaError
    ├── ParseError              what came in breaks its wire format; the peer's fault
    ├── CodecError              an encoder or decoder refused what it was given
    │   ├── UnsupportedCodecError   there is no codec of that name here
    │   └── LibraryError            a codec's shared library is missing or failed its check
    ├── SourceError             a file gives no frames: not there, no media, nothing of that kind
    ├── RecordingError          a recording cannot be written, or holds nothing that can be read
    └── DeviceError             no such camera, microphone, speaker or display, or it stopped

A bad packet or frame never reaches the program: the stage that meets one drops it, counts it by
reason and logs it at debug.  Misuse by our own caller (a wrong shape, a negative rate) raises the
built-in :exc:`ValueError`, as the standard library does.

Messages of the last three are one line for the person who named the file or device.
"""

from __future__ import annotations

__all__ = [
    "CodecError",
    "DeviceError",
    "LibraryError",
    "MediaError",
    "ParseError",
    "RecordingError",
    "SourceError",
    "UnsupportedCodecError",
]


class MediaError(Exception):
    """Base of every error that this package defines."""


class ParseError(MediaError):
    """Bytes from the peer break their wire format.  The only error that parsers raise."""


class CodecError(MediaError):
    """An encoder or decoder refused its input; it stays usable for the next one."""


class UnsupportedCodecError(CodecError):
    """Neither of the codecs that we have goes by the name asked for."""


class LibraryError(CodecError):
    """A codec's shared library is missing, of an unknown version, or failed its self-test.

    The message is the reason in one line, fit for ``ringline doctor``.
    """


class SourceError(MediaError):
    """A file cannot be played: not there, no media file, no decoder, nothing of the kind asked."""


class RecordingError(MediaError):
    """A recording cannot be written any further, or one cannot be read back."""


class DeviceError(MediaError):
    """There is no such camera, microphone, speaker or display here, or it stopped."""
