"""Driver: the one asyncio loop around a :class:`~ringline.media.session.MediaSession`.

After each input it drains every output, then arms one timer.  Datagrams are drained together, all
that one turn of the loop has read: a picture comes as a burst of them.  Codec jobs run on threads,
one at a time per lane; all else runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final

from ringline.media.frames import AudioFrame, Kind, VideoFrame
from ringline.media.io_clock import LoopClock
from ringline.media.jobs import Job
from ringline.media.session import MediaSession, SessionStats

__all__ = ["MediaDriver"]

logger = logging.getLogger(__name__)


class MediaDriver:
    """Runs a session on real time.

    Args:
        session: Not yet driven by anyone else.
        send: Takes each datagram (plain RTP or RTCP) at once; must not block or raise.
        executor: Where codecs run.  The caller owns it.
        on_audio: Called with each 20 ms of sound when it is due.
        on_video: Called with each picture when it is due.
        on_event: Called with each event of the session.

    """

    def __init__(
        self,
        session: MediaSession,
        *,
        send: Callable[[bytes], None],
        executor: Executor,
        on_audio: Callable[[AudioFrame], None],
        on_video: Callable[[VideoFrame], None],
        on_event: Callable[[object], None],
    ) -> None:
        self._session: Final = session
        self._send: Final = send
        self._executor: Final = executor
        self._on_audio: Final = on_audio
        self._on_video: Final = on_video
        self._on_event: Final = on_event
        self._loop: Final = asyncio.get_running_loop()
        self._clock: Final = LoopClock(self._loop)
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None  # when that is; uvloop's own does not tell if it is now
        self._lanes: Final[dict[str, deque[Job]]] = {}  # a lane is here while a job of it runs
        self._drain_soon: asyncio.Handle | None = None
        self._draining = False
        self._dirty = False  # an input came while draining, from an output's callback
        self._closed = False

    # Inputs, each on the loop's thread

    def handle_audio_frame(self, frame: AudioFrame) -> None:
        """Send 20 ms of sound."""
        self._session.handle_audio_frame(frame, self._clock.now())
        self._drain()

    def handle_video_frame(self, frame: VideoFrame) -> None:
        """Send a picture."""
        self._session.handle_video_frame(frame, self._clock.now())
        self._drain()

    def handle_datagram(self, data: bytes, arrived_at: float) -> None:
        """Take a decrypted datagram, stamped on the loop's clock when it left the socket."""
        self._session.handle_datagram(data, arrived_at)
        if self._drain_soon is None:
            self._drain_soon = self._loop.call_soon(self._drain_now)

    def set_connected(self, *, connected: bool) -> None:
        """Tell whether datagrams get through."""
        self._session.set_connected(connected, self._clock.now())
        self._drain()

    def expect_bitrate(self, bitrate: int) -> None:
        """Start from what the last call on this network reached."""
        self._session.expect_bitrate(bitrate, self._clock.now())

    def expect_round_trip(self, round_trip: float) -> None:
        """Start as is fit for what the connectivity checks measured, in seconds."""
        self._session.expect_round_trip(round_trip, self._clock.now())

    @property
    def reached_bitrate(self) -> int | None:
        """What the path took of late, bits per second, if there is enough to say."""
        return self._session.reached_bitrate

    def set_muted(self, kind: Kind, *, muted: bool) -> None:
        """Stop or go on sending one kind."""
        self._session.set_muted(kind, muted, self._clock.now())
        self._drain()

    def stats(self) -> SessionStats:
        """Return the state of both directions."""
        return self._session.stats(self._clock.now())

    def close(self) -> None:
        """Say goodbye and stop; jobs that still run end unseen."""
        if self._closed:
            return
        self._session.close(self._clock.now())
        self._drain()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    # The loop

    def _drain_now(self) -> None:
        """Drain what a turn of the loop has read."""
        self._drain_soon = None  # it runs: cancelled, it would hide its name from a traceback
        self._drain()

    def _drain(self) -> None:
        self._dirty = True
        if self._closed or self._draining:
            return
        if self._drain_soon is not None:
            self._drain_soon.cancel()
            self._drain_soon = None
        self._draining = True
        try:
            while self._dirty:
                self._dirty = False
                self._drain_once()
        finally:
            self._draining = False
        self._arm()

    def _drain_once(self) -> None:
        session = self._session
        while (job := session.poll_job()) is not None:
            self._start(job)
        while (data := session.poll_datagram(self._clock.now())) is not None:
            self._send(data)
        while (sound := session.poll_audio()) is not None:
            self._on_audio(sound)
        while (picture := session.poll_video()) is not None:
            self._on_video(picture)
        while (event := session.poll_event()) is not None:
            self._on_event(event)

    def _arm(self) -> None:
        if self._closed:  # from a callback of this very drain
            return
        when = self._session.poll_timeout()
        if when == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = when
        self._timer = None if when is None else self._clock.call_at(when, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = self._due = None
        self._session.handle_timeout(self._clock.now())
        self._drain()

    # Jobs

    def _start(self, job: Job) -> None:
        waiting = self._lanes.get(job.lane)
        if waiting is None:
            self._lanes[job.lane] = deque()
            self._run(job)
        else:
            waiting.append(job)

    def _run(self, job: Job) -> None:
        # As run_in_executor, but for its future and the turn of the loop that each one takes.
        future = self._executor.submit(_run_timed, job)
        future.add_done_callback(lambda done: self._hand_back(job, done))

    def _hand_back(self, job: Job, done: Future[None]) -> None:
        """Bring a job to the loop's thread; called on its own."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._finish, job, done)

    def _finish(self, job: Job, done: Future[None]) -> None:
        if self._closed:
            return  # the executor takes no more
        waiting = self._lanes[job.lane]
        if waiting:
            self._run(waiting.popleft())
        else:
            del self._lanes[job.lane]
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:  # jobs keep a codec's failure inside; this is our own defect
            logger.error("codec job on lane %s failed", job.lane, exc_info=error)
        self._session.handle_job(job, self._clock.now())
        self._drain()


def _run_timed(job: Job) -> None:
    started_at = time.perf_counter()
    job.run()
    job.seconds = time.perf_counter() - started_at
