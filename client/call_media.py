"""Call media: the sound and picture of one call, between sources, session and streams.

Sources run from the moment that the call is made, so that a camera is warm when the path is
found; what they give before is thrown away, but for the newest picture, which is the first to be
sent.

Invariant: a kind leaves only while it has a source, is not muted, and the people agreed to it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ringline.client.streams import Stream
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.driver import MediaDriver
from ringline.media.errors import MediaError
from ringline.media.frames import AudioFrame, Kind, VideoFrame
from ringline.media.get_stats import StatsReport, to_get_stats
from ringline.media.parameters import SessionParameters
from ringline.media.session import MediaSession, SessionConfig, SessionStats
from ringline.media.sink import AudioSink, VideoSink
from ringline.media.source import AudioSource, VideoSource

__all__ = ["CallMedia"]

logger = logging.getLogger(__name__)

_AUDIO_BACKLOG: Final = 25  # frames: half a second for a program that was busy
_VIDEO_BACKLOG: Final = 3  # an old picture is worth nothing


class CallMedia:
    """Runs the media of one call.

    Args:
        codecs: Makes encoders and decoders.
        config: Tuning of the session.
        send: Takes plain RTP and RTCP at once.
        on_event: Called with the session's events.

    """

    def __init__(
        self,
        *,
        codecs: CodecRegistry,
        config: SessionConfig,
        send: Callable[[bytes], None],
        on_event: Callable[[object], None],
    ) -> None:
        self.audio: Final[Stream[AudioFrame]] = Stream(limit=_AUDIO_BACKLOG)
        self.video: Final[Stream[VideoFrame]] = Stream(limit=_VIDEO_BACKLOG)
        self.muted: Final[dict[Kind, bool]] = {"audio": False, "video": False}
        self._codecs: Final = codecs
        self._config: Final = config
        self._send: Final = send
        self._on_event: Final = on_event
        self._driver: MediaDriver | None = None
        self._executor: Final = ThreadPoolExecutor(2, thread_name_prefix="ringline-codec")
        self._sources: Final[dict[Kind, AudioSource | VideoSource]] = {}
        self._tasks: Final[dict[Kind, asyncio.Task[None]]] = {}
        self._agreed: Final[dict[Kind, bool]] = {"audio": True, "video": True}
        self._audio_sinks: Final[list[AudioSink]] = []
        self._video_sinks: Final[list[VideoSink]] = []
        self._has_played = False
        self._loop: Final = asyncio.get_running_loop()
        self._connected = False
        self._newest_picture: VideoFrame | None = None
        self._stopping: Final[set[asyncio.Task[None]]] = set()  # sources that were replaced
        self._closed = False

    # Sources and sinks

    def set_audio_source(self, source: AudioSource | None) -> None:
        """Send this sound from now on; :obj:`None` for none.  The one before is closed."""
        if self._replace("audio", source) and source is not None:
            self._tasks["audio"] = asyncio.create_task(self._pump_audio(source))

    def set_video_source(self, source: VideoSource | None) -> None:
        """Send this picture from now on; :obj:`None` for none.  The one before is closed."""
        if self._replace("video", source) and source is not None:
            self._newest_picture = None
            self._tasks["video"] = asyncio.create_task(self._pump_video(source))

    def has_source(self, kind: Kind) -> bool:
        """Tell whether there is anything to send of a kind."""
        return kind in self._sources

    def add_sinks(self, audio: AudioSink | None, video: VideoSink | None) -> None:
        """Give what is played to these too; each is closed once, with the call."""
        if audio is not None:
            self._audio_sinks.append(audio)
        if video is not None:
            self._video_sinks.append(video)

    def set_muted(self, kind: Kind, *, muted: bool) -> None:
        """Stop or go on sending a kind, as the user wants it."""
        self.muted[kind] = muted
        self._apply(kind)

    def set_agreed(self, kind: Kind, *, agreed: bool) -> None:
        """Tell whether the people agreed to a kind; it is not sent before."""
        self._agreed[kind] = agreed
        self._apply(kind)

    # The session

    @property
    def started(self) -> bool:
        """Whether negotiation is done."""
        return self._driver is not None

    def start(self, parameters: SessionParameters) -> None:
        """Begin with what negotiation settled; nothing leaves before ``set_connected``."""
        session = MediaSession(
            parameters,
            self._config,
            codecs=self._codecs,
            rng=random.SystemRandom(),
            wall_clock=time.time,
            now=self._loop.time(),
        )
        self._driver = MediaDriver(
            session,
            send=self._send,
            executor=self._executor,
            on_audio=self._play_audio,
            on_video=self._play_video,
            on_event=self._on_event,
        )
        for kind in self.muted:
            self._apply(kind)
        if self._connected:
            self.set_connected(connected=True)
        elif self._newest_picture is not None:
            self._driver.handle_video_frame(self._newest_picture)  # makes the encoder

    def expect_bitrate(self, bitrate: int) -> None:
        """Start from what the last call on this network reached; before ``set_connected``."""
        if self._driver is not None:
            self._driver.expect_bitrate(bitrate)

    def expect_round_trip(self, round_trip: float) -> None:
        """Start as is fit for the path's length, in seconds; before ``set_connected``."""
        if self._driver is not None:
            self._driver.expect_round_trip(round_trip)

    @property
    def reached_bitrate(self) -> int | None:
        """What the path took of late, bits per second, if there is enough to say."""
        return None if self._driver is None else self._driver.reached_bitrate

    def set_connected(self, *, connected: bool) -> None:
        """Tell whether datagrams get through."""
        self._connected = connected
        if self._driver is None:
            return
        self._driver.set_connected(connected=connected)
        if connected and self._newest_picture is not None:
            self._driver.handle_video_frame(self._newest_picture)
        self._newest_picture = None

    def handle_datagram(self, data: bytes, arrived_at: float) -> None:
        """Take plain RTP or RTCP; what comes before :meth:`start` is dropped."""
        if self._driver is not None:
            self._driver.handle_datagram(data, arrived_at)

    def stats(self) -> SessionStats | None:
        """Return the state of both directions; :obj:`None` before :meth:`start`."""
        return None if self._driver is None else self._driver.stats()

    def get_stats(self) -> StatsReport:
        """Return the same under the W3C's names; nothing before :meth:`start`."""
        stats = self.stats()
        return {} if stats is None else to_get_stats(stats, timestamp=time.time() * 1000)

    async def close(self) -> None:
        """Stop everything; sources and sinks are closed too, whatever one of them does."""
        if self._closed:
            return
        self._closed = True
        if self._driver is not None:
            self._driver.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self.audio.end()
        self.video.end()
        for kind in list(self._sources):
            self._let_go(kind)
        while self._stopping:
            await asyncio.wait(self._stopping)
        sinks: list[AudioSink | VideoSink] = [*self._audio_sinks, *self._video_sinks]
        for sink in {id(sink): sink for sink in sinks}.values():  # a recorder is both
            # A call that never came about is an error of its own; an empty recording is not news.
            await _close(sink, at=logging.ERROR if self._has_played else logging.DEBUG)

    # Private

    def _replace(self, kind: Kind, source: AudioSource | VideoSource | None) -> bool:
        """Take another source; return whether it is to be read."""
        if source is not None and source is self._sources.get(kind):
            return False
        if self._closed:
            if source is not None:
                self._spawn(_close(source))
            return False
        self._let_go(kind)
        if source is not None:
            self._sources[kind] = source
        self._apply(kind)
        return True

    def _let_go(self, kind: Kind) -> None:
        source = self._sources.pop(kind, None)
        if source is not None:
            self._spawn(self._stop(source, self._tasks.pop(kind)))

    async def _stop(self, source: AudioSource | VideoSource, pump: asyncio.Task[None]) -> None:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        await _close(source)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _apply(self, kind: Kind) -> None:
        if self._driver is not None:
            sends = kind in self._sources and self._agreed[kind] and not self.muted[kind]
            self._driver.set_muted(kind, muted=not sends)

    async def _pump_audio(self, source: AudioSource) -> None:
        try:
            async for frame in source.frames():
                if self._driver is not None and self._connected:
                    self._driver.handle_audio_frame(frame)
        except MediaError as error:
            logger.error("sound is not sent any more: %s", error)  # noqa: TRY400 - one line
        except Exception:  # a program's own source
            logger.exception("sound is not sent any more")

    async def _pump_video(self, source: VideoSource) -> None:
        try:
            async for frame in source.frames():
                if not self._connected:
                    self._newest_picture = frame
                if self._driver is not None:
                    self._driver.handle_video_frame(frame)  # unconnected, it makes the encoder
        except MediaError as error:
            logger.error("the picture is not sent any more: %s", error)  # noqa: TRY400 - one line
        except Exception:
            logger.exception("the picture is not sent any more")

    def _play_audio(self, frame: AudioFrame) -> None:
        self._has_played = True
        self.audio.push(frame)
        now = self._loop.time()
        for sink in self._audio_sinks:
            try:
                sink.handle_audio_frame(frame, now)
            except Exception:  # a program's own sink; the call goes on
                logger.exception("a sink takes no sound")

    def _play_video(self, frame: VideoFrame) -> None:
        self._has_played = True
        self.video.push(frame)
        now = self._loop.time()
        for sink in self._video_sinks:
            try:
                sink.handle_video_frame(frame, now)
            except Exception:
                logger.exception("a sink takes no picture")


async def _close(
    thing: AudioSource | VideoSource | AudioSink | VideoSink, *, at: int = logging.ERROR
) -> None:
    """Close a source or sink; one that fails keeps nothing else from being closed."""
    try:
        await thing.close()
    except MediaError as error:
        logger.log(at, "%s", error)
    except Exception:
        logger.exception("%s did not close", type(thing).__name__)
