from __future__ import annotations

import pytest

from ringline.signaling.call import Call, DeviceKey, MintedServers
from ringline.signaling.call_state import CallState
from ringline.signaling.codes import EndReason, ErrorCode
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
    CallRestart,
    CallRinging,
    CallSnapshot,
    Candidate,
    ClientMessage,
    Description,
    Error,
    IceCandidates,
    IceServer,
    MediaKinds,
    MediaRequest,
    MediaResponse,
    MediaUpdate,
    Message,
    SdpAnswer,
    SdpOffer,
    Track,
    TurnRefresh,
)

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ANN = DeviceKey("ann", "1")
BOB, BOB2 = DeviceKey("bob", "1"), DeviceKey("bob", "2")
OFFER = Description(sdp="offer")
CONFIG = ServerConfig(dev=True)
CANDIDATES = IceCandidates(call=ID, candidates=(Candidate(candidate="c 1", mid="0"),))
SERVERS = (IceServer(urls=("turn:192.0.2.7",)),)


def mint(_device: DeviceKey, _call: str) -> MintedServers:
    return MintedServers(SERVERS, 600_000)


def out(call: Call) -> list[tuple[DeviceKey, Message]]:
    found = []
    while (outbound := call.poll_outbound()) is not None:
        found.append((outbound.device, outbound.message))
    return found


def kinds(call: Call) -> list[tuple[DeviceKey, str]]:
    return [(device, str(m.__struct_config__.tag)) for device, m in out(call)]


def ringing(
    *devices: DeviceKey, offer: Description | None = OFFER, lifetime_ms: int = 60_000
) -> Call:
    call = Call(
        CallInvite(call=ID, to="bob", offer=offer, lifetime_ms=lifetime_ms), ANN, CONFIG, mint, 0.0
    )
    call.handle_ring(devices or (BOB,), 0.0)
    out(call)
    return call


def accepted() -> Call:
    call = ringing()
    call.handle_message(BOB, CallAccept(call=ID, answer=Description(sdp="answer")), 1.0)
    out(call)
    return call


def test_an_invite_tells_the_caller_and_rings_every_device() -> None:
    call = Call(CallInvite(call=ID, to="bob", offer=OFFER), ANN, CONFIG, mint, 0.0)
    call.handle_ring((BOB, BOB2), 0.0)
    incoming = CallIncoming(
        call=ID,
        sender="ann",
        media=MediaKinds(),
        offer=OFFER,
        expires_in_ms=60_000,
        ice_servers=SERVERS,
        ice_expires_in_ms=600_000,
    )
    assert out(call) == [
        (
            ANN,
            CallCreated(
                call=ID, expires_in_ms=60_000, ice_servers=SERVERS, ice_expires_in_ms=600_000
            ),
        ),
        (BOB, incoming),
        (BOB2, incoming),
    ]
    assert call.state is CallState.RINGING


def test_the_first_device_that_rings_is_told_to_the_caller_once() -> None:
    call = ringing(BOB, BOB2)
    call.handle_message(BOB, CallRinging(call=ID, sender="eve"), 0.1)
    call.handle_message(BOB2, CallRinging(call=ID), 0.1)
    assert out(call) == [(ANN, CallRinging(call=ID, sender="bob"))]


def test_an_accept_reaches_the_caller_first_and_both_are_told_the_state() -> None:
    call = ringing()
    accept = CallAccept(call=ID, answer=Description(sdp="answer"), id="x")
    call.handle_message(BOB, accept, 1.0)
    assert call.state is CallState.CONNECTING
    sent = out(call)
    assert sent[0] == (
        ANN,
        CallAccept(call=ID, sender="bob", answer=Description(sdp="answer")),
    )
    states = [(d, m.state) for d, m in sent[1:] if isinstance(m, CallSnapshot)]
    assert states == [(ANN, "connecting"), (BOB, "connecting")]
    assert len(sent) == 3


def test_an_accept_without_answer_waits_for_one() -> None:
    call = ringing()
    call.handle_message(BOB, CallAccept(call=ID), 1.0)
    states = [call.state]
    out(call)
    call.handle_message(BOB, SdpAnswer(call=ID, sdp="answer"), 1.1)
    assert kinds(call) == [(ANN, "sdp.answer"), (ANN, "call.state"), (BOB, "call.state")]
    assert [*states, call.state] == [CallState.ACCEPTED, CallState.CONNECTING]


def test_an_offer_may_come_after_the_accept() -> None:
    call = ringing(offer=None)
    call.handle_message(BOB, CallAccept(call=ID), 1.0)
    out(call)
    call.handle_message(ANN, SdpOffer(call=ID, sdp="offer"), 1.1)
    assert out(call) == [(BOB, SdpOffer(call=ID, sender="ann", sdp="offer"))]
    call.handle_message(BOB, SdpAnswer(call=ID, sdp="answer"), 1.2)
    assert call.state is CallState.CONNECTING


def test_the_callers_candidates_go_out_at_once_and_to_devices_that_come_later() -> None:
    call = ringing()
    call.handle_message(ANN, CANDIDATES, 0.1)
    stamped = IceCandidates(call=ID, sender="ann", candidates=CANDIDATES.candidates)
    assert out(call) == [(BOB, stamped)]
    call.handle_device_arrived(BOB2, 0.2)
    assert kinds(call) == [(BOB2, "call.incoming"), (BOB2, "ice.candidates")]


@pytest.mark.parametrize(
    "message",
    [
        CANDIDATES,
        SdpAnswer(call=ID, sdp="answer"),
        SdpOffer(call=ID, sdp="offer"),
        MediaUpdate(call=ID, tracks={}),
        MediaResponse(call=ID, allow=True),
        CallRestart(call=ID, gen=1),
        CallPath(call=ID, state="connected"),
    ],
)
def test_1_3_nothing_of_the_callee_reaches_the_caller_before_its_accept(
    message: ClientMessage,
) -> None:
    call = ringing()
    call.handle_message(BOB, message, 0.1)
    assert [device for device, _ in out(call) if device == ANN] == []
    assert call.state is CallState.RINGING


def test_1_the_callees_candidates_follow_its_accept() -> None:
    call = ringing()
    call.handle_message(BOB, CANDIDATES, 0.1)
    assert out(call) == []
    call.handle_message(BOB, CallAccept(call=ID, answer=Description(sdp="answer")), 1.0)
    assert [kind for device, kind in kinds(call) if device == ANN] == [
        "call.accept",
        "ice.candidates",
        "call.state",
    ]


def test_1_the_candidates_that_are_kept_are_bounded() -> None:
    call = ringing()
    for _ in range(64):
        call.handle_message(BOB, CANDIDATES, 0.1)
    assert out(call) == []
    call.handle_message(BOB, CANDIDATES, 0.1)
    ((device, error),) = out(call)
    assert device == BOB
    assert isinstance(error, Error)
    assert error.code is ErrorCode.RATE_LIMITED


@pytest.mark.parametrize(
    "message",
    [
        CallAccept(call=ID, answer=Description(sdp="x")),
        SdpAnswer(call=ID, sdp="answer"),
        CallPath(call=ID, state="connected"),
        MediaResponse(call=ID, allow=True),
        CallRinging(call=ID),
    ],
)
def test_2_nobody_but_the_callee_can_make_the_call_accepted(message: ClientMessage) -> None:
    call = ringing()
    call.handle_message(ANN, message, 0.1)
    call.handle_message(DeviceKey("eve", "1"), message, 0.1)
    call.handle_message(DeviceKey("bob", "unknown"), message, 0.1)
    assert call.state is CallState.RINGING
    assert [kind for device, kind in kinds(call) if device == BOB] == []


def test_5_one_device_joins_and_the_others_are_told_and_heard_no_more() -> None:
    call = ringing(BOB, BOB2)
    call.handle_message(BOB2, CANDIDATES, 0.5)
    call.handle_message(BOB, CallAccept(call=ID, answer=Description(sdp="answer")), 1.0)
    lost = CallEnd(call=ID, reason=EndReason.ANSWERED_ELSEWHERE, sender="bob")
    assert [m for device, m in out(call) if device == BOB2] == [lost]
    call.handle_message(BOB2, CallAccept(call=ID, answer=Description(sdp="late")), 1.0)
    assert out(call) == [(BOB2, lost)]
    for message in (CANDIDATES, SdpAnswer(call=ID, sdp="x"), MediaUpdate(call=ID, tracks={})):
        call.handle_message(BOB2, message, 1.1)
    assert out(call) == []
    call.handle_message(ANN, CANDIDATES, 1.2)
    assert kinds(call) == [(BOB, "ice.candidates")]


def test_a_decline_ends_it_for_all_devices() -> None:
    call = ringing(BOB, BOB2)
    call.handle_message(BOB, CallDecline(call=ID), 1.0)
    assert out(call) == [
        (BOB2, CallEnd(call=ID, reason=EndReason.DECLINED_ELSEWHERE, sender="bob")),
        (ANN, CallEnd(call=ID, reason=EndReason.DECLINED, sender="bob")),
        (BOB, CallEnd(call=ID, reason=EndReason.DECLINED, sender="bob")),
    ]


def test_a_callee_may_say_that_it_is_busy() -> None:
    call = ringing()
    call.handle_message(BOB, CallDecline(call=ID, reason="busy"), 1.0)
    assert call.reason is EndReason.BUSY


def test_a_callee_that_hangs_up_while_it_rings_declines() -> None:
    call = ringing()
    call.handle_message(BOB, CallEnd(call=ID), 1.0)
    assert call.reason is EndReason.DECLINED


def test_a_callee_that_cannot_answer_the_offer_says_so_and_why() -> None:
    call = ringing()
    call.handle_message(
        BOB, CallEnd(call=ID, reason=EndReason.UNSUPPORTED, detail="no codec in common"), 1.0
    )
    assert call.reason is EndReason.UNSUPPORTED
    ends = [message for _, message in out(call) if isinstance(message, CallEnd)]
    assert ends
    assert {end.detail for end in ends if end.reason is EndReason.UNSUPPORTED} == {
        "no codec in common"
    }


def test_a_device_that_cannot_answer_leaves_the_others_ringing() -> None:
    call = ringing(BOB, BOB2)
    refusal = CallEnd(call=ID, reason=EndReason.UNSUPPORTED, detail="no codec in common")
    call.handle_message(BOB, refusal, 1.0)
    assert call.reason is None
    assert out(call) == [
        (
            BOB,
            CallEnd(
                call=ID, reason=EndReason.UNSUPPORTED, sender="bob", detail="no codec in common"
            ),
        )
    ]
    call.handle_message(BOB, CallAccept(call=ID, answer=Description(sdp="late")), 1.1)
    assert call.state is CallState.RINGING
    out(call)
    call.handle_message(BOB2, CallAccept(call=ID, answer=Description(sdp="x")), 1.2)
    assert call.state is not CallState.RINGING
    assert BOB not in {device for device, _ in out(call)}


@pytest.mark.parametrize("message", [CallCancel(call=ID), CallEnd(call=ID)])
def test_6_a_cancel_is_told_to_every_device_once(message: ClientMessage) -> None:
    call = ringing(BOB, BOB2)
    call.handle_message(ANN, message, 1.0)
    call.handle_end(EndReason.NO_ANSWER, 1.0)
    end = CallEnd(call=ID, reason=EndReason.CANCELLED, sender="ann")
    assert out(call) == [(ANN, end), (BOB, end), (BOB2, end)]


def test_a_cancel_that_crosses_the_accept_is_a_hang_up() -> None:
    call = accepted()
    call.handle_message(ANN, CallCancel(call=ID), 1.0)
    assert call.reason is EndReason.HANGUP


def test_it_rings_for_as_long_as_the_caller_wants_within_bounds() -> None:
    assert ringing(lifetime_ms=30_000).poll_timeout() == 30.0
    assert ringing(lifetime_ms=1).poll_timeout() == 5.0
    assert ringing(lifetime_ms=10**9).poll_timeout() == 180.0


def test_nobody_answers() -> None:
    call = ringing()
    call.handle_timeout(59.9)
    assert out(call) == []
    call.handle_timeout(60.0)
    end = CallEnd(call=ID, reason=EndReason.NO_ANSWER)
    assert out(call) == [(ANN, end), (BOB, end)]
    assert call.poll_timeout() is None


def test_a_device_that_comes_in_the_last_seconds_does_not_ring() -> None:
    call = ringing()
    call.handle_device_arrived(BOB2, 57.5)
    assert out(call) == []


def test_the_path_makes_the_call_active_and_its_loss_reconnecting() -> None:
    call = accepted()
    states = []
    for device, state, now in (
        (ANN, "connected", 2.0),
        (BOB, "connected", 2.1),
        (BOB, "lost", 3.0),
        (ANN, "lost", 3.1),
        (BOB, "connected", 4.0),
        (ANN, "connected", 4.1),
    ):
        call.handle_message(
            device, CallPath(call=ID, state="lost" if state == "lost" else "connected"), now
        )
        states.append((call.state, len(out(call))))
    assert states == [
        (CallState.ACTIVE, 2),
        (CallState.ACTIVE, 0),
        (CallState.RECONNECTING, 2),
        (CallState.RECONNECTING, 0),
        (CallState.RECONNECTING, 0),
        (CallState.ACTIVE, 2),
    ]
    assert call.active_at == 2.0
    assert call.poll_timeout() is None


def test_a_call_that_never_finds_a_path_ends() -> None:
    call = accepted()
    assert call.poll_timeout() == 61.0
    call.handle_timeout(61.0)
    assert call.reason is EndReason.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    "message",
    [
        CANDIDATES,
        SdpOffer(call=ID, sdp="offer", gen=1, neg=1),
        CallRestart(call=ID, gen=1, cause="network changed"),
        MediaRequest(call=ID),
        MediaResponse(call=ID, allow=False),
        MediaUpdate(call=ID, tracks={"0": Track(kind="audio", muted=True)}),
    ],
)
def test_members_of_an_accepted_call_talk_both_ways(message: ClientMessage) -> None:
    for sender, receiver in ((ANN, BOB), (BOB, ANN)):
        call = accepted()
        call.handle_message(sender, message, 2.0)
        ((device, relayed),) = out(call)
        assert device == receiver
        assert getattr(relayed, "sender", None) == sender.user


def test_candidates_of_a_generation_that_is_gone_are_dropped() -> None:
    call = accepted()
    call.handle_message(ANN, SdpOffer(call=ID, sdp="offer", gen=1), 2.0)
    out(call)
    call.handle_message(ANN, CANDIDATES, 2.1)
    assert out(call) == []


def test_a_message_for_somebody_who_is_no_member_goes_nowhere() -> None:
    call = accepted()
    call.handle_message(ANN, IceCandidates(call=ID, to="eve"), 2.0)
    assert out(call) == []


def test_a_member_gives_its_reason_and_a_reason_that_is_not_its_to_give_is_not_taken() -> None:
    for given, told in (
        (EndReason.ICE_FAILED, EndReason.ICE_FAILED),
        (EndReason.POLICY_ENDED, EndReason.APP_ERROR),
    ):
        call = accepted()
        call.handle_message(BOB, CallEnd(call=ID, reason=given, detail="why"), 2.0)
        end = CallEnd(call=ID, reason=told, detail="why", sender="bob")
        assert out(call) == [(ANN, end), (BOB, end)]


def test_saying_it_twice_changes_nothing() -> None:
    call = accepted()
    call.handle_message(BOB, CallAccept(call=ID), 1.1)
    call.handle_message(BOB, CallRinging(call=ID), 1.1)
    assert out(call) == []
    assert call.state is CallState.CONNECTING


def test_late_words_on_an_ended_call_are_answered_with_its_reason() -> None:
    call = accepted()
    call.handle_message(ANN, CallEnd(call=ID), 2.0)
    out(call)
    call.handle_message(BOB, CallEnd(call=ID, reason=EndReason.CONNECTION_LOST), 2.0)
    assert out(call) == [(BOB, CallEnd(call=ID, reason=EndReason.HANGUP, sender="ann"))]
    call.handle_message(BOB, CANDIDATES, 2.0)
    assert out(call) == []


def test_who_is_blocked_is_not_told() -> None:
    call = ringing()
    call.handle_end(EndReason.BLOCKED, 1.0)
    assert [(d, m.reason) for d, m in out(call) if isinstance(m, CallEnd)] == [
        (ANN, EndReason.NO_ANSWER),
        (BOB, EndReason.BLOCKED),
    ]


def test_a_caller_who_is_gone_for_good_rings_no_more() -> None:
    call = ringing()
    call.handle_device_gone(ANN, 30.0, rings_elsewhere=False)
    assert call.reason is EndReason.SIGNALING_FAILED


def test_a_callee_whose_last_device_is_gone_is_offline() -> None:
    call = ringing(BOB, BOB2)
    call.handle_device_gone(BOB, 30.0, rings_elsewhere=True)
    assert call.state is CallState.RINGING
    call.handle_device_gone(BOB2, 30.0, rings_elsewhere=False)
    assert call.reason is EndReason.OFFLINE


def test_an_accepted_call_outlives_its_members_sessions() -> None:
    call = accepted()
    call.handle_device_gone(BOB, 200.0, rings_elsewhere=False)
    assert call.state is CallState.CONNECTING


def test_fresh_ice_servers_are_for_who_asks() -> None:
    call = accepted()
    call.handle_message(BOB, TurnRefresh(call=ID), 300.0)
    assert out(call) == [
        (BOB, TurnRefresh(call=ID, ice_servers=SERVERS, ice_expires_in_ms=600_000))
    ]


def test_a_snapshot_says_all() -> None:
    call = accepted()
    call.handle_message(ANN, MediaUpdate(call=ID, tracks={"1": Track(kind="video")}), 2.0)
    call.handle_message(ANN, CallPath(call=ID, state="connected"), 2.0)
    snapshot = call.snapshot(3.0)
    assert (snapshot.state, snapshot.age_ms, snapshot.reason) == ("active", 3000, None)
    assert [(m.name, m.caller, m.state, m.path) for m in snapshot.members] == [
        ("ann", True, "joined", "connected"),
        ("bob", False, "joined", None),
    ]
    assert snapshot.members[0].tracks == {"1": Track(kind="video")}
