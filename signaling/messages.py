"""Messages: the vocabulary of ``ringline.v1``, one struct a message.

JSON text frames on one WebSocket of the subprotocol ``ringline.v1``.  The field ``t`` names the
message, unknown fields are ignored, an absent field has its default.  ``->`` is client to
server, ``<-`` server to client, ``<>`` both: relayed, with ``from`` stamped by the server.

=================  ==  ======================================================================
``t``                  meaning
=================  ==  ======================================================================
``hello``          ->  first message: who I am, or which session I resume
``welcome``        <-  the session; then ``call.state`` for each call of this device
``ping, pong``     <>  is anybody there; also carries acknowledgements
``presence.sub``   ->  tell me who is there
``presence.update`` <- who is there; changes only, unless ``full``
``call.invite``    ->  ring somebody; the offer may ride along
``call.created``   <-  the invite stands; ICE servers for this call
``call.incoming``  <-  somebody rings here; ICE servers for this call
``call.ringing``   <>  it rings at the callee
``call.accept``    <>  the callee's user said yes; the answer may ride along
``call.decline``   ->  the callee's user said no
``call.cancel``    ->  the caller gave up before the accept
``call.path``      ->  this member's media path works, or is lost
``call.restart``   <>  the offerer is asked for an ICE restart
``call.state``     <-  where the call stands: after welcome and on each change
``call.end``       <>  the call is over; each device gets one, again after a new session
``call.quality``   ->  a small digest for statistics
``sdp.offer``      <>  an offer that did not ride in the invite, or a later one
``sdp.answer``     <>  likewise for answers
``ice.candidates`` <>  candidates as they are found, and their end
``media.update``   <>  which tracks are muted; always all of them
``media.request``  <>  may I have your video?
``media.response`` <>  yes or no
``turn.refresh``   <>  -> please, <- fresh ICE servers
``server.drain``   <-  the server is about to stop
``error``          <-  what was wrong with a message
=================  ==  ======================================================================

The road of a call, with the least number of round trips::

    caller                        server                        callee
      | call.invite (offer) ------> |
      | <------------ call.created  | call.incoming (offer) ----> |
      |                             | <------------ call.ringing  |
      | <------------ call.ringing  |                             |
      | ice.candidates -----------> | --------------------------> |   the caller's: at once
      |                             | <---------- ice.candidates  |   the callee's: kept here ...
      |                             | <----- call.accept (answer) |
      | <----- call.accept (answer) |                             |
      | <---------- ice.candidates  |                             |   ... and sent on now
      | call.path (connected) ----> | <- call.path (connected) -- |
      | <--- call.state (active) -- | -- call.state (active) ---> |

Numbering.  ``seq`` counts the reliable messages of one session in one direction from 1; ``ack``
is the highest contiguous ``seq`` received, and rides on any message.  Messages of
:data:`UNRELIABLE` have no ``seq``.  After a resume both sides send again what was not
acknowledged; a ``seq`` that was had before is dropped.  A client that does not want to resume
leaves ``seq`` out.

Two who call each other at once: the call with the earlier id wins.  The one whose call lost gets
the winner's ``call.incoming`` first, then ``call.end`` of its own call with ``glare_replaced``
and ``replaced_by``.  Its own invite was its user's consent to talk to that person with that
media, so its client sends ``call.accept`` with its answer for the winner by itself; the server
never accepts for anybody.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ringline.signaling.codes import EndReason, ErrorCode

__all__ = [
    "SUBPROTOCOL",
    "UNRELIABLE",
    "CallAccept",
    "CallCancel",
    "CallCreated",
    "CallDecline",
    "CallEnd",
    "CallIncoming",
    "CallInvite",
    "CallPath",
    "CallQuality",
    "CallRestart",
    "CallRinging",
    "CallSnapshot",
    "Candidate",
    "ClientMessage",
    "Description",
    "Error",
    "Hello",
    "IceCandidates",
    "IceServer",
    "Limits",
    "MediaKinds",
    "MediaRequest",
    "MediaResponse",
    "MediaUpdate",
    "Member",
    "Message",
    "Person",
    "Ping",
    "Pong",
    "PresenceSub",
    "PresenceUpdate",
    "Resume",
    "SdpAnswer",
    "SdpOffer",
    "ServerDrain",
    "ServerInfo",
    "ServerMessage",
    "Track",
    "TurnRefresh",
    "Welcome",
    "You",
]

SUBPROTOCOL: Final = "ringline.v1"

# "$" alone would let a line feed pass behind it, in Python though not in JSON Schema's dialect.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$(?!\n)")]
"""Who a person is on one server.  No colon: names stand in TURN user names between colons."""
DeviceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$(?!\n)")]
"""Made by the client, kept as long as it likes; random for a client that keeps nothing."""
CallId = Annotated[str, Meta(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$(?!\n)")]
"""A ULID: 48 bits of Unix milliseconds, 80 random bits; compares in order of time as text."""
Key = Annotated[str, Meta(min_length=1, max_length=64)]
Sdp = Annotated[str, Meta(min_length=1, max_length=32_768)]
"""Session descriptions of one call have 3 to 8 kB."""
Text = Annotated[str, Meta(max_length=512)]
Counter = Annotated[int, Meta(ge=0, le=2**53 - 1)]  # what a JavaScript number holds exactly
Generation = Annotated[int, Meta(ge=0, le=65_535)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
CallStateName = Literal[
    "new", "ringing", "accepted", "connecting", "active", "reconnecting", "ended"
]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What messages are made of."""


class Message(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t", tag="message"
):
    """What every message has.

    Attributes:
        id: Chosen by a client to have ``error.ref`` point at this message, and to make a
            repeated one a no-op.
        seq: Number of a reliable message; 0 if it has none.
        ack: Highest contiguous ``seq`` received by the sender of this message.

    """

    id: Key | None = None
    seq: Counter = 0
    ack: Counter = 0


# ------------------------------------------------------------------ values


class MediaKinds(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What a member means to send."""

    audio: bool = True
    video: bool = False


class Description(Value, frozen=True, kw_only=True):
    """An SDP offer or answer and the ICE generation that it belongs to."""

    sdp: Sdp
    gen: Generation = 0


class IceServer(Value, frozen=True, kw_only=True):
    """As ``RTCConfiguration.iceServers`` of the W3C has it."""

    urls: tuple[Text, ...]
    username: str | None = None
    credential: str | None = None


class Candidate(Value, frozen=True, kw_only=True):
    """One ICE candidate.

    Attributes:
        candidate: The value of ``a=candidate``, with or without the word ``candidate:``.
        mid: Media section it belongs to (``sdpMid``).
        mline: Index of that section (``sdpMLineIndex``).

    """

    candidate: Text
    mid: Annotated[str, Meta(max_length=32)] | None = None
    mline: Annotated[int, Meta(ge=0, le=255)] | None = None


class Track(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One track that its member sends, or would if it were not muted."""

    kind: Literal["audio", "video"]
    purpose: Literal["microphone", "camera", "screen"] | None = None
    muted: bool = False
    limited: Literal["coarser", "smaller", "paused"] | UnsetType = UNSET
    """How network or device of its member keep it below what its camera gives."""
    cause: Literal["network", "device"] | UnsetType = UNSET
    """Which of the two."""


class Person(Value, frozen=True, kw_only=True):
    """Somebody who is there, or (``offline``, in changes only) is no more."""

    name: Name
    state: Literal["online", "in_call", "offline"]


class Member(Value, frozen=True, kw_only=True):
    """One member of a call.

    Attributes:
        state: ``invited`` (no device has said that it rings), ``ringing``, ``joined`` (the
            caller, or one who accepted) or ``left``.
        path: Whether the member's media path works; :obj:`None` before its first report.
        media: What the member means to send; :obj:`None` before it accepted.
        tracks: Its last ``media.update``.

    """

    name: Name
    caller: bool = False
    state: Literal["invited", "ringing", "joined", "left"]
    path: Literal["connected", "lost"] | None = None
    media: MediaKinds | None = None
    tracks: dict[str, Track] = {}


class Resume(Value, frozen=True, kw_only=True):
    """Proof that a client was in a session, and how far it got in it."""

    session: Key
    secret: Key
    last_seq: Counter = 0


class Limits(Value, frozen=True, kw_only=True):
    """What the server lets one session do."""

    max_message_bytes: int
    messages_per_second: float
    burst: int


class ServerInfo(Value, frozen=True, kw_only=True):
    """Which server this is."""

    name: str
    version: str


class You(Value, frozen=True, kw_only=True):
    """Who the server takes the client for."""

    name: Name
    device: DeviceId


# ------------------------------------------------------------------ session


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first message of each socket, at most 5 s after it opened.

    Attributes:
        token: JWT; its ``sub`` is the user's name.
        name: The wanted name, on a server in ``--dev`` mode, instead of a token.
        client: Program and version, for statistics.
        features: What the client knows beyond the required; the server takes no offence.
        resume: Goes on with a session; the token (or name) is checked all the same.

    """

    token: Annotated[str, Meta(max_length=4096)] | None = None
    name: Annotated[str, Meta(max_length=256)] | None = None
    device: DeviceId
    client: Annotated[str, Meta(max_length=128)] = ""
    features: Annotated[tuple[Key, ...], Meta(max_length=32)] = ()
    resume: Resume | None = None


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The session stands.

    Attributes:
        resumed: The old session goes on; what was not acknowledged follows.
        last_seq: Highest contiguous ``seq`` that the server has of this client: what the
            client need not send again.
        resume_ttl_ms: How long the session is kept without a socket; in a call, twice that.
        ping_ms, ping_in_call_ms: Send a ping after that long without having sent anything.
        dead_ms: No sign for this long after a ping: the socket is dead, take a new one.

    """

    session: Key
    resume_secret: Key
    resume_ttl_ms: Milliseconds
    resumed: bool = False
    last_seq: Counter = 0
    ping_ms: Milliseconds
    ping_in_call_ms: Milliseconds
    dead_ms: Milliseconds
    limits: Limits
    server: ServerInfo
    you: You
    features: tuple[Key, ...] = ()


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """Is anybody there?

    Attributes:
        ts: The sender's clock, in any unit; comes back in the pong.
        last_seq: Highest ``seq`` that the sender has sent.  Who has less has lost something
            and resumes.

    """

    ts: float = 0.0
    last_seq: Counter = 0


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """Yes."""

    ts: float = 0.0
    last_seq: Counter = 0


class PresenceSub(Message, frozen=True, kw_only=True, tag="presence.sub"):
    """Tell me who is there, from now on (or no more)."""

    on: bool = True


class PresenceUpdate(Message, frozen=True, kw_only=True, tag="presence.update"):
    """Who is there.  ``full`` replaces what the client knew; else the people named changed."""

    people: tuple[Person, ...] = ()
    full: bool = False


class ServerDrain(Message, frozen=True, kw_only=True, tag="server.drain"):
    """The server is about to stop.

    Attributes:
        action: ``reconnect``: the server comes back, or another takes over; ``disconnect``: no.
        after_ms: When this client is to do so (spread out, so that not all come at once).

    """

    action: Literal["reconnect", "disconnect"]
    after_ms: Milliseconds = 0


class Error(Message, frozen=True, kw_only=True, tag="error"):
    """What was wrong.

    Attributes:
        message: One line for a person.
        ref: The ``id`` of the message it is about, or else its ``t``.
        retry_after_ms: When it may be tried again; :obj:`None` if that is of no use.
        fatal: The socket is closed after this.

    """

    code: ErrorCode
    message: str = ""
    ref: str | None = None
    call: CallId | None = None
    retry_after_ms: Milliseconds | None = None
    fatal: bool = False


# ------------------------------------------------------------------ call


class CallMessage(Message, frozen=True, kw_only=True, tag="call"):
    """What every message about a call has."""

    call: CallId


class RelayedMessage(CallMessage, frozen=True, kw_only=True, tag="relayed"):
    """A message from one member to another.

    Attributes:
        sender: ``from`` in JSON: who sent it.  The server's word; ignored from a client.
        to: The member it is for; all other members if absent.

    """

    sender: Name | None = msgspec.field(default=None, name="from")
    to: Name | None = None


class CallInvite(CallMessage, frozen=True, kw_only=True, tag="call.invite"):
    """Ring somebody.

    Attributes:
        call: A fresh ULID made by the caller.
        offer: Fast set-up: the callee can answer with its accept.  Without it an ``sdp.offer``
            follows at any time.
        lifetime_ms: How long it may ring; the server bounds it to 5 to 180 s.

    """

    to: Name
    media: MediaKinds = MediaKinds()
    offer: Description | None = None
    lifetime_ms: Milliseconds = 60_000


class CallCreated(CallMessage, frozen=True, kw_only=True, tag="call.created"):
    """The answer to an invite: it stands.

    Attributes:
        ice_servers: Minted for this call and this user; valid for ``ice_expires_in_ms``.

    """

    expires_in_ms: Milliseconds
    ice_servers: tuple[IceServer, ...] = ()
    ice_expires_in_ms: Milliseconds = 0


class CallIncoming(CallMessage, frozen=True, kw_only=True, tag="call.incoming"):
    """Somebody rings here.  The same call may come again after a resume; it rings once.

    Attributes:
        sender: ``from`` in JSON: the caller.

    """

    sender: Name = msgspec.field(name="from")
    media: MediaKinds
    offer: Description | None = None
    expires_in_ms: Milliseconds
    ice_servers: tuple[IceServer, ...] = ()
    ice_expires_in_ms: Milliseconds = 0


class CallRinging(RelayedMessage, frozen=True, kw_only=True, tag="call.ringing"):
    """It rings: the callee's user is being told."""


class CallAccept(RelayedMessage, frozen=True, kw_only=True, tag="call.accept"):
    """The callee's user said yes.  Only a local decision of that user may cause it.

    The first device that accepts wins; the others get ``call.end`` (answered_elsewhere) and
    must not send media.
    """

    media: MediaKinds = MediaKinds()
    answer: Description | None = None


class CallDecline(CallMessage, frozen=True, kw_only=True, tag="call.decline"):
    """The callee's user said no, for all devices."""

    reason: Literal["declined", "busy"] = "declined"


class CallCancel(CallMessage, frozen=True, kw_only=True, tag="call.cancel"):
    """The caller gave up before the accept; after it this is a hang-up."""


class CallPath(CallMessage, frozen=True, kw_only=True, tag="call.path"):
    """This member's media path works, or is lost: what makes the call active or reconnecting.

    A client must say so: a call of which no member has said ``connected`` ends 60 s after the
    accept (``connect_timeout``).

    Attributes:
        kind: ``host``, ``srflx``, ``prflx`` or ``relay``, for statistics.

    """

    state: Literal["connected", "lost"]
    kind: Literal["host", "srflx", "prflx", "relay"] | None = None


class CallRestart(RelayedMessage, frozen=True, kw_only=True, tag="call.restart"):
    """The offerer is asked for an ICE restart, that is an ``sdp.offer`` of generation ``gen``."""

    gen: Generation
    cause: Annotated[str, Meta(max_length=64)] = ""


class CallSnapshot(CallMessage, frozen=True, kw_only=True, tag="call.state"):
    """Where the call stands.

    Attributes:
        gen: Of the last offer that the server saw.
        age_ms: Since the invite.
        reason: Why it ended, if it has.

    """

    state: CallStateName
    members: tuple[Member, ...] = ()
    gen: Generation = 0
    age_ms: Milliseconds = 0
    reason: EndReason | None = None


class CallEnd(CallMessage, frozen=True, kw_only=True, omit_defaults=False, tag="call.end"):
    """The call is over.

    Attributes:
        detail: More for a person.
        sender: ``from`` in JSON: who ended it, if a member did.
        replaced_by: With ``glare_replaced`` and ``replaced``: the call that goes on instead.

    """

    reason: EndReason = EndReason.HANGUP
    detail: Text = ""
    sender: Name | None = msgspec.field(default=None, name="from")
    replaced_by: CallId | None = None


class CallQuality(CallMessage, frozen=True, kw_only=True, tag="call.quality"):
    """A digest of the last seconds, for statistics.  The first to be shed under load."""

    mos: Annotated[float, Meta(ge=1.0, le=5.0)] | None = None
    loss: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    rtt_ms: Annotated[float, Meta(ge=0.0, le=60_000.0)] | None = None
    jitter_ms: Annotated[float, Meta(ge=0.0, le=60_000.0)] | None = None


# ------------------------------------------------------------------ media


class SdpOffer(RelayedMessage, frozen=True, kw_only=True, tag="sdp.offer"):
    """An offer that did not ride in the invite, or a later one.

    Attributes:
        gen: ICE generation: one more than before for a restart.
        neg: Number of this negotiation in the call; the answer carries the same, and an answer
            with another is stale.

    """

    sdp: Sdp
    gen: Generation = 0
    neg: Counter = 0


class SdpAnswer(RelayedMessage, frozen=True, kw_only=True, tag="sdp.answer"):
    """The answer to the offer of the same ``neg``."""

    sdp: Sdp
    gen: Generation = 0
    neg: Counter = 0


class IceCandidates(RelayedMessage, frozen=True, kw_only=True, tag="ice.candidates"):
    """Candidates of one generation, as they are found.

    Attributes:
        candidates: ``list`` in JSON.
        end: That was the last of them.

    """

    gen: Generation = 0
    candidates: Annotated[tuple[Candidate, ...], Meta(max_length=64)] = msgspec.field(
        default=(), name="list"
    )
    end: bool = False


class MediaUpdate(RelayedMessage, frozen=True, kw_only=True, tag="media.update"):
    """All tracks of the sender by the ``mid`` of their section: a full state, sent any time."""

    tracks: Annotated[dict[Annotated[str, Meta(max_length=32)], Track], Meta(max_length=16)]


class MediaRequest(RelayedMessage, frozen=True, kw_only=True, tag="media.request"):
    """May I have your video?  A person is to answer."""

    want: Literal["video"] = "video"


class MediaResponse(RelayedMessage, frozen=True, kw_only=True, tag="media.response"):
    """The person's answer."""

    want: Literal["video"] = "video"
    allow: bool


class TurnRefresh(CallMessage, frozen=True, kw_only=True, tag="turn.refresh"):
    """From a client: fresh ICE servers, please.  From the server: here."""

    ice_servers: tuple[IceServer, ...] = ()
    ice_expires_in_ms: Milliseconds = 0


ClientMessage = (
    Hello
    | Ping
    | Pong
    | PresenceSub
    | CallInvite
    | CallRinging
    | CallAccept
    | CallDecline
    | CallCancel
    | CallPath
    | CallRestart
    | CallEnd
    | CallQuality
    | SdpOffer
    | SdpAnswer
    | IceCandidates
    | MediaUpdate
    | MediaRequest
    | MediaResponse
    | TurnRefresh
)
"""What a client sends."""

ServerMessage = (
    Welcome
    | Ping
    | Pong
    | PresenceUpdate
    | CallCreated
    | CallIncoming
    | CallRinging
    | CallAccept
    | CallRestart
    | CallSnapshot
    | CallEnd
    | SdpOffer
    | SdpAnswer
    | IceCandidates
    | MediaUpdate
    | MediaRequest
    | MediaResponse
    | TurnRefresh
    | ServerDrain
    | Error
)
"""What a server sends."""

UNRELIABLE: Final = (Hello, Welcome, Ping, Pong, PresenceSub, PresenceUpdate, CallQuality)
"""Messages without ``seq``: those that make the session, and those that a later one makes good.

A session remembers ``presence.sub``: a full ``presence.update`` follows each resume.
"""
