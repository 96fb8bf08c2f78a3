"""Switchboard: all calls of a server: makes them, finds them, keeps two from colliding.

What a single call does is in :mod:`ringline.signaling.call`.  Here is what takes more than one
call to decide:

* *busy*: a device of the callee is in an accepted call;
* *glare*: two call each other at once; the earlier id wins.  The loser's device gets the
  winner's ``call.incoming`` first, then ``call.end`` (glare_replaced) of its own call.  Its own
  invite was its user's consent, so its client accepts the winner by itself; the server accepts
  for nobody (invariant I2);
* *re-call*: a device calls a person whom it is in a call with: the old call is over (it has
  forgotten it, or wants to start again), the new one rings.

Sans I/O, and the drain rule holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ringline.signaling.call import Call, DeviceKey, Mint, Outbound
from ringline.signaling.call_state import CallState
from ringline.signaling.codes import EndReason, ErrorCode
from ringline.signaling.config import ServerConfig
from ringline.signaling.messages import (
    CallEnd,
    CallInvite,
    CallSnapshot,
    ClientMessage,
    Error,
    Message,
)
from ringline.signaling.timers import Timers

__all__ = ["Switchboard"]


class Switchboard:
    """All calls.

    Args:
        config: Times and limits.
        mint: Gives ICE servers to a device for a call.
        devices_of: Gives the devices of a user that have a session.

    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        mint: Mint,
        devices_of: Callable[[str], Sequence[DeviceKey]],
    ) -> None:
        self._config: Final = config
        self._mint: Final = mint
        self._devices_of: Final = devices_of
        self._calls: Final[dict[str, Call]] = {}
        self._calls_by_user: Final[dict[str, dict[str, Call]]] = {}  # those that have not ended
        self._ended_by_user: Final[dict[str, dict[str, Call]]] = {}  # those still remembered
        self._timers: Final[Timers[str]] = Timers()
        self._outbound: Final[deque[Outbound]] = deque()
        self._ended: Final[deque[Call]] = deque()  # for statistics
        self._draining = False

    # ---------------------------------------------------------------- what others ask

    def in_call(self, user: str) -> bool:
        """Say whether a device of the user is in an accepted call."""
        return any(call.state.is_accepted for call in self._calls_by_user.get(user, {}).values())

    def holds(self, device: DeviceKey) -> bool:
        """Say whether the device is in an accepted call."""
        return any(
            call.state.is_accepted and call.concerns(device)
            for call in self._calls_by_user.get(device.user, {}).values()
        )

    def call_users(self, call_id: str) -> tuple[str, ...]:
        """Return the members of a call; none if there is no such call."""
        call = self._calls.get(call_id)
        return () if call is None else call.users

    def snapshots(self, device: DeviceKey, now: float) -> list[CallSnapshot]:
        """Return where the calls of a device stand."""
        return [
            call.snapshot(now)
            for call in self._calls_by_user.get(device.user, {}).values()
            if call.concerns(device)
        ]

    def ends(self, device: DeviceKey) -> list[CallEnd]:
        """Return the ends of the calls of a device that ended not long ago."""
        calls = (
            *self._ended_by_user.get(device.user, {}).values(),
            *self._calls_by_user.get(device.user, {}).values(),  # over for this device only
        )
        return [end for call in calls if (end := call.end_for(device)) is not None]

    def count_by_state(self) -> dict[CallState, int]:
        """Return how many calls are in each state, ended ones left out."""
        counts = dict.fromkeys(CallState, 0)
        for call in self._calls.values():
            counts[call.state] += 1
        del counts[CallState.ENDED]
        return counts

    # ---------------------------------------------------------------- inputs

    def handle_drain(self, now: float) -> None:
        """Take no new calls, and end those that only ring; accepted ones go on without us."""
        self._draining = True
        for call in list(self._calls.values()):
            if call.state is CallState.RINGING:
                call.handle_end(EndReason.SERVER_SHUTDOWN, now)
                self._settle(call)

    def handle_message(self, device: DeviceKey, message: ClientMessage, now: float) -> None:
        """Take a message about a call."""
        if isinstance(message, CallInvite):
            self._handle_invite(device, message, now)
            return
        call = self._calls.get(getattr(message, "call", ""))
        if call is None:
            self._refuse(device, message, ErrorCode.UNKNOWN_CALL, "no such call")
            return
        call.handle_message(device, message, now)
        self._settle(call)

    def handle_device_arrived(self, device: DeviceKey, now: float) -> None:
        """Ring a device that has just come, or come anew, for the calls of its user that ring."""
        for call in list(self._calls_by_user.get(device.user, {}).values()):
            call.handle_device_arrived(device, now)
            self._settle(call)

    def handle_device_gone(self, device: DeviceKey, now: float) -> None:
        """Take note that a device's session is over."""
        others = [other for other in self._devices_of(device.user) if other != device]
        for call in list(self._calls_by_user.get(device.user, {}).values()):
            call.handle_device_gone(device, now, rings_elsewhere=bool(others))
            if call.state.is_accepted and not any(
                joined in self._devices_of(joined.user)
                for joined in call.joined_devices()
                if joined != device
            ):
                # Nobody is left who could ever end it.  The peers' media may well go on.
                call.handle_end(EndReason.SIGNALING_FAILED, now)
            self._settle(call)

    def handle_timeout(self, now: float) -> None:
        """Let calls ring out, and forget those that ended a while ago."""
        while (call_id := self._timers.pop_due(now)) is not None:
            call = self._calls[call_id]
            if call.state is CallState.ENDED:
                self._forget(call)
                continue
            call.handle_timeout(now)
            self._settle(call)

    # ---------------------------------------------------------------- outputs

    def poll_outbound(self) -> Outbound | None:
        """Return the next message for a device."""
        return self._outbound.popleft() if self._outbound else None

    def poll_ended(self) -> Call | None:
        """Return a call that has ended, each once."""
        return self._ended.popleft() if self._ended else None

    def poll_timeout(self) -> float | None:
        """Return when :meth:`handle_timeout` has something to do."""
        return self._timers.next()

    # ---------------------------------------------------------------- invites

    def _handle_invite(self, device: DeviceKey, invite: CallInvite, now: float) -> None:
        known = self._calls.get(invite.call)
        if known is not None:
            if known.caller != device:
                self._refuse(device, invite, ErrorCode.CALL_EXISTS, "that id is taken")
                return
            known.handle_repeated_invite(now)
            known.handle_message(device, invite, now)
            self._settle(known)
            return
        if self._draining:
            self._refuse(device, invite, ErrorCode.DRAINING, "the server is about to stop")
            return
        if invite.to == device.user:
            self._refuse(device, invite, ErrorCode.NOT_ALLOWED, "one cannot call oneself")
            return
        own = [c for c in self._calls_by_user.get(device.user, {}).values() if c.concerns(device)]
        if len(own) >= self._config.max_calls_per_device:
            self._refuse(device, invite, ErrorCode.OVERLOADED, "too many calls at once")
            return
        for old in own:
            if old.state.is_accepted and invite.to in old.users:
                old.handle_end(EndReason.REPLACED, now, by=device.user, replaced_by=invite.call)
                self._settle(old)
        call = Call(invite, device, self._config, self._mint, now)
        rival = self._rival(device, invite.to)
        callees = self._devices_of(invite.to)
        if rival is not None:
            self._settle_glare(call, rival, now)
            return
        if not callees:
            self._end_at_once(call, EndReason.OFFLINE, now)
        elif self.in_call(invite.to):
            self._end_at_once(call, EndReason.BUSY, now)
        else:
            self._add(call)
            call.handle_ring(callees, now)
            self._settle(call)

    def _rival(self, device: DeviceKey, callee: str) -> Call | None:
        """Return the call of the callee that rings at this very device, if there is one."""
        for call in self._calls_by_user.get(callee, {}).values():
            rings = call.state is CallState.RINGING and call.caller.user == callee
            if rings and call.concerns(device):
                return call
        return None

    def _settle_glare(self, new: Call, old: Call, now: float) -> None:
        """Keep the earlier of two calls between the same two; see the module's docstring."""
        if old.id < new.id:
            # The caller of the new one has had the old one's call.incoming already.
            self._end_at_once(new, EndReason.GLARE_REPLACED, now, replaced_by=old.id)
            return
        self._add(new)
        new.handle_ring([old.caller], now)  # only where the consent was given
        self._settle(new)
        old.handle_end(EndReason.GLARE_REPLACED, now, replaced_by=new.id)
        self._settle(old)

    def _end_at_once(
        self, call: Call, reason: EndReason, now: float, *, replaced_by: str | None = None
    ) -> None:
        self._add(call)
        call.handle_end(reason, now, replaced_by=replaced_by)
        self._settle(call)

    # ---------------------------------------------------------------- books

    def _add(self, call: Call) -> None:
        self._calls[call.id] = call
        for user in call.users:
            self._calls_by_user.setdefault(user, {})[call.id] = call

    def _settle(self, call: Call) -> None:
        """Drain a call after an input, and keep the books right."""
        while (outbound := call.poll_outbound()) is not None:
            self._outbound.append(outbound)
        if call.state is not CallState.ENDED:
            self._timers.set(call.id, call.poll_timeout())
            return
        assert call.ended_at is not None  # noqa: S101 - set with the state
        self._timers.set(call.id, call.ended_at + self._config.ended_call_ttl)
        for user in call.users:
            if _take_out(self._calls_by_user, user, call.id):
                self._ended_by_user.setdefault(user, {})[call.id] = call
                if user == call.caller.user:
                    self._ended.append(call)

    def _forget(self, call: Call) -> None:
        del self._calls[call.id]
        for user in call.users:
            _take_out(self._ended_by_user, user, call.id)

    def _refuse(self, device: DeviceKey, message: ClientMessage, code: ErrorCode, why: str) -> None:
        ref = message.id or str(message.__struct_config__.tag)
        call_id = getattr(message, "call", None)
        self._send(device, Error(code=code, message=why, ref=ref, call=call_id))
        if isinstance(message, CallEnd) and code is ErrorCode.UNKNOWN_CALL:
            # Who hangs up wants to hear that it is over.
            self._send(device, CallEnd(call=message.call, reason=message.reason))

    def _send(self, device: DeviceKey, message: Message) -> None:
        self._outbound.append(Outbound(device, message))


def _take_out(calls_by_user: dict[str, dict[str, Call]], user: str, call_id: str) -> bool:
    """Take a call out of an index; return whether it was there."""
    calls = calls_by_user.get(user, {})
    found = calls.pop(call_id, None) is not None
    if found and not calls:
        del calls_by_user[user]
    return found
