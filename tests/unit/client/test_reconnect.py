from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ringline.client.reconnect import Action, ReconnectConfig, Reconnector

CONFIG = ReconnectConfig(restart_after=2.0, restart_every=5.0, give_up_after=30.0)


def run(reconnector: Reconnector, until: float) -> list[tuple[float, Action]]:
    """Do what is due in virtual time; return what was to be done and when."""
    done: list[tuple[float, Action]] = []
    while (due := reconnector.poll_timeout()) is not None and due <= until:
        action = reconnector.poll_action(due)
        assert action is not None, "woken for nothing"
        done.append((due, action))
    return done


def test_nothing_is_due_while_the_path_works() -> None:
    reconnector = Reconnector(CONFIG)
    assert reconnector.poll_timeout() is None
    assert reconnector.poll_action(100.0) is None


def test_a_path_that_comes_back_in_time_is_not_restarted() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_disconnected(10.0)
    assert reconnector.poll_timeout() == 12.0
    reconnector.handle_connected()
    assert reconnector.poll_timeout() is None
    assert reconnector.poll_action(50.0) is None


def test_a_lost_path_is_restarted_then_relayed_then_given_up() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_disconnected(10.0)
    assert run(reconnector, 100.0) == [
        (12.0, Action.RESTART),
        (17.0, Action.RESTART_RELAYED),
        (22.0, Action.RESTART_RELAYED),
        (27.0, Action.RESTART_RELAYED),
        (32.0, Action.RESTART_RELAYED),
        (37.0, Action.RESTART_RELAYED),
        (40.0, Action.GIVE_UP),
    ]
    assert reconnector.poll_timeout() is None


def test_another_network_is_tried_at_once() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_network_changed(10.0)
    assert run(reconnector, 10.0) == [(10.0, Action.RESTART)]


def test_another_network_does_not_end_a_call_whose_path_still_works() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_network_changed(10.0)
    assert run(reconnector, 1000.0) == [(10.0, Action.RESTART)]


def test_a_second_outage_begins_with_a_plain_restart_again() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_disconnected(0.0)
    run(reconnector, 20.0)
    reconnector.handle_connected()
    reconnector.handle_disconnected(100.0)
    assert run(reconnector, 102.0) == [(102.0, Action.RESTART)]


def test_each_other_network_begins_with_a_plain_restart() -> None:
    reconnector = Reconnector(CONFIG)
    for when in (10.0, 500.0):
        reconnector.handle_network_changed(when)
        assert run(reconnector, when) == [(when, Action.RESTART)]
    reconnector.handle_disconnected(600.0)
    run(reconnector, 610.0)
    reconnector.handle_network_changed(611.0)
    assert run(reconnector, 616.0) == [(611.0, Action.RESTART), (616.0, Action.RESTART_RELAYED)]


def test_a_restart_of_the_other_side_is_given_its_time() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_restarted(9.0)  # the path works: nothing to put off
    assert reconnector.poll_timeout() is None
    reconnector.handle_disconnected(10.0)
    reconnector.handle_restarted(11.9)
    assert run(reconnector, 39.0)[0] == (16.9, Action.RESTART_RELAYED)
    assert run(reconnector, 100.0) == [(40.0, Action.GIVE_UP)]


def test_losing_the_path_again_and_again_does_not_put_the_restart_off() -> None:
    reconnector = Reconnector(CONFIG)
    reconnector.handle_disconnected(0.0)
    reconnector.handle_disconnected(1.9)
    assert reconnector.poll_timeout() == 2.0


@given(st.lists(st.tuples(st.sampled_from("udnr"), st.floats(0, 5)), max_size=30))
def test_whatever_happens_it_gives_up_once_and_only_without_a_path(
    steps: list[tuple[str, float]],
) -> None:
    reconnector = Reconnector(CONFIG)
    now, lost_at = 0.0, None
    gave_up = 0
    for step, wait in steps:
        now += wait
        for when, action in run(reconnector, now):
            if action is Action.GIVE_UP:
                gave_up += 1
                assert lost_at is not None
                assert when >= lost_at + CONFIG.give_up_after
        if step == "u":
            reconnector.handle_connected()
            lost_at = None
        elif step == "d":
            reconnector.handle_disconnected(now)
            lost_at = now if lost_at is None else lost_at
        elif step == "r":
            reconnector.handle_restarted(now)
        else:
            reconnector.handle_network_changed(now)
    assert gave_up <= 1
