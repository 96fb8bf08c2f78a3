from __future__ import annotations

import itertools

from ringline.signaling.call_state import TRANSITIONS, CallEvent, CallState, advance


def test_the_road_of_a_call() -> None:
    state = CallState.NEW
    states = []
    for event in (
        CallEvent.INVITE,
        CallEvent.ACCEPT,
        CallEvent.DESCRIBED,
        CallEvent.PATH_UP,
        CallEvent.PATH_DOWN,
        CallEvent.PATH_UP,
        CallEvent.END,
    ):
        state = advance(state, event)
        states.append(state)
    assert states == [
        CallState.RINGING,
        CallState.ACCEPTED,
        CallState.CONNECTING,
        CallState.ACTIVE,
        CallState.RECONNECTING,
        CallState.ACTIVE,
        CallState.ENDED,
    ]


def test_1_ended_is_final() -> None:
    assert {advance(CallState.ENDED, event) for event in CallEvent} == {CallState.ENDED}


def test_2_only_accept_leads_out_of_ringing_other_than_to_the_end() -> None:
    out = {e: s for e, s in TRANSITIONS[CallState.RINGING].items() if s is not CallState.RINGING}
    assert out == {CallEvent.ACCEPT: CallState.ACCEPTED, CallEvent.END: CallState.ENDED}


def test_2_nothing_is_accepted_without_accept() -> None:
    others = [event for event in CallEvent if event is not CallEvent.ACCEPT]
    for sequence in itertools.product(others, repeat=4):
        state = CallState.NEW
        for event in sequence:
            state = advance(state, event)
            assert not state.is_accepted


def test_3_events_that_mean_nothing_change_nothing() -> None:
    moves = {
        (state, event)
        for state, row in TRANSITIONS.items()
        for event, target in row.items()
        if target is not state and event is not CallEvent.END
    }
    assert moves == {
        (CallState.NEW, CallEvent.INVITE),
        (CallState.RINGING, CallEvent.ACCEPT),
        (CallState.ACCEPTED, CallEvent.DESCRIBED),
        (CallState.CONNECTING, CallEvent.PATH_UP),
        (CallState.ACTIVE, CallEvent.PATH_DOWN),
        (CallState.RECONNECTING, CallEvent.PATH_UP),
    }


def test_4_every_state_can_end() -> None:
    assert {advance(state, CallEvent.END) for state in CallState} == {CallState.ENDED}


def test_5_the_table_names_every_pair() -> None:
    assert {(s, e) for s, row in TRANSITIONS.items() for e in row} == set(
        itertools.product(CallState, CallEvent)
    )
