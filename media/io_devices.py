"""Devices: which cameras, microphones, speakers and windows there are, and how FFmpeg is told.

PyAV's FFmpeg has a few device formats, different ones on each system: Linux has v4l2 and ALSA,
macOS AVFoundation, Windows DirectShow (which cannot play).  Where the format or the device is
missing, the caller is told so in one line before a call is made.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import av
import av.device

from ringline.media.errors import DeviceError

__all__ = ["Device", "DeviceKind", "choose_device", "list_devices"]

DeviceKind = Literal["camera", "microphone", "speaker"]

_FORMATS: Final[dict[tuple[str, DeviceKind], str]] = {
    ("linux", "camera"): "v4l2",
    ("linux", "microphone"): "alsa",
    ("linux", "speaker"): "alsa",
    ("darwin", "camera"): "avfoundation",
    ("darwin", "microphone"): "avfoundation",
    ("darwin", "speaker"): "audiotoolbox",
    ("win32", "camera"): "dshow",
    ("win32", "microphone"): "dshow",
}

_ALSA_CONFIG: Final = Path("/usr/share/alsa")
"""Where every distribution keeps it; the ALSA in PyAV's wheel looks into its build folder."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device.

    Attributes:
        format: FFmpeg's word for the way to it.
        name: What to open, and what a person may give to choose it.
        description: For people; may equal the name.

    """

    kind: DeviceKind
    format: str
    name: str
    description: str


def list_devices(kind: DeviceKind) -> list[Device]:
    """Return the devices of a kind, the best first; none where the system has none.  May block.

    The system's do-nothing device (ALSA ``null``) is left out; it can still be opened by name.
    """
    format_name = _FORMATS.get((sys.platform, kind))
    if format_name is None:
        return []
    _point_alsa_to_its_configuration()
    enumerate_devices = (
        av.device.enumerate_output_devices
        if kind == "speaker"
        else av.device.enumerate_input_devices
    )
    wanted = "video" if kind == "camera" else "audio"
    try:
        found = list(enumerate_devices(format_name))
    except (av.error.FFmpegError, OSError, ValueError):
        return []
    found.sort(key=lambda info: not info.is_default)
    return [
        Device(kind, format_name, info.name, info.description or info.name)
        for info in found
        if info.name != "null" and (not info.media_types or wanted in info.media_types)
    ]


def choose_device(kind: DeviceKind, name: str | None) -> Device:
    """Return the device of that name, or the best one for :obj:`None`.

    A name that is not listed is taken as it is: FFmpeg knows more names than it lists.

    Raises:
        DeviceError: If there is none of that kind, or no way to it on this system.

    """
    format_name = _FORMATS.get((sys.platform, kind))
    if format_name is None:
        raise DeviceError(f"no {kind} here: PyAV's FFmpeg has no way to one on {sys.platform}")
    devices = list_devices(kind)
    if name is None:
        if not devices:
            raise DeviceError(f"no {kind} here: FFmpeg's {format_name} finds none")
        return devices[0]
    for device in devices:
        if name in {device.name, device.description}:
            return device
    return Device(kind, format_name, name, name)


def input_name(device: Device) -> str:
    """Return the words with which FFmpeg opens a camera or microphone."""
    if device.format == "dshow":
        return f"{'video' if device.kind == 'camera' else 'audio'}={device.name}"
    if device.format == "avfoundation" and device.kind == "microphone":
        return f":{device.name}"
    return device.name


def _point_alsa_to_its_configuration() -> None:
    """Tell the bundled ALSA where its configuration is, unless the user did."""
    if sys.platform == "linux" and (_ALSA_CONFIG / "alsa.conf").exists():
        os.environ.setdefault("ALSA_CONFIG_DIR", str(_ALSA_CONFIG))
        os.environ.setdefault("ALSA_CONFIG_PATH", str(_ALSA_CONFIG / "alsa.conf"))
