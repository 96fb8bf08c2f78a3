from __future__ import annotations

import itertools

import pytest

from ringline.client.call_state import CallState, Trigger, advance


@pytest.mark.parametrize(
    ("triggers", "state"),
    [
        ([Trigger.REMOTE_ACCEPT, Trigger.PATH_FOUND], CallState.CONNECTED),
        ([Trigger.REMOTE_RINGING, Trigger.REMOTE_ACCEPT], CallState.CONNECTING),
        (
            [Trigger.REMOTE_ACCEPT, Trigger.PATH_FOUND, Trigger.PATH_LOST],
            CallState.RECONNECTING,
        ),
        (
            [Trigger.REMOTE_ACCEPT, Trigger.PATH_FOUND, Trigger.PATH_LOST, Trigger.PATH_FOUND],
            CallState.CONNECTED,
        ),
        ([Trigger.PATH_FOUND], CallState.CALLING),
        ([Trigger.REMOTE_ACCEPT, Trigger.REMOTE_RINGING], CallState.CONNECTING),
    ],
)
def test_a_call_that_we_make(triggers: list[Trigger], state: CallState) -> None:
    now = CallState.CALLING
    for trigger in triggers:
        now = advance(now, trigger)
    assert now is state


def test_1_ended_is_final() -> None:
    for trigger in Trigger:
        assert advance(CallState.ENDED, trigger) is CallState.ENDED


def test_2_only_the_local_accept_answers_an_incoming_call() -> None:
    others = [trigger for trigger in Trigger if trigger is not Trigger.LOCAL_ACCEPT]
    for sequence in itertools.product(others, repeat=3):
        state = CallState.INCOMING
        for trigger in sequence:
            state = advance(state, trigger)
        assert state in (CallState.INCOMING, CallState.ENDED)


def test_every_state_can_end() -> None:
    assert {advance(state, Trigger.END) for state in CallState} == {CallState.ENDED}
