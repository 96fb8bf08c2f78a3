"""The road of a frame; knows nothing of calls or servers.

::

    send/     capture -> encode -> packetize -> protect -> pace -> transmit ──── network ────
    receive/  ──── arrive -> recover -> jitter_buffer -> conceal -> decode -> synchronize -> render
              feedback (transport-wide cc, receiver reports, NACK, PLI)
    congestion/   feedback -> arrival_groups -> delay_trend, loss, probe -> target_rate -> allocate

* :mod:`.session` joins both directions of one transport, sans I/O; :mod:`.driver` runs it.
* :mod:`.rtp` has the wire formats, :mod:`.codecs` VP8 and Opus, :mod:`.simulate` bad networks in
  virtual time.
* Frames come from sources (``io_file``, ``io_synthetic``, ``io_push``, ``io_camera``,
  ``io_microphone``) and go to sinks (``io_record``, ``io_speaker``, ``io_display``).

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringline.media.codecs.registry import CodecRegistry
    from ringline.media.errors import MediaError
    from ringline.media.frames import AudioFrame, VideoFrame
    from ringline.media.io_file import FileSource
    from ringline.media.io_push import NumpyAudio, NumpyVideo
    from ringline.media.io_record import Recorder
    from ringline.media.io_synthetic import SyntheticVideo, SyntheticVoice
    from ringline.media.parameters import SessionParameters, StreamParameters
    from ringline.media.session import MediaSession, SessionConfig, SessionStats
    from ringline.media.source import AudioSource, VideoSource

__all__ = [
    "AudioFrame",
    "AudioSource",
    "CodecRegistry",
    "FileSource",
    "MediaError",
    "MediaSession",
    "NumpyAudio",
    "NumpyVideo",
    "Recorder",
    "SessionConfig",
    "SessionParameters",
    "SessionStats",
    "StreamParameters",
    "SyntheticVideo",
    "SyntheticVoice",
    "VideoFrame",
    "VideoSource",
]

_HOMES = {
    "AudioFrame": "frames",
    "AudioSource": "source",
    "CodecRegistry": "codecs.registry",
    "FileSource": "io_file",
    "MediaError": "errors",
    "MediaSession": "session",
    "NumpyAudio": "io_push",
    "NumpyVideo": "io_push",
    "Recorder": "io_record",
    "SessionConfig": "session",
    "SessionParameters": "parameters",
    "SessionStats": "session",
    "StreamParameters": "parameters",
    "SyntheticVideo": "io_synthetic",
    "SyntheticVoice": "io_synthetic",
    "VideoFrame": "frames",
    "VideoSource": "source",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
