"""Call: one call, as the server knows it.

Takes the members' messages, says what goes to which device.  Where the call stands is in
:mod:`ringline.signaling.call_state`.  A call has members by name, any number of them; so far an
invite makes one with two.  A member that rings may have several devices, one that joined has one.

Sans I/O, and the drain rule holds: after each input, drain :meth:`poll_outbound`.

Invariants (the numbers are those of the protocol's list of safety invariants):

1. (I1) Before a member's accept nothing of it is relayed but ``call.ringing``: no description,
   no candidate.  Its candidates are kept here until then.
2. (I2) No message from anybody but a device of the callee leads to the accept.
3. (I3) So no address of the callee reaches the caller before the accept.
5. (I5) Of the devices of a member one joins; nothing of the others is relayed, ever.
6. Every device that was told of the call is told its end, once, with one reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from ringline.signaling.call_state import CallEvent, CallState, advance
from ringline.signaling.codes import CLIENT_END_REASONS, EndReason, ErrorCode
from ringline.signaling.config import ServerConfig
from ringline.signaling.messages import (
    CallAccept,
    CallCancel,
    CallCreated,
    CallDecline,
    CallEnd,
    CallIncoming,
    CallInvite,
    CallPath,
    CallQuality,
    CallRestart,
    CallRinging,
    CallSnapshot,
    ClientMessage,
    Description,
    Error,
    IceCandidates,
    IceServer,
    MediaKinds,
    MediaRequest,
    MediaResponse,
    MediaUpdate,
    Member,
    Message,
    RelayedMessage,
    SdpAnswer,
    SdpOffer,
    Track,
    TurnRefresh,
)

__all__ = ["Call", "DeviceKey", "MintedServers", "Outbound"]

_MAX_HELD: Final = 64
"""Candidates kept for a device that may not have them yet; a rich host has some 30."""


class DeviceKey(NamedTuple):
    """A device of a user; calls belong to these, not to sessions, and so outlive them."""

    user: str
    device: str


class Outbound(NamedTuple):
    """A message for a device."""

    device: DeviceKey
    message: Message


class MintedServers(NamedTuple):
    """ICE servers for one user in one call."""

    servers: tuple[IceServer, ...] = ()
    expires_in_ms: int = 0


Mint = Callable[[DeviceKey, str], MintedServers]
"""Takes a device and the id of a call."""


@dataclass(slots=True)
class _Member:
    """One member: a person, with the devices that ring or the one that joined."""

    name: str
    caller: bool
    state: str  # as in messages.Member
    device: DeviceKey | None = None  # set when the member joined
    ringing: dict[DeviceKey, list[IceCandidates]] = field(default_factory=dict)  # with what is held
    media: MediaKinds | None = None
    path: str | None = None
    tracks: dict[str, Track] = field(default_factory=dict)


class Call:
    """One call.

    Args:
        invite: The caller's message.
        caller: The device that sent it.
        config: Times.
        mint: Gives ICE servers.
        now: The time.

    """

    def __init__(
        self, invite: CallInvite, caller: DeviceKey, config: ServerConfig, mint: Mint, now: float
    ) -> None:
        self.id: Final = invite.call
        self.created_at: Final = now
        self.accepted_at: float | None = None
        self.active_at: float | None = None
        self.ended_at: float | None = None
        self.reason: EndReason | None = None
        self.caller: Final = caller
        self.media: Final = invite.media
        self._config: Final = config
        self._mint: Final = mint
        self._state = CallState.NEW
        ring_time = min(max(invite.lifetime_ms / 1000, config.min_ring_time), config.max_ring_time)
        self._rings_until: Final = now + ring_time
        self._offer = invite.offer
        self._described = False  # an answer has passed
        self._gen = 0 if invite.offer is None else invite.offer.gen
        self._caller_candidates: list[IceCandidates] = []
        self._members: Final[dict[str, _Member]] = {
            caller.user: _Member(caller.user, True, "joined", device=caller, media=invite.media),
            invite.to: _Member(invite.to, False, "invited"),
        }
        self._ends: Final[dict[DeviceKey, CallEnd]] = {}  # what devices were told that are out
        self._outbound: Final[deque[Outbound]] = deque()

    # ---------------------------------------------------------------- what others ask

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self._state

    @property
    def users(self) -> tuple[str, ...]:
        """The members' names, the caller first."""
        return tuple(self._members)

    def concerns(self, device: DeviceKey) -> bool:
        """Say whether the device is in the call or rings for it."""
        member = self._members.get(device.user)
        return member is not None and (member.device == device or device in member.ringing)

    def joined_devices(self) -> Iterable[DeviceKey]:
        """Return the devices that are in the call, the caller's included."""
        return [m.device for m in self._members.values() if m.device is not None]

    def end_for(self, device: DeviceKey) -> CallEnd | None:
        """Return what a device was told when the call was over for it; :obj:`None` if it is not."""
        return self._ends.get(device)

    def snapshot(self, now: float) -> CallSnapshot:
        """Return where the call stands, for clients."""
        return CallSnapshot(
            call=self.id,
            state=self._state.value,
            members=tuple(
                msgspec.convert(
                    {
                        "name": m.name,
                        "caller": m.caller,
                        "state": m.state,
                        "path": m.path,
                        "media": m.media,
                        "tracks": m.tracks,
                    },
                    Member,
                )
                for m in self._members.values()
            ),
            gen=self._gen,
            age_ms=int((now - self.created_at) * 1000),
            reason=self.reason,
        )

    # ---------------------------------------------------------------- inputs

    def handle_ring(self, devices: Iterable[DeviceKey], now: float) -> None:
        """Ring the callee's devices and tell the caller that the call stands."""
        self._advance(CallEvent.INVITE)
        self._tell_created(now)
        for device in devices:
            self.handle_device_arrived(device, now)

    def handle_repeated_invite(self, now: float) -> None:
        """Answer an invite that the caller sent again, not knowing whether the first arrived."""
        if self._state is CallState.RINGING:
            self._tell_created(now)

    def handle_device_arrived(self, device: DeviceKey, now: float) -> None:
        """Ring one more device of the callee, or again one that has forgotten that it rings."""
        member = self._members.get(device.user)
        if self._state is not CallState.RINGING or member is None or member.caller:
            return
        if self._rings_until - now < self._config.min_incoming_time or device in self._ends:
            return
        member.ringing.setdefault(device, [])
        servers = self._mint(device, self.id)
        self._send(
            device,
            CallIncoming(
                call=self.id,
                sender=self.caller.user,
                media=self.media,
                offer=self._offer,
                expires_in_ms=int((self._rings_until - now) * 1000),
                ice_servers=servers.servers,
                ice_expires_in_ms=servers.expires_in_ms,
            ),
        )
        for candidates in self._caller_candidates:
            self._send(device, candidates)

    def handle_device_gone(self, device: DeviceKey, now: float, *, rings_elsewhere: bool) -> None:
        """Take note that a device's session has expired: it will not come back to it.

        Args:
            device: Which one.
            now: The time.
            rings_elsewhere: Whether its user has other sessions.

        """
        member = self._members.get(device.user)
        if member is None or self._state is not CallState.RINGING:
            return  # an accepted call lives on its media path, not on its sessions
        if member.caller and member.device == device:
            self.handle_end(EndReason.SIGNALING_FAILED, now)
        elif device in member.ringing and not rings_elsewhere:
            # With others left it stays listed: should it come back, it hears how this ended.
            self.handle_end(EndReason.OFFLINE, now)

    def handle_message(self, device: DeviceKey, message: ClientMessage, now: float) -> None:
        """Take a message of a user of this call."""
        member = self._members.get(device.user)
        if member is None:
            self._refuse(device, message, ErrorCode.UNKNOWN_CALL, f"no call {self.id}")
        elif self._state is CallState.ENDED:
            self._answer_late(device, message)
        elif device in self._ends:
            if isinstance(message, CallAccept | CallDecline | CallEnd):
                self._send(device, self._ends[device])
        elif member.device == device:
            self._handle_joined(member, message, now)
        elif device in member.ringing:
            self._handle_ringing_device(member, device, message, now)
        else:
            self._refuse(device, message, ErrorCode.UNKNOWN_CALL, f"no call {self.id} here")

    def handle_end(
        self,
        reason: EndReason,
        now: float,
        *,
        by: str | None = None,
        detail: str = "",
        replaced_by: str | None = None,
    ) -> None:
        """End the call and tell every device that knows of it; once."""
        if self._state is CallState.ENDED:
            return
        told = list(self.joined_devices())
        for member in self._members.values():
            told.extend(member.ringing)
            member.ringing.clear()
            member.state = "left"
        self._advance(CallEvent.END)
        self.reason = reason
        self.ended_at = now
        self._offer = None  # the call is remembered for a while, its descriptions are not
        self._caller_candidates.clear()
        for device in told:
            self._tell_end(
                device,
                CallEnd(
                    call=self.id,
                    reason=self._shown_reason(reason, device),
                    detail=detail,
                    sender=by,
                    replaced_by=replaced_by,
                ),
            )

    def handle_timeout(self, now: float) -> None:
        """End a call that has rung, or looked for its first path, for too long."""
        deadline = self.poll_timeout()
        if deadline is None or now < deadline:
            return
        if self._state is CallState.RINGING:
            self.handle_end(EndReason.NO_ANSWER, now)
        else:
            self.handle_end(EndReason.CONNECT_TIMEOUT, now)

    # ---------------------------------------------------------------- outputs

    def poll_outbound(self) -> Outbound | None:
        """Return the next message for a device."""
        return self._outbound.popleft() if self._outbound else None

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` has something to do."""
        if self._state is CallState.RINGING:
            return self._rings_until
        if self._state in (CallState.ACCEPTED, CallState.CONNECTING):
            assert self.accepted_at is not None  # noqa: S101 - set by the accept
            return self.accepted_at + self._config.connect_timeout
        return None

    # ---------------------------------------------------------------- a device that rings

    def _handle_ringing_device(
        self, member: _Member, device: DeviceKey, message: ClientMessage, now: float
    ) -> None:
        """Take a message of a callee's device before any accept (invariants 1 to 3)."""
        match message:
            case CallRinging():
                if member.state == "invited":  # the first device's is enough
                    member.state = "ringing"
                    self._relay(member, message)
            case CallAccept():
                self._accept(member, device, message, now)
            case CallDecline():
                reason = EndReason.BUSY if message.reason == "busy" else EndReason.DECLINED
                self._decline(member, device, reason, now)
            case CallEnd(reason=EndReason.UNSUPPORTED):
                self._withdraw(member, device, message, now)
            case CallEnd():
                self._decline(member, device, EndReason.DECLINED, now)
            case IceCandidates():
                held = member.ringing[device]
                if (
                    len(held) + 1 <= _MAX_HELD
                    and sum(len(batch.candidates) for batch in held) + len(message.candidates)
                    <= _MAX_HELD
                ):
                    held.append(message)
                else:
                    self._refuse(
                        device, message, ErrorCode.RATE_LIMITED, "too many candidates before accept"
                    )
            case TurnRefresh():
                self._refresh(device)
            case CallQuality():
                pass
            case _:
                self._refuse(
                    device, message, ErrorCode.WRONG_STATE, "this device has not accepted the call"
                )

    def _accept(self, member: _Member, device: DeviceKey, message: CallAccept, now: float) -> None:
        held = member.ringing.pop(device)
        losers = list(member.ringing)
        member.ringing.clear()
        member.state = "joined"
        member.device = device
        member.media = message.media
        self.accepted_at = now
        self._advance(CallEvent.ACCEPT)
        self._relay(member, message)
        if message.answer is not None:
            self._described = True
        for candidates in held:
            self._relay(member, candidates)
        for loser in losers:
            self._tell_end(
                loser,
                CallEnd(call=self.id, reason=EndReason.ANSWERED_ELSEWHERE, sender=member.name),
            )
        self._check_described()
        self._tell_state(now)

    def _decline(
        self, member: _Member, device: DeviceKey, reason: EndReason, now: float, detail: str = ""
    ) -> None:
        for other in [key for key in member.ringing if key != device]:
            del member.ringing[other]
            self._tell_end(
                other,
                CallEnd(call=self.id, reason=EndReason.DECLINED_ELSEWHERE, sender=member.name),
            )
        self.handle_end(reason, now, by=member.name, detail=detail)

    def _withdraw(self, member: _Member, device: DeviceKey, message: CallEnd, now: float) -> None:
        """A device cannot answer the offer.  No person said no: the others go on ringing."""
        assert message.reason is not None  # noqa: S101 - that is how it came here
        if len(member.ringing) == 1:
            self._decline(member, device, message.reason, now, detail=message.detail)
            return
        del member.ringing[device]
        self._tell_end(
            device,
            CallEnd(call=self.id, reason=message.reason, sender=member.name, detail=message.detail),
        )

    # ---------------------------------------------------------------- a device that joined

    def _handle_joined(self, member: _Member, message: ClientMessage, now: float) -> None:
        """Take a message of the caller, or of the device that accepted."""
        accepted = self._state.is_accepted
        match message:
            case CallEnd() if accepted:
                reason = message.reason
                if reason not in CLIENT_END_REASONS:
                    reason = EndReason.APP_ERROR
                self.handle_end(reason, now, by=member.name, detail=message.detail)
            case CallCancel() if accepted:  # it crossed the accept
                self.handle_end(EndReason.HANGUP, now, by=member.name)
            case CallEnd() | CallCancel():
                self.handle_end(EndReason.CANCELLED, now, by=member.name)
            case SdpOffer():
                self._handle_offer(member, message, now)
            case SdpAnswer() if accepted:
                self._described = True
                self._relay(member, message)
                if self._check_described():
                    self._tell_state(now)
            case IceCandidates():
                if message.gen >= self._gen:  # of a generation that is gone: of no use
                    self._keep_for_late_devices(message)
                    self._relay(member, message)
            case CallPath() if accepted:
                self._handle_path(member, message, now)
            case MediaUpdate():
                member.tracks = message.tracks
                self._relay(member, message)
            case CallRestart() | MediaRequest() | MediaResponse() if accepted:
                self._relay(member, message)
            case TurnRefresh():
                self._refresh(self._device_of(member))
            case CallQuality() | CallAccept() | CallRinging() | CallDecline() | CallInvite():
                pass  # for statistics, or said twice
            case _:
                self._refuse(
                    self._device_of(member),
                    message,
                    ErrorCode.WRONG_STATE,
                    f"the call is {self._state.value}",
                )

    def _handle_offer(self, member: _Member, message: SdpOffer, now: float) -> None:
        self._gen = max(self._gen, message.gen)
        if self._state is CallState.RINGING:
            # A device that comes later gets this one in its call.incoming.
            self._offer = Description(sdp=message.sdp, gen=message.gen)
            self._caller_candidates = [
                batch for batch in self._caller_candidates if batch.gen >= message.gen
            ]
        elif self._offer is None:
            self._offer = Description(sdp=message.sdp, gen=message.gen)
        self._relay(member, message)
        if self._check_described():
            self._tell_state(now)

    def _keep_for_late_devices(self, message: IceCandidates) -> None:
        kept = sum(len(batch.candidates) for batch in self._caller_candidates)
        if (
            self._state is CallState.RINGING
            and len(self._caller_candidates) < _MAX_HELD
            and kept + len(message.candidates) <= _MAX_HELD
        ):
            stamped = msgspec.structs.replace(message, sender=self.caller.user, to=None)
            self._caller_candidates.append(stamped)

    def _handle_path(self, member: _Member, message: CallPath, now: float) -> None:
        member.path = message.state
        lost = any(m.path == "lost" for m in self._members.values())
        before = self._state
        self._advance(CallEvent.PATH_DOWN if lost else CallEvent.PATH_UP)
        if self._state is not before:
            if self.active_at is None:
                self.active_at = now
            self._tell_state(now)

    # ---------------------------------------------------------------- what both do

    def _advance(self, event: CallEvent) -> None:
        self._state = advance(self._state, event)

    def _check_described(self) -> bool:
        """Go on to CONNECTING if offer and answer have passed; return whether the state moved."""
        before = self._state
        if self._offer is not None and self._described:
            self._advance(CallEvent.DESCRIBED)
        return self._state is not before

    def _answer_late(self, device: DeviceKey, message: ClientMessage) -> None:
        """Tell the reason once more to a device that does not seem to know it."""
        if not isinstance(
            message, CallInvite | CallAccept | CallDecline | CallCancel | CallEnd | CallPath
        ):
            return
        end = self._ends.get(device)
        if end is None:  # a device that came after the end
            assert self.reason is not None  # noqa: S101 - the call has ended
            end = CallEnd(call=self.id, reason=self._shown_reason(self.reason, device))
        self._send(device, end)

    def _tell_end(self, device: DeviceKey, end: CallEnd) -> None:
        self._ends[device] = end
        self._send(device, end)

    def _shown_reason(self, reason: EndReason, device: DeviceKey) -> EndReason:
        """Return what a device is told: who is blocked is not told so."""
        if reason is EndReason.BLOCKED and device == self.caller:
            return EndReason.NO_ANSWER
        return reason

    def _refresh(self, device: DeviceKey) -> None:
        servers = self._mint(device, self.id)
        self._send(
            device,
            TurnRefresh(
                call=self.id,
                ice_servers=servers.servers,
                ice_expires_in_ms=servers.expires_in_ms,
            ),
        )

    def _tell_created(self, now: float) -> None:
        servers = self._mint(self.caller, self.id)
        self._send(
            self.caller,
            CallCreated(
                call=self.id,
                expires_in_ms=int((self._rings_until - now) * 1000),
                ice_servers=servers.servers,
                ice_expires_in_ms=servers.expires_in_ms,
            ),
        )

    def _tell_state(self, now: float) -> None:
        snapshot = self.snapshot(now)
        for device in self.joined_devices():
            self._send(device, snapshot)

    def _relay(self, member: _Member, message: RelayedMessage) -> None:
        """Send on to the other members: the device that joined, or all that ring."""
        stamped = msgspec.structs.replace(message, sender=member.name, id=None, to=None)
        for other in self._members.values():
            if other is member or message.to not in (None, other.name):
                continue
            for device in [other.device] if other.device is not None else list(other.ringing):
                self._send(device, stamped)

    def _refuse(self, device: DeviceKey, message: ClientMessage, code: ErrorCode, why: str) -> None:
        ref = message.id or str(message.__struct_config__.tag)
        self._send(device, Error(code=code, message=why, ref=ref, call=self.id))

    def _device_of(self, member: _Member) -> DeviceKey:
        assert member.device is not None  # noqa: S101 - the member joined
        return member.device

    def _send(self, device: DeviceKey, message: Message) -> None:
        self._outbound.append(Outbound(device, message))
