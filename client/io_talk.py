"""Talk: one call from the command line, from the first ring to the exit code.

Both commands are here, ``ringline call`` and ``ringline answer``; what they print is
:mod:`.talk_output`'s, what they judge :mod:`.witness`'s and :mod:`.call_rows`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from ringline.client.call import Call
from ringline.client.call_rows import RowMaker, path_word
from ringline.client.call_state import CallState
from ringline.client.client import Client, IncomingCall
from ringline.client.errors import (
    CallEndedError,
    LocalError,
    RinglineError,
    ServerUnreachableError,
)
from ringline.client.events import (
    CallEvent,
    Ended,
    PathChanged,
    PictureChanged,
    QualityChanged,
    RemoteMuted,
    StateChanged,
    VideoRequested,
)
from ringline.client.exit_codes import ExitCode, code_of_end_reason, code_of_error
from ringline.client.io_devices import open_sources
from ringline.client.io_talk_options import (
    TalkOptions,
    check_record,
    make_client,
    numbered_path,
    open_sinks,
    tell_notes,
)
from ringline.client.quality_words import describe_quality
from ringline.client.source_choice import Origin, SourceChoice
from ringline.client.talk_output import Output
from ringline.client.witness import Witness
from ringline.media.errors import MediaError

__all__ = ["answer_calls", "call_somebody"]


async def call_somebody(peer: str, options: TalkOptions, output: Output) -> ExitCode:
    """Call ``peer``, talk, hang up.

    Raises:
        LocalError: If ``peer`` is our own name.
        RinglineError: If the call does not come about.
        MediaError: If a file or device is missing.

    """
    sources = open_sources(options.audio, options.video, name=options.name)
    tell_notes(sources, output)
    sinks = open_sinks(options, options.record, peer, output)
    with _interrupts() as interrupted:
        async with make_client(options, outgoing=True) as me:
            if peer == me.name:
                raise LocalError(f"you are {peer} yourself; call somebody else")
            output.tell("ready", "", name=me.name, server=options.server)
            call = me.start_call(
                peer, audio=sources.audio, video=sources.video, timeout=options.ring_seconds
            )
            for sink in sinks:
                call.add_sink(audio=sink.audio, video=sink.video)
            output.tell("state", f"calling {peer} ...", state=call.state.value, peer=peer)
            talk = _Talk(call, options, output)
            code = await talk.run(interrupted)
            if not talk.connected and not interrupted.is_set():
                await call.connected()  # raises what stopped it, in words
            return code


async def answer_calls(options: TalkOptions, output: Output, *, once: bool) -> ExitCode:
    """Answer every call, one at a time, until interrupted, or after the first one.

    Raises:
        RinglineError: If the server does not let us in, or goes away for good.
        MediaError: If a file or device is missing.

    """
    # Opened only to know now, and not when somebody calls, that something is missing.
    trial = open_sources(options.audio, options.video, name=options.name)
    tell_notes(trial, output)
    await trial.close()
    check_record(options.record)
    first_over: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
    answered = 0
    with _interrupts() as interrupted:
        async with make_client(options, outgoing=False) as me:

            @me.on_incoming
            async def answer(incoming: IncomingCall) -> None:
                nonlocal answered
                answered += 1
                caller = incoming.caller
                output.tell("state", f"{caller} calls", state=CallState.INCOMING.value, peer=caller)
                record = numbered_path(options.record, answered)
                try:
                    code = await _answer_one(incoming, options, output, interrupted, record)
                except (MediaError, RinglineError) as error:
                    incoming.decline()
                    output.tell("note", f"not answered: {error}", text=str(error))
                    code = code_of_error(error)
                if not first_over.done():
                    first_over.set_result(code)

            output.tell(
                "ready",
                f"{me.name} waits for calls on {options.server} (Ctrl-C ends it)",
                name=me.name,
                server=options.server,
            )
            return await _wait_for_end(me, interrupted, first_over if once else None)


async def _wait_for_end(
    me: Client, interrupted: asyncio.Event, first_over: asyncio.Future[ExitCode] | None
) -> ExitCode:
    stop = asyncio.create_task(interrupted.wait())
    closed = asyncio.create_task(me.wait_closed())
    waits: list[asyncio.Future[object]] = [stop, closed]  # type: ignore[list-item] # invariant
    try:
        if first_over is not None:
            waits.append(first_over)  # type: ignore[arg-type] # Future is invariant
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if first_over is not None and first_over.done():
            return first_over.result()
        if closed.done() and not interrupted.is_set():
            raise ServerUnreachableError("the server is gone and did not come back")
        return ExitCode.OK
    finally:
        for task in (stop, closed):
            task.cancel()
        await asyncio.gather(stop, closed, return_exceptions=True)


async def _answer_one(
    incoming: IncomingCall,
    options: TalkOptions,
    output: Output,
    interrupted: asyncio.Event,
    record: Path | None,
) -> ExitCode:
    video = options.video if incoming.video else SourceChoice(Origin.NONE)
    sources = open_sources(options.audio, video, name=options.name)
    try:
        call = await incoming.accept(audio=sources.audio, video=sources.video or False)
    except CallEndedError as error:
        await sources.close()
        output.tell("ended", str(error), reason="cancelled", detail="", seconds=0, impression=None)
        return ExitCode.OK
    for sink in open_sinks(options, record, incoming.caller, output):
        call.add_sink(audio=sink.audio, video=sink.video)
    return await _Talk(call, options, output).run(interrupted)


class _Talk:
    """One call while it lasts."""

    def __init__(self, call: Call, options: TalkOptions, output: Output) -> None:
        self._call: Final = call
        self._options: Final = options
        self._output: Final = output
        self._loop: Final = asyncio.get_running_loop()
        self._witness: Witness | None = None
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._connected_at: float | None = None
        self._path_kind: str | None = None

    @property
    def connected(self) -> bool:
        """Whether media ever flowed."""
        return self._connected_at is not None

    async def run(self, interrupted: asyncio.Event) -> ExitCode:
        """Follow the call to its end; return how that counts."""
        call = self._call
        self._tasks.append(asyncio.create_task(self._hang_up_when(interrupted)))
        self._tasks.append(asyncio.create_task(self._tell_messages()))
        reason = ""
        try:
            async for event in call.events:
                self._handle_event(event)
                if isinstance(event, Ended):
                    reason = event.reason
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await call.closed()
        if interrupted.is_set() and not self.connected:
            return ExitCode.INTERRUPTED
        return code_of_end_reason(reason)

    def _handle_event(self, event: CallEvent) -> None:
        tell, peer = self._output.tell, self._call.peer
        match event:
            case StateChanged(CallState.ENDED):
                return  # the Ended that follows says more
            case StateChanged(state):
                tell(
                    "state",
                    _STATE_TEXTS.get(state, "").format(peer=peer),
                    state=state.value,
                    peer=peer,
                )
                self._handle_state(state)
            case PathChanged(kind):
                if kind == self._path_kind:
                    return  # another pair of the same kind: nothing that a person would notice
                self._path_kind = kind
                word = path_word(kind)
                text = "through the relay" if word == "relay" else f"straight ({kind})"
                tell("path", f"media goes {text}", path=word, kind=kind)
            case RemoteMuted(kind, muted):
                what = "sound" if kind == "audio" else "picture"
                verb = "stopped" if muted else "sends again"
                tell("muted", f"{peer} {verb} {what}", kind=kind, muted=muted)
            case PictureChanged(towards, picture, cause, text):
                tell("picture", text, direction=towards, state=picture, cause=cause)
            case QualityChanged(direction, quality):
                tell(
                    "quality",
                    describe_quality(direction, quality),
                    direction=direction,
                    score=quality.score,
                    sound=quality.sound,
                    picture=quality.picture,
                    cause=quality.cause.value,
                    side=None if quality.side is None else quality.side.value,
                )
            case VideoRequested():
                self._answer_video()
            case Ended(reason, detail):
                self._handle_ended(reason, detail)

    def _handle_state(self, state: CallState) -> None:
        now = self._loop.time()
        if state is CallState.CONNECTING:
            self._witness = Witness(now)
            self._call.add_sink(audio=self._witness, video=self._witness)
            self._tasks.append(asyncio.create_task(self._show_rows(self._witness, now)))
        elif state is CallState.CONNECTED and self._connected_at is None:
            self._connected_at = now
            if self._options.seconds is not None:
                seconds = self._options.seconds
                self._tasks.append(asyncio.create_task(self._hang_up_after(seconds)))

    def _handle_ended(self, reason: str, detail: str) -> None:
        now = self._loop.time()
        seconds, impression = 0.0, None
        words = reason.replace("_", " ") + (f": {detail}" if detail else "")
        text = ""  # a call that never came about is told as an error
        if self._witness is not None and self._connected_at is not None:
            seconds = now - self._connected_at
            impression = asdict(self._witness.sum_up(now))
            text = f"the call with {self._call.peer} ended after {seconds:.0f} s ({words})"
        self._output.tell(
            "ended",
            text,
            reason=reason,
            detail=detail,
            seconds=seconds,
            impression=impression,
            get_stats=self._call.get_stats(),
        )

    def _answer_video(self) -> None:
        """Allow video if our user chose to show any: that is the consent of a command line."""
        if self._options.video.origin is Origin.NONE:
            self._call.answer_video(allow=False)
            return
        none = SourceChoice(Origin.NONE)
        sources = open_sources(none, self._options.video, name=self._options.name)
        self._call.answer_video(allow=True, source=sources.video)
        self._output.tell("note", f"{self._call.peer} asked for video", text="video begins")

    def _tell_message(self, data: str | bytes) -> None:
        text = data if isinstance(data, str) else f"{len(data)} bytes"
        self._output.tell("message", f"{self._call.peer}: {text}", text=text)

    async def _tell_messages(self) -> None:
        async for data in self._call.messages:
            self._tell_message(data)

    async def _show_rows(self, witness: Witness, started_at: float) -> None:
        rows, due = RowMaker(started_at), started_at
        while True:
            due += 1.0
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            row = rows.make_row(self._call.stats(), witness.take_latencies(), self._loop.time())
            self._output.show_row(row)

    async def _hang_up_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._hang_up()

    async def _hang_up_when(self, interrupted: asyncio.Event) -> None:
        await interrupted.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        # Not in a task that the end of the call cancels.
        self._hanging_up = asyncio.create_task(self._call.hang_up())


_STATE_TEXTS: Final = {
    CallState.RINGING: "it rings at {peer}'s ...",
    CallState.CONNECTING: "accepted; looking for a path to {peer} ...",
    CallState.CONNECTED: "connected with {peer}",
    CallState.RECONNECTING: "the path to {peer} is lost; looking for another ...",
}


@contextlib.contextmanager
def _interrupts() -> Iterator[asyncio.Event]:
    """Set an event on Ctrl-C or SIGTERM, so that a call is hung up and a recording finished.

    A second Ctrl-C has its usual meaning.
    """
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def interrupt() -> None:
        event.set()
        remove()

    def remove() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
    except NotImplementedError:  # Windows: Ctrl-C ends the program at once
        yield event
        return
    try:
        yield event
    finally:
        remove()
