"""Display: a window that shows pictures, by Tk, which comes with most Pythons.

Where there is no display, no Tk, or (macOS) a window may only live on the program's main thread,
:class:`Display` says so when it is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections import deque
from typing import Final

from ringline.media.errors import DeviceError
from ringline.media.frames import VideoFrame

__all__ = ["Display", "display_problem"]

_POLL: Final = 0.01
"""Seconds: how often the window looks for a new picture; no thread may safely wake Tk."""


def display_problem() -> str | None:
    """Return why no window can be opened, in one line, or :obj:`None` if nothing speaks against."""
    if sys.platform == "darwin":
        return "no window here: on macOS Tk works on a program's main thread only"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return "no window here: there is no display (DISPLAY is not set)"
    try:
        import tkinter as tk  # noqa: F401, PLC0415 - optional in many distributions of Python
    except ImportError:
        return "no window here: this Python came without tkinter"
    return None


class Display:
    """A window as a sink; shows the newest picture, drops what it is too slow for.

    Args:
        title: Of the window.

    Raises:
        DeviceError: If no window can be opened; one line that says why.

    """

    def __init__(self, title: str = "Ringline") -> None:
        problem = display_problem()
        if problem is not None:
            raise DeviceError(problem)
        self._title: Final = title
        self._newest: Final[deque[VideoFrame]] = deque(maxlen=1)
        self._closing: Final = threading.Event()
        self._error: str | None = None
        self._thread: Final = threading.Thread(target=self._run, name="display", daemon=True)
        self._thread.start()

    def handle_video_frame(self, frame: VideoFrame, now: float) -> None:  # noqa: ARG002 - VideoSink
        """Show a picture."""
        self._newest.append(frame)

    async def close(self) -> None:
        """Close the window.

        Raises:
            DeviceError: If it could not be opened.

        """
        self._closing.set()
        await asyncio.to_thread(self._thread.join)
        if self._error is not None:
            raise DeviceError(self._error)

    def _run(self) -> None:
        import tkinter as tk  # noqa: PLC0415 - see display_problem

        try:
            root = tk.Tk()
        except tk.TclError as error:
            self._error = f"no window here: {error}"
            return
        root.title(self._title)
        label = tk.Label(root, borderwidth=0, background="black")
        label.pack(fill="both", expand=True)
        image: tk.PhotoImage | None = None  # Tk does not keep its pictures alive
        with contextlib.suppress(tk.TclError):  # the user closed the window, which is no error
            while not self._closing.wait(_POLL):
                if self._newest:
                    frame = self._newest.popleft()
                    header = f"P6 {frame.width} {frame.height} 255 ".encode()
                    image = tk.PhotoImage(master=root, data=header + frame.to_ndarray().tobytes())
                    label.configure(image=image)
                root.update()
            root.destroy()
        del image  # on this thread, where Tk's objects have to die
