"""The check list checks soon, takes the best pair that answers, and never gives up."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ringline.client.check_list import Check, CheckConfig, CheckList, Pair

CONFIG = CheckConfig()
HOME, AWAY = ("192.0.2.1", 1), ("192.0.2.2", 2)


class Bench:
    """A list in virtual time, and what it sent: time, socket, nominating."""

    def __init__(self, *, controlling: bool = True) -> None:
        rng = random.Random(1)
        self.checks: CheckList[str] = CheckList(CONFIG, controlling, rng)
        self.now = 0.0
        self.sent: list[tuple[float, str, bool]] = []

    def add(self, socket: str, priority: int = 1, *, direct: bool = True) -> Pair[str]:
        return self.checks.add_pair(socket, HOME, priority=priority, direct=direct, now=self.now)

    def drain(self) -> list[Check[str]]:
        found = []
        while (check := self.checks.poll_check(self.now)) is not None:
            found.append(check)
            self.sent.append((round(self.now, 3), check.pair.socket, check.nominate))
        return found

    def answer(self, pair: Pair[str], round_trip: float = 0.02, *, nominated: bool = False) -> None:
        self.checks.handle_response(pair, round_trip, self.now, nominated=nominated)
        self.drain()

    def request(self, pair: Pair[str], *, nominate: bool = False) -> None:
        self.checks.handle_request(pair, self.now, nominate=nominate)
        self.drain()

    def run(
        self, until: float, answers: Callable[[Pair[str], float], bool] = lambda _, __: False
    ) -> None:
        """Let time pass; those that ``answers`` names answer after 20 ms."""
        due: list[tuple[float, Check[str]]] = []
        while True:
            when = self.checks.poll_timeout()
            times = [time for time in (when, *(time for time, _ in due)) if time is not None]
            moment = min(times, default=until)
            if moment >= until:
                break
            self.now = max(self.now, moment)
            for entry in [entry for entry in due if entry[0] <= self.now]:
                due.remove(entry)
                check = entry[1]
                self.checks.handle_response(check.pair, 0.02, self.now, nominated=check.nominate)
            self.checks.handle_timeout(self.now)
            due += [
                (self.now + 0.02, check) for check in self.drain() if answers(check.pair, self.now)
            ]
        self.now = until


def test_nothing_is_checked_before_the_credentials_are_known() -> None:
    bench = Bench()
    bench.add("wifi")
    assert bench.drain() == []
    assert bench.checks.poll_timeout() is None


def test_the_first_check_leaves_at_once_and_the_others_follow_at_the_pace() -> None:
    bench = Bench()
    for priority in (1, 3, 2):
        bench.add(f"s{priority}", priority)
    bench.checks.start(0.0)
    bench.run(0.02)
    assert bench.sent == [(0.0, "s3", True), (0.005, "s2", True), (0.01, "s1", True)]


def test_a_check_without_an_answer_is_repeated_soon_and_then_ever_more_seldom() -> None:
    bench = Bench()
    bench.add("wifi")
    bench.checks.start(0.0)
    bench.run(4.5)
    assert [time for time, _, _ in bench.sent] == [
        0.0,
        0.05,
        0.13,
        0.258,
        0.463,
        0.79,
        1.315,
        2.154,
        3.154,
        4.154,
    ]


def test_a_check_of_the_other_side_is_returned_at_once_but_not_twice() -> None:
    bench = Bench(controlling=False)
    bench.checks.start(0.0)
    pair = bench.add("wifi")
    bench.request(pair)
    bench.request(pair)  # ours has just left
    assert bench.sent == [(0.0, "wifi", False)]


def test_the_first_answer_selects_and_a_better_one_moves() -> None:
    bench = Bench()
    slow, quick = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    bench.drain()
    bench.answer(quick)
    assert bench.checks.selected is quick
    bench.now = 0.1
    bench.answer(slow)
    assert bench.checks.selected is slow


def test_a_pair_of_lower_rank_does_not_take_over() -> None:
    bench = Bench()
    best, other = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    bench.answer(best)
    bench.answer(other)
    assert bench.checks.selected is best


def test_a_relayed_pair_carries_data_at_once_but_is_nominated_late() -> None:
    bench = Bench()
    bench.add("wifi", 2)
    relay = bench.add("relay", 1, direct=False)
    bench.checks.start(0.0)
    bench.run(1.0, lambda pair, _: pair is relay)
    assert bench.checks.selected is relay
    nominating = [time for time, socket, nominate in bench.sent if socket == "relay" and nominate]
    assert nominating[0] == CONFIG.relay_wait


def test_a_relayed_pair_without_rivals_is_nominated_at_once() -> None:
    bench = Bench()
    relay = bench.add("relay", 1, direct=False)
    bench.checks.start(0.0)
    bench.run(0.1, lambda pair, _: pair is relay)
    assert bench.sent == [(0.0, "relay", False), (0.02, "relay", True)]


def test_a_direct_pair_that_answers_late_takes_over_from_the_relay() -> None:
    bench = Bench()
    wifi = bench.add("wifi", 1)
    relay = bench.add("relay", 9, direct=False)
    bench.checks.start(0.0)
    bench.run(6.0, lambda pair, now: pair is relay or now > 3.0)
    assert bench.checks.selected is wifi
    assert wifi.nominated
    assert not relay.nominated


def test_the_selected_pair_is_checked_every_second_for_consent() -> None:
    bench = Bench()
    bench.add("wifi")
    bench.checks.start(0.0)
    bench.run(20.0, lambda _, __: True)
    times = [time for time, _, _ in bench.sent]
    gaps = [later - earlier for earlier, later in pairwise(times[1:])]
    assert all(0.8 <= gap <= 1.25 for gap in gaps)
    assert all(nominate for _, _, nominate in bench.sent)


def test_only_a_few_others_are_kept_in_reserve() -> None:
    bench = Bench()
    for number in range(10):
        bench.add(f"s{number}", number)
    bench.checks.start(0.0)
    bench.run(10.0, lambda _, __: True)
    bench.sent.clear()
    bench.run(20.0, lambda _, __: True)
    assert {socket for _, socket, _ in bench.sent} == {"s9", "s8", "s7", "s6"}


def test_a_reserve_takes_over_when_the_selected_pair_dies() -> None:
    bench = Bench()
    wifi, lte = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    bench.run(10.0, lambda _, __: True)
    assert bench.checks.selected is wifi
    bench.run(14.0, lambda pair, _: pair is lte)
    assert bench.checks.selected is lte
    assert lte.nominated


def test_a_dead_path_is_checked_four_times_a_second_until_consent_expires() -> None:
    bench = Bench()
    wifi = bench.add("wifi")
    bench.checks.start(0.0)
    bench.run(5.0, lambda _, __: True)
    bench.run(8.0)
    bench.sent.clear()
    bench.run(wifi.answered_at + CONFIG.consent_expires)
    assert bench.checks.selected is wifi
    times = [time for time, _, _ in bench.sent]
    assert all(
        later - earlier <= CONFIG.urgent_interval + 0.001 for earlier, later in pairwise(times)
    )
    bench.run(bench.now + 1.0)
    assert bench.checks.selected is None


def test_a_path_that_returns_after_minutes_is_found_again() -> None:
    bench = Bench()
    wifi = bench.add("wifi")
    bench.checks.start(0.0)
    bench.run(5.0, lambda _, __: True)
    bench.run(300.0)
    assert bench.checks.selected is None
    bench.run(301.2, lambda _, __: True)
    assert bench.checks.selected is wifi


def test_a_round_trip_of_seconds_is_alive_as_long_as_answers_come() -> None:
    bench = Bench()
    wifi, lte = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    bench.answer(lte)
    for second in range(4, 40):
        bench.now = float(second)
        bench.answer(wifi, 4.0)
    assert bench.checks.selected is wifi
    assert wifi.round_trip == 4.0


def test_the_quickest_answer_is_remembered() -> None:
    bench = Bench()
    wifi = bench.add("wifi", 1)
    bench.checks.start(0.0)
    for round_trip, least in ((0.3, 0.3), (0.1, 0.1), (0.5, 0.1)):
        bench.answer(wifi, round_trip)
        assert wifi.least_round_trip == least


def test_the_controlled_side_follows_the_nomination() -> None:
    bench = Bench(controlling=False)
    wifi, lte = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    bench.answer(wifi)
    bench.answer(lte)
    bench.request(lte, nominate=True)
    assert bench.checks.selected is lte


def test_of_many_early_nominations_the_best_is_meant_and_later_the_newest() -> None:
    bench = Bench(controlling=False)
    wifi, lte = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    for pair in (wifi, lte):
        bench.answer(pair)
        bench.request(pair, nominate=True)
    assert bench.checks.selected is wifi
    bench.now = 1.0
    bench.request(lte, nominate=True)
    assert bench.checks.selected is lte


def test_a_role_conflict_turns_the_nominating_around() -> None:
    bench = Bench(controlling=True)
    pair = bench.add("wifi")
    bench.checks.start(0.0)
    bench.drain()
    bench.checks.handle_role(lambda _: 7, bench.now, controlling=False)
    bench.run(0.02)
    assert bench.sent == [(0.0, "wifi", True), (0.005, "wifi", False)]
    assert pair.priority == 7


def test_a_socket_that_is_gone_takes_its_pairs_along() -> None:
    bench = Bench()
    wifi, lte = bench.add("wifi", 2), bench.add("lte", 1)
    bench.checks.start(0.0)
    bench.answer(wifi)
    bench.answer(lte)
    bench.checks.remove_socket("wifi", bench.now)
    assert bench.checks.selected is lte
    assert list(bench.checks) == [lte]


def test_the_same_two_ends_are_one_pair_with_the_newest_rank() -> None:
    bench = Bench()
    first = bench.add("wifi", 1)
    assert bench.add("wifi", 5, direct=False) is first
    assert first.rank == (False, 5)


def test_pairs_are_bounded_and_the_least_preferred_goes_first() -> None:
    bench = Bench()
    for number in range(CheckList.MAX_PAIRS + 50):
        bench.add(f"s{number}", number)
    kept = [pair.priority for pair in bench.checks]
    assert kept == list(range(CheckList.MAX_PAIRS + 49, 49, -1))


@settings(max_examples=60)
@given(
    data=st.lists(
        st.tuples(
            st.sampled_from(["answer", "request", "nominate", "pass", "drop"]), st.integers(0, 5)
        ),
        max_size=60,
    ),
    controlling=st.booleans(),
)
def test_whatever_comes_a_pair_that_answers_is_selected(
    data: list[tuple[str, int]], *, controlling: bool
) -> None:
    bench = Bench(controlling=controlling)
    pairs = [bench.add(f"s{n}", n, direct=n % 2 == 0) for n in range(6)]
    bench.checks.start(0.0)
    for verb, index in data:
        pair = pairs[index]
        if pair not in list(bench.checks):
            continue
        match verb:
            case "answer":
                bench.answer(pair)
            case "request" | "nominate":
                bench.request(pair, nominate=verb == "nominate")
            case "drop":
                bench.checks.remove_socket(pair.socket, bench.now)
            case _:
                bench.run(bench.now + 0.7)
        alive = [
            p for p in bench.checks if p.valid and bench.now - p.answered_at < CONFIG.alive_for
        ]
        selected = bench.checks.selected
        if alive:
            assert selected is not None
            assert selected in alive or verb == "pass"
            if controlling and verb != "pass":
                assert selected is max(alive, key=lambda p: p.rank)
        when = bench.checks.poll_timeout()
        assert when is None or when >= bench.now
