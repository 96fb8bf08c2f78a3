"""Call: one call, from the first ring to the last word.

A thin edge that joins four parts and decides nothing that they can decide:

* :mod:`.negotiate` makes and reads offers and answers;
* :class:`~.io_aiortc.PeerTransport` finds the path (ICE, DTLS, data channel);
* :class:`~.call_media.CallMedia` runs sound and picture;
* :class:`~.reconnect.Reconnector` says when to look for another path.

The caller is the offerer for the whole call, so offers never collide; the callee asks for an ICE
restart by ``call.restart``.

Invariants:

1. The callee sends no media and no address before its user accepted.
2. A muted kind sends no new packet, whatever is negotiated (only repeats of what was sent before
   may still leave); video, none before people agreed.
3. The WebSocket may come and go: a call ends by its people, its server's word or its lost path.
4. A call that rings ends by itself if the server that should say so has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET

from ringline.client.call_media import CallMedia
from ringline.client.call_state import CallState, Trigger, advance
from ringline.client.description import Description, TransportDescription
from ringline.client.errors import (
    BusyError,
    CallEndedError,
    CallFailedError,
    ConnectionFailedError,
    DeclinedError,
    LocalError,
    NegotiationError,
    NoAnswerError,
    OfflineError,
)
from ringline.client.events import (
    CallEvent,
    Ended,
    PathChanged,
    RemoteMuted,
    StateChanged,
    VideoRequested,
)
from ringline.client.io_aiortc import PeerTransport
from ringline.client.io_network import NetworkRates
from ringline.client.negotiate import LocalMedia, accept_answer, make_answer, make_offer
from ringline.client.picture_words import Cause, PictureWord, SentPicture, picture_changed
from ringline.client.reconnect import Action, ReconnectConfig, Reconnector
from ringline.client.sdp import format_sdp, parse_sdp
from ringline.client.streams import Stream
from ringline.client.transport import (
    CandidateFound,
    CandidatesComplete,
    ChannelOpened,
    DataChannel,
    IceServer,
    NetworkChanged,
    Path,
    RemoteTransportParameters,
    TransportConfig,
    TransportEvent,
    TransportState,
    TransportStateChanged,
)
from ringline.client.transport import PathChanged as TransportPathChanged
from ringline.media.codecs.registry import CodecRegistry
from ringline.media.frames import AudioFrame, Kind, VideoFrame
from ringline.media.get_stats import StatsReport
from ringline.media.quality import QualityChanged
from ringline.media.send.events import CpuLimitChanged, SentPictureState
from ringline.media.send.picture_state import PictureState
from ringline.media.session import SessionConfig, SessionStats
from ringline.media.sink import AudioSink, VideoSink
from ringline.media.source import AudioSource, VideoSource
from ringline.signaling import messages as wire
from ringline.signaling.codes import EndReason, ErrorCode

__all__ = ["Call", "CallConfig", "CallStats"]

logger = logging.getLogger(__name__)

_EVENT_BACKLOG: Final = 256
_MESSAGE_BACKLOG: Final = 256
_FAREWELL: Final = 1.0
"""Seconds from the other side's goodbye on the path to the end of the call: the server's word,
which tells the reason, mostly comes within them, if there is a server."""
_RING_GRACE: Final = 5.0
"""Seconds that a ring time may be over before we believe that the server will not say so."""
_REFRESH_AT: Final = 0.8  # of the life of TURN credentials: a restart always has good ones
_CHANNEL: Final = "ringline"  # label of the data channel that messages go over


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfig:
    """How calls behave; the defaults suit a person who calls another."""

    ring_timeout: float = 60.0
    """Seconds that it rings at the other side; the server bounds it to 5 to 180."""

    connect_timeout: float = 30.0
    """Seconds from the accept within which a path must be found."""

    transport: TransportConfig = field(default_factory=TransportConfig)
    reconnect: ReconnectConfig = field(default_factory=ReconnectConfig)
    session: SessionConfig = field(default_factory=SessionConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStats:
    """A call at one moment.

    Attributes:
        path: How media goes, or :obj:`None` while there is no path.
        session: Both directions, or :obj:`None` before negotiation is done.
        restarts: ICE restarts so far.

    """

    state: CallState
    path: Path | None
    session: SessionStats | None
    restarts: int


class Call:
    """One call.  Made by :meth:`Client.call`, :meth:`Client.start_call` or an accept.

    Attributes:
        id: The call's name on the server (a ULID).
        peer: The name of the other side.
        outgoing: Whether we called.
        events: What happens, as :data:`~.events.CallEvent`; ends after :class:`~.events.Ended`.
        messages: Data messages from the other side, ``str`` or ``bytes``.

    """

    def __init__(
        self,
        *,
        call_id: str,
        peer: str,
        outgoing: bool,
        video: bool,
        send: Callable[[wire.Message], None],
        on_ended: Callable[[Call], None],
        on_network_changed: Callable[[], None],
        config: CallConfig,
        codecs: CodecRegistry,
        rates: NetworkRates | None = None,
    ) -> None:
        self.id = call_id
        self.peer: Final = peer
        self.outgoing = outgoing
        self.events: Final[Stream[CallEvent]] = Stream(limit=_EVENT_BACKLOG)
        self.messages: Final[Stream[str | bytes]] = Stream(limit=_MESSAGE_BACKLOG)
        self._send_signal: Final = send
        self._on_ended: Final = on_ended
        self._on_network_changed: Final = on_network_changed
        self._rates: Final = rates
        self._config: Final = config
        self._loop: Final = asyncio.get_running_loop()
        self._state = CallState.CALLING if outgoing else CallState.INCOMING
        self._local: Final = LocalMedia.generate()
        self._media: Final = CallMedia(
            codecs=codecs,
            config=config.session,
            # Looked up each time: a crossing call takes another transport.
            send=lambda data: self._transport.send(data),  # noqa: PLW0108
            on_event=self._handle_media_event,
        )
        self._media.set_agreed("video", agreed=video)
        self._transport = self._make_transport()
        self._channel: DataChannel | None = None
        self._unsent: Final[list[str | bytes]] = []  # messages from before there was a channel
        self._reconnector: Final = Reconnector(config.reconnect)
        self._timer: asyncio.TimerHandle | None = None
        self._ring_deadline: float | None = None
        self._connect_deadline: float | None = None
        self._refresh_due: float | None = None  # of TURN credentials
        self._farewell_deadline: float | None = None  # set when the other side has closed the path
        self._generation = 0
        self._negotiation = 0  # number of the last offer, ours or theirs
        self._offer: Description | None = None
        self._restarts = 0
        self._described = False  # our candidates of the present generation trickle from now on
        self._remote_known = False  # of the present generation
        self._early_candidates: list[str | None] = []
        self._remote_muted: dict[Kind, bool] = {}
        self._sent_picture: Final = SentPicture()
        self._received_picture: tuple[PictureWord, Cause] = ("full", "network")
        self._video_answer: asyncio.Future[bool] | None = None
        self._answered: Final[asyncio.Future[None]] = self._loop.create_future()
        self._ended: Final[asyncio.Future[Ended]] = self._loop.create_future()
        self._tasks: Final[set[asyncio.Task[None]]] = set()

    # What a program sees

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self._state

    @property
    def audio(self) -> Stream[AudioFrame]:
        """What the other side says: 20 ms each, without a gap, as it is to be played."""
        return self._media.audio

    @property
    def video(self) -> Stream[VideoFrame]:
        """What the other side shows, each picture when it is due."""
        return self._media.video

    @property
    def path(self) -> Path | None:
        """How media goes: ``path.kind`` is ``host``, ``srflx`` or ``relay``."""
        return self._transport.path

    @property
    def end_reason(self) -> str | None:
        """Why it ended, from the closed list of ``ringline.v1``; :obj:`None` while it goes on."""
        return self._ended.result().reason if self._ended.done() else None

    async def connected(self) -> None:
        """Wait until media flows.

        Raises:
            CallFailedError: If the call ends before: busy, declined, nobody there, no path ...

        """
        await asyncio.shield(self._answered)

    async def wait_ended(self) -> str:
        """Wait for the end of the call; return its reason."""
        return (await asyncio.shield(self._ended)).reason

    async def hang_up(self) -> None:
        """End the call; nothing happens if it is over."""
        if self._state is not CallState.ENDED:
            if self.outgoing and self._state in (CallState.CALLING, CallState.RINGING):
                self._send_signal(wire.CallCancel(call=self.id))
                self._end(EndReason.CANCELLED)
            else:
                self._send_signal(wire.CallEnd(call=self.id))
                self._end(EndReason.HANGUP)
        await self.closed()

    async def closed(self) -> None:
        """Wait until an ended call has let go of its sources and sockets."""
        await asyncio.shield(self._ended)
        while self._tasks:
            await asyncio.wait(self._tasks)  # which goes on if whoever waits here is cancelled

    def send(self, message: str | bytes) -> None:
        """Send a data message, reliably and in order.

        Raises:
            CallEndedError: If the call is over.
            LocalError: If it is longer than the other side takes, or too much waits already.

        """
        self._check_alive()
        if self._channel is None and len(self._unsent) < _MESSAGE_BACKLOG:
            self._unsent.append(message)
        elif self._channel is None or not self._channel.send(message):
            raise LocalError("the message cannot be sent: too long, or too many wait already")

    def mute(self, kind: Kind) -> None:
        """Stop sending a kind; the other side is told."""
        self._set_muted(kind, muted=True)

    def unmute(self, kind: Kind) -> None:
        """Go on sending a kind."""
        self._set_muted(kind, muted=False)

    def muted(self, kind: Kind) -> bool:
        """Tell whether we muted a kind."""
        return self._media.muted[kind]

    def remote_muted(self, kind: Kind) -> bool:
        """Tell whether the other side muted a kind."""
        return self._remote_muted.get(kind, False)

    def set_audio(self, source: AudioSource | None) -> None:
        """Send this sound from now on."""
        self._check_alive()
        self._media.set_audio_source(source)

    def set_video(self, source: VideoSource | None) -> None:
        """Send this picture from now on; it flows as soon as the people agreed to video."""
        self._check_alive()
        self._media.set_video_source(source)

    async def request_video(self, source: VideoSource, *, timeout: float = 30.0) -> bool:  # noqa: ASYNC109 - a person is asked
        """Ask the other side for video in an audio call; if they allow it, ours starts.

        Args:
            source: What we send then; closed if they do not allow it, or nobody waits any more.
            timeout: Seconds to wait for a person; no answer is no.

        """
        self._check_alive()
        if self._video_answer is None or self._video_answer.done():
            self._video_answer = self._loop.create_future()
            self._send_signal(wire.MediaRequest(call=self.id))
        answer = self._video_answer
        try:
            allowed = await asyncio.wait_for(asyncio.shield(answer), timeout)
        except TimeoutError:
            allowed = False
            if self._video_answer is answer:
                self._video_answer = None  # who asks again is to be heard again
        except asyncio.CancelledError:
            await source.close()
            raise
        allowed = allowed and self._state is not CallState.ENDED
        if allowed:
            self._media.set_agreed("video", agreed=True)
            self._media.set_video_source(source)
        else:
            await source.close()
        return allowed

    def answer_video(self, *, allow: bool, source: VideoSource | None = None) -> None:
        """Answer a :class:`~.events.VideoRequested`.

        Args:
            allow: Whether video may flow, both ways.
            source: What we send then; :obj:`None` only watches.

        """
        self._check_alive()
        self._send_signal(wire.MediaResponse(call=self.id, allow=allow))
        if allow:
            self._media.set_agreed("video", agreed=True)
            if source is not None:
                self._media.set_video_source(source)

    def add_sink(self, *, audio: AudioSink | None = None, video: VideoSink | None = None) -> None:
        """Give all that is played to a recorder, speaker or window too; closed with the call.

        A :class:`~ringline.media.Recorder` is both: ``call.add_sink(audio=it, video=it)``.
        """
        self._media.add_sinks(audio, video)

    def stats(self) -> CallStats:
        """Return the call at this moment."""
        return CallStats(
            state=self._state,
            path=self.path,
            session=self._media.stats(),
            restarts=self._restarts,
        )

    def get_stats(self) -> StatsReport:
        """Return what a browser's ``RTCPeerConnection.getStats`` would: objects by ``id``.

        Ready for :func:`json.dumps`; empty before negotiation is done.
        """
        return self._media.get_stats()

    # Beginning; for Client and IncomingCall

    def set_sources(self, audio: AudioSource | None, video: VideoSource | None) -> None:
        """Take the first sources; they start to run."""
        if audio is not None:
            self._media.set_audio_source(audio)
        if video is not None:
            self._media.set_video_source(video)

    def invite(self) -> None:
        """Ring the other side."""
        self._transport.gather(servers_expected=True)
        self._offer = make_offer(self._local, self._describe_transport())
        self._ring_deadline = self._loop.time() + self._config.ring_timeout + _RING_GRACE
        self._arm()
        self._send_signal(
            wire.CallInvite(
                call=self.id,
                to=self.peer,
                media=wire.MediaKinds(audio=True, video=self._media.has_source("video")),
                offer=wire.Description(sdp=format_sdp(self._offer)),
                lifetime_ms=round(self._config.ring_timeout * 1000),
            )
        )

    def prepare(self, incoming: wire.CallIncoming) -> None:
        """Get ready while it rings, so that an accept goes out at once.

        Only our own STUN and TURN servers hear of us; the other side does not.

        Raises:
            NegotiationError: If the offer is malformed.

        """
        self._take_servers(incoming.ice_servers, incoming.ice_expires_in_ms)
        self._ring_for(incoming.expires_in_ms)
        if incoming.offer is not None:
            self._offer = parse_sdp(incoming.offer.sdp, "offer")
            self._generation = incoming.offer.gen
        self._transport.gather()

    def accept(self) -> None:
        """Answer: the local user said yes.

        Raises:
            CallEndedError: If the caller gave up meanwhile.
            NegotiationError: If the offer has nothing that we speak.

        """
        if self._state is not CallState.INCOMING:
            raise CallEndedError(f"the call of {self.peer} is over")
        answer = None if self._offer is None else self._answer(self._offer)
        self._send_signal(
            wire.CallAccept(
                call=self.id,
                media=wire.MediaKinds(audio=True, video=self._media.has_source("video")),
                answer=(
                    None
                    if answer is None
                    else wire.Description(sdp=format_sdp(answer), gen=self._generation)
                ),
            )
        )
        self._advance(Trigger.LOCAL_ACCEPT)

    def cross(self, incoming: wire.CallIncoming) -> None:
        """Go on as the callee of a call that crossed ours and won (glare).

        Our own invite was our user's consent to talk to this person, so it is answered without
        another question; video flows if both invites meant it.
        """
        self._spawn(self._transport.close())
        self.id = incoming.call
        self.outgoing = False
        self._transport = self._make_transport()
        self._begin_generation()
        self._offer = None  # ours is of the call that lost; theirs may still be to come
        self._generation = self._negotiation = 0
        self._media.set_agreed(
            "video", agreed=incoming.media.video and self._media.has_source("video")
        )
        self._state = CallState.INCOMING
        try:
            self.prepare(incoming)
            self.accept()
        except NegotiationError as error:
            self.refuse(error)

    def refuse(self, error: NegotiationError) -> None:
        """End a call whose offer cannot be answered."""
        self._give_up(EndReason.UNSUPPORTED, str(error))

    def decline(self, *, busy: bool = False) -> None:
        """Say no."""
        if self._state is CallState.INCOMING:
            self._send_signal(wire.CallDecline(call=self.id, reason="busy" if busy else "declined"))
            self._end(EndReason.BUSY if busy else EndReason.DECLINED)

    # Signaling

    def handle_message(self, message: wire.Message) -> None:
        """Take a message about this call.  What does not fit changes nothing."""
        if self._state is CallState.ENDED:
            return
        try:
            self._handle_message(message)
        except NegotiationError as error:
            logger.info("call %s: %s", self.id, error)
            if self._state in (CallState.CONNECTED, CallState.RECONNECTING):
                return  # a restart that failed; the next one may do
            self._give_up(EndReason.UNSUPPORTED, str(error))
        except Exception:  # a defect of ours or of a codec must not take the session along
            logger.exception("call %s: %s not handled", self.id, type(message).__name__)
            if self._state not in (CallState.CONNECTED, CallState.RECONNECTING):
                self._give_up(EndReason.APP_ERROR)

    def handle_signaling_lost(self) -> None:
        """End a call that only rings: nobody is left who could say how it goes on.

        One that people have accepted goes on (invariant 3).
        """
        if self._state in _RINGING:
            self._end(EndReason.SIGNALING_FAILED, "the server is gone")

    def _handle_message(self, message: wire.Message) -> None:
        match message:
            case wire.CallCreated():
                self._take_servers(message.ice_servers, message.ice_expires_in_ms)
                if self._state in _RINGING:
                    self._ring_for(message.expires_in_ms)
            case wire.TurnRefresh():
                self._take_servers(message.ice_servers, message.ice_expires_in_ms)
            case wire.CallRinging():
                self._advance(Trigger.REMOTE_RINGING)
            case wire.CallAccept() if self.outgoing:
                self._advance(Trigger.REMOTE_ACCEPT)
                if message.answer is not None:
                    self._handle_answer(message.answer.sdp, message.answer.gen)
            case wire.SdpAnswer() if self.outgoing and message.neg == self._negotiation:
                self._handle_answer(message.sdp, message.gen)
            case wire.SdpOffer() if not self.outgoing:
                self._handle_offer(message)
            case wire.IceCandidates():
                self._handle_candidates(message)
            case wire.CallRestart() if self.outgoing and message.gen > self._generation:
                # Else what it asks for is on its way: both sides lost the path at once.
                if self._state in _ACCEPTED:
                    self._reconnector.handle_restarted(self._loop.time())
                    self._restart()
                    self._arm()
            case wire.MediaUpdate():
                self._handle_media_update(message)
            case wire.MediaRequest():
                self._event(VideoRequested())
            case wire.MediaResponse():
                if self._video_answer is not None and not self._video_answer.done():
                    self._video_answer.set_result(message.allow)
            case wire.CallEnd():
                self._end(message.reason, message.detail)
            case wire.CallSnapshot(state="ended"):
                self._end(message.reason or EndReason.HANGUP)
            case wire.Error(code=ErrorCode.UNKNOWN_CALL) if (
                self._state in _RINGING or message.ref == "call.accept"
            ):
                self._end(EndReason.SIGNALING_FAILED, "the server knows nothing of this call")
            case wire.Error(ref="call.invite") if self._state is CallState.CALLING:
                self._end(EndReason.APP_ERROR, message.message)
            case _:
                logger.debug("call %s: %s means nothing now", self.id, type(message).__name__)

    def _handle_answer(self, sdp: str, generation: int) -> None:
        if self._offer is None or generation != self._generation or self._remote_known:
            return
        answer = parse_sdp(sdp, "answer")
        parameters = accept_answer(self._offer, answer, self._local)
        if not self._media.started:
            self._media.start(parameters)
        self._start_transport(answer)

    def _handle_offer(self, message: wire.SdpOffer) -> None:
        offer = parse_sdp(message.sdp, "offer")
        if message.gen <= self._generation and self._media.started:
            return  # said twice
        self._offer = offer
        self._negotiation = message.neg
        if message.gen != self._generation:
            self._generation = message.gen
            self._early_candidates.clear()  # of a generation that is gone
        if self._state is not CallState.INCOMING:  # else the answer rides in the accept
            self._answer_offer(message, offer)

    def _answer_offer(self, message: wire.SdpOffer, offer: Description) -> None:
        if self._media.started:
            self._restarts += 1
            self._reconnector.handle_restarted(self._loop.time())
            self._arm()
            self._begin_generation()
            self._transport.restart()
        answer = self._answer(offer)
        self._send_signal(
            wire.SdpAnswer(call=self.id, sdp=format_sdp(answer), gen=message.gen, neg=message.neg)
        )

    def _answer(self, offer: Description) -> Description:
        answer, parameters = make_answer(offer, self._local, self._describe_transport())
        if not self._media.started:
            self._media.start(parameters)
        self._start_transport(offer)
        return answer

    def _handle_candidates(self, message: wire.IceCandidates) -> None:
        if message.gen != self._generation:
            return
        found: list[str | None] = [entry.candidate for entry in message.candidates]
        if message.end:
            found.append(None)
        if self._remote_known:
            for candidate in found:
                self._transport.add_remote_candidate(candidate)
        elif len(self._early_candidates) < 128:
            self._early_candidates += found

    def _handle_media_update(self, message: wire.MediaUpdate) -> None:
        for track in message.tracks.values():
            if self._remote_muted.get(track.kind, False) != track.muted:
                self._remote_muted[track.kind] = track.muted
                self._event(RemoteMuted(track.kind, track.muted))
            if track.kind != "video":
                continue
            state: PictureWord = "full" if track.limited is UNSET else track.limited
            cause: Cause = "network" if track.cause is UNSET else track.cause
            if state == "full":
                cause = self._received_picture[1]  # which is over
            if (state, cause) != self._received_picture:
                self._received_picture = state, cause
                self._event(picture_changed("receiving", state, cause))

    def _begin_generation(self) -> None:
        self._described = False
        self._remote_known = False
        self._early_candidates.clear()

    def _ring_for(self, time_ms: int) -> None:
        self._ring_deadline = self._loop.time() + time_ms / 1000 + _RING_GRACE
        self._arm()

    def _take_servers(self, servers: tuple[wire.IceServer, ...], lifetime_ms: int) -> None:
        if lifetime_ms > 0:
            self._refresh_due = self._loop.time() + lifetime_ms / 1000 * _REFRESH_AT
            self._arm()
        self._transport.add_ice_servers(
            [
                IceServer(url=url, username=server.username, credential=server.credential)
                for server in servers
                for url in server.urls
            ]
        )

    # Path

    def _make_transport(self) -> PeerTransport:
        def told(event: TransportEvent) -> None:
            if transport is self._transport:  # one that a crossing call left says nothing more
                self._handle_transport(event)

        transport = PeerTransport(self._config.transport, controlling=self.outgoing, on_event=told)
        transport.on_media = self._media.handle_datagram
        return transport

    def _describe_transport(self) -> TransportDescription:
        self._described = True
        local = self._transport.local_description
        return TransportDescription(
            ufrag=local.ufrag,
            password=local.password,
            fingerprints=local.fingerprints,
            setup="actpass",  # the offer's word; an answer puts its own
            candidates=local.candidates,
            candidates_complete=local.candidates_complete,
        )

    def _start_transport(self, description: Description) -> None:
        remote, data = description.transport, description.section("application")
        self._remote_known = True
        # Who is "active" begins the handshake (RFC 5763 §5); an open role is the answerer's to
        # choose, and we choose to begin.
        we_begin = remote.setup == "passive" or (remote.setup == "actpass" and not self.outgoing)
        self._transport.start(
            RemoteTransportParameters(
                ufrag=remote.ufrag,
                password=remote.password,
                fingerprints=remote.fingerprints,
                candidates=remote.candidates,
                sctp_port=None if data is None else data.sctp_port,
                max_message_size=65536 if data is None else data.max_message_size,
            ),
            dtls_role="client" if we_begin else "server",
        )
        if self.outgoing and self._channel is None:
            self._take_channel(self._transport.open_channel(_CHANNEL))
        for candidate in self._early_candidates:
            self._transport.add_remote_candidate(candidate)
        self._early_candidates.clear()

    def _handle_transport(self, event: TransportEvent) -> None:
        if self._state is CallState.ENDED:
            return
        match event:
            case CandidateFound():
                self._trickle(event.candidate)
            case CandidatesComplete():
                self._trickle(None)
            case TransportStateChanged():
                self._handle_transport_state(event)
            case TransportPathChanged():
                self._event(PathChanged(event.path.kind))
            case NetworkChanged():
                self._on_network_changed()  # the restart needs a way to the server first
                self._reconnector.handle_network_changed(self._loop.time())
                self._reconnect()
            case ChannelOpened():
                if event.channel.label == _CHANNEL:
                    self._take_channel(event.channel)

    def _handle_transport_state(self, event: TransportStateChanged) -> None:
        match event.state:
            case TransportState.CONNECTED:
                self._reconnector.handle_connected()
                path = self.path
                if path is not None:
                    self._media.expect_round_trip(path.least_round_trip)
                    expected = None if self._rates is None else self._rates.recall(path)
                    if expected is not None:
                        self._media.expect_bitrate(expected)
                self._media.set_connected(connected=True)
                self._advance(Trigger.PATH_FOUND)
                kind = None if self.path is None else self.path.kind
                self._send_signal(wire.CallPath(call=self.id, state="connected", kind=kind))
            case TransportState.DISCONNECTED:
                # Media goes on into the silence: the first packet that gets through is how the
                # other side learns that the path is back.
                self._reconnector.handle_disconnected(self._loop.time())
                if self._state is CallState.CONNECTED:
                    self._send_signal(wire.CallPath(call=self.id, state="lost"))
                self._advance(Trigger.PATH_LOST)
            case TransportState.FAILED:
                if self._state is CallState.CONNECTING:
                    self._give_up(EndReason.ICE_FAILED, event.reason)
                else:
                    self._reconnector.handle_disconnected(self._loop.time())
                    self._advance(Trigger.PATH_LOST)
            case TransportState.CLOSED:
                self._farewell_deadline = self._loop.time() + _FAREWELL
            case _:
                return
        self._arm()

    def _trickle(self, candidate: str | None) -> None:
        """Tell a candidate of the newest generation: the transport tells of no other."""
        if not self._described:
            return  # it will be in the description
        # All sections share the transport, which is told of in the first that is not rejected.
        sections = () if self._offer is None else self._offer.sections
        index, mid = next(((i, s.mid) for i, s in enumerate(sections) if not s.rejected), (0, "0"))
        entries = (
            ()
            if candidate is None
            else (wire.Candidate(candidate=candidate, mid=mid, mline=index),)
        )
        self._send_signal(
            wire.IceCandidates(
                call=self.id, gen=self._generation, candidates=entries, end=candidate is None
            )
        )

    def _take_channel(self, channel: DataChannel) -> None:
        self._channel = channel
        channel.on_message = self.messages.push
        for message in self._unsent:
            channel.send(message)
        self._unsent.clear()

    def _restart(self, *, relay_only: bool = False) -> None:
        """Offer an ICE restart (RFC 8445 §9)."""
        self._generation += 1
        self._negotiation += 1
        self._restarts += 1
        self._begin_generation()
        self._transport.restart(relay_only=relay_only)
        self._offer = make_offer(self._local, self._describe_transport())
        self._send_signal(
            wire.SdpOffer(
                call=self.id,
                sdp=format_sdp(self._offer),
                gen=self._generation,
                neg=self._negotiation,
            )
        )

    def _reconnect(self) -> None:
        now = self._loop.time()
        match self._reconnector.poll_action(now):
            case Action.GIVE_UP:
                self._give_up(EndReason.CONNECTION_LOST)
            case Action.RESTART | Action.RESTART_RELAYED as action:
                logger.info("call %s: looks for another path", self.id)
                if self.outgoing:
                    self._restart(relay_only=action is Action.RESTART_RELAYED)
                elif self._state is CallState.INCOMING:
                    self._transport.restart()  # nobody has been told of the first addresses yet
                else:
                    self._send_signal(
                        wire.CallRestart(call=self.id, gen=self._generation + 1, cause="path_lost")
                    )
        if self._refresh_due is not None and now >= self._refresh_due:
            self._refresh_due = None
            self._send_signal(wire.TurnRefresh(call=self.id))
        if self._ring_deadline is not None and now >= self._ring_deadline:
            if self.outgoing:
                self._send_signal(wire.CallCancel(call=self.id))
            self._end(EndReason.NO_ANSWER)
        if self._connect_deadline is not None and now >= self._connect_deadline:
            self._give_up(EndReason.CONNECT_TIMEOUT)
        if self._farewell_deadline is not None and now >= self._farewell_deadline:
            self._give_up(EndReason.HANGUP)
        if self._state is not CallState.ENDED:
            self._tell_picture()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = (
            self._reconnector.poll_timeout(),
            self._refresh_due,
            self._ring_deadline,
            self._connect_deadline,
            self._farewell_deadline,
            self._sent_picture.poll_timeout(),
        )
        when = min((time for time in due if time is not None), default=None)
        if when is not None and self._state is not CallState.ENDED:
            self._timer = self._loop.call_at(when, self._reconnect)

    def _give_up(self, reason: EndReason, detail: str = "") -> None:
        if self._state is CallState.ENDED:
            return
        self._send_signal(wire.CallEnd(call=self.id, reason=reason, detail=detail[:512]))
        self._end(reason, detail)

    # State

    def _advance(self, trigger: Trigger) -> None:
        state = advance(self._state, trigger)
        if state is self._state:
            return
        logger.info("call %s: %s -> %s", self.id, self._state.value, state.value)
        self._state = state
        if state is CallState.CONNECTING:
            self._ring_deadline = None
            self._connect_deadline = self._loop.time() + self._config.connect_timeout
            self._arm()
        self._event(StateChanged(state))
        if state is CallState.CONNECTED and not self._answered.done():
            self._connect_deadline = None
            self._answered.set_result(None)

    def _event(self, event: CallEvent) -> None:
        self.events.push(event)

    def _handle_media_event(self, event: object) -> None:
        if self._state is CallState.ENDED:
            return  # the media says a last word while it closes
        match event:
            case CpuLimitChanged(limited=limited):
                self._sent_picture.handle_cpu(self._loop.time(), limited=limited)
                self._tell_picture()
                self._arm()
            case SentPictureState(state=state, reason=reason):
                cause: Cause = "device" if reason == "cpu" else "network"
                self._sent_picture.handle_watch(_PICTURE_WORDS[state], cause)
                self._tell_picture()
            case QualityChanged():
                self._event(event)

    def _tell_picture(self) -> None:
        changed = self._sent_picture.poll_change(self._loop.time())
        if changed is not None:
            self._event(changed)
            self._send_tracks()

    def _set_muted(self, kind: Kind, *, muted: bool) -> None:
        self._check_alive()
        self._media.set_muted(kind, muted=muted)
        self._send_tracks()

    def _send_tracks(self) -> None:
        state, cause = self._sent_picture.said
        tracks = {
            "0": wire.Track(kind="audio", muted=self._media.muted["audio"]),
            "1": wire.Track(
                kind="video",
                muted=self._media.muted["video"],
                limited=UNSET if state == "full" else state,
                cause=UNSET if state == "full" else cause,
            ),
        }
        self._send_signal(wire.MediaUpdate(call=self.id, tracks=tracks))

    def _check_alive(self) -> None:
        if self._state is CallState.ENDED:
            raise CallEndedError(f"the call with {self.peer} is over")

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, reason: EndReason, detail: str = "") -> None:
        if self._ended.done():
            return
        path, reached = self.path, self._media.reached_bitrate
        self._advance(Trigger.END)
        ended = Ended(reason.value, detail)
        self._event(ended)
        self._ended.set_result(ended)
        if not self._answered.done():
            self._answered.set_exception(_failure(self.peer, reason, detail))
            self._answered.exception()  # a program may not be waiting for it
        if self._video_answer is not None and not self._video_answer.done():
            self._video_answer.set_result(False)
        self._arm()
        self.events.end()
        self.messages.end()
        self._spawn(self._close())
        self._on_ended(self)
        if self._rates is not None and path is not None and reached is not None:
            self._rates.remember(path, reached)

    async def _close(self) -> None:
        # Both at once: the media's goodbye leaves first, and the other side does not wait for a
        # recording that takes a while to finish.
        for result in await asyncio.gather(
            self._media.close(), self._transport.close(), return_exceptions=True
        ):
            if isinstance(result, BaseException):
                logger.error("call %s: did not close well", self.id, exc_info=result)


_RINGING: Final = (CallState.CALLING, CallState.RINGING, CallState.INCOMING)
_ACCEPTED: Final = (CallState.CONNECTING, CallState.CONNECTED, CallState.RECONNECTING)

_PICTURE_WORDS: Final[dict[PictureState, PictureWord]] = {
    PictureState.FULL: "full",
    PictureState.COARSER: "coarser",
    PictureState.SMALLER: "smaller",
    PictureState.PAUSED: "paused",
}

_FAILURES: Final[dict[EndReason, tuple[type[CallFailedError], str]]] = {
    EndReason.OFFLINE: (OfflineError, "{peer} is not there"),
    EndReason.BUSY: (BusyError, "{peer} is in another call"),
    EndReason.DECLINED: (DeclinedError, "{peer} declined"),
    EndReason.NO_ANSWER: (NoAnswerError, "{peer} did not answer"),
    EndReason.CONNECT_TIMEOUT: (ConnectionFailedError, "no path to {peer} was found"),
    EndReason.ICE_FAILED: (ConnectionFailedError, "no path to {peer} was found"),
    EndReason.CONNECTION_LOST: (ConnectionFailedError, "the path to {peer} was lost"),
}


def _failure(peer: str, reason: EndReason, detail: str) -> CallFailedError:
    kind, text = _FAILURES.get(reason, (CallFailedError, "the call to {peer} ended: {reason}"))
    message = text.format(peer=peer, reason=reason.value.replace("_", " "))
    return kind(f"{message} ({detail})" if detail else message, reason=reason.value)
