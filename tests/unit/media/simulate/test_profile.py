from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.media.simulate.profile import LinkConditions, LinkProfile, NetworkProfile


def test_text_sets_every_condition() -> None:
    text = "rate=500,queue=400,delay=100,jitter=20,reorder=10,loss=1,ge=2/25,duplicate=3"
    conditions = LinkConditions(
        rate=500_000,
        queue=0.4,
        delay=0.1,
        jitter=0.02,
        reorder=0.1,
        loss=0.01,
        burst_enter=0.02,
        burst_leave=0.25,
        duplicate=0.03,
    )
    assert LinkProfile.parse(text) == LinkProfile(((0.0, conditions),))


def test_a_queue_may_be_given_in_bytes() -> None:
    assert LinkProfile.parse("rate=1,queue=64000B").at(0).queue_bytes == 64_000


def test_a_queue_in_milliseconds_replaces_one_in_bytes() -> None:
    later = LinkProfile.parse("queue=64000B;1:queue=50").at(1)
    assert (later.queue, later.queue_bytes) == (0.05, None)


def test_rate_zero_is_no_bottleneck() -> None:
    assert LinkProfile.parse("rate=500;2:rate=0").at(2).rate is None


def test_a_stage_changes_only_what_it_names() -> None:
    profile = LinkProfile.parse("rate=2000,delay=40;12:loss=100;15:loss=0")
    good = LinkConditions(rate=2_000_000, delay=0.04)
    dead = LinkConditions(rate=2_000_000, delay=0.04, loss=1.0)
    assert [profile.at(time) for time in (0, 11.99, 12, 14.99, 15, 1e9)] == [
        good,
        good,
        dead,
        dead,
        good,
        good,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected key=value, got ''"),
        ("rate", "expected key=value, got 'rate'"),
        ("speed=1", "no key 'speed'; there are rate, queue"),
        ("rate=fast", "rate: expected a number, got 'fast'"),
        ("delay=-1", "delay: must not be negative"),
        ("delay=nan", "delay: must not be negative or endless"),
        ("loss=101", "loss: at most 100 percent, got 101"),
        ("ge=5", "ge: expected P/R, got '5'"),
        ("ge=5/0", "ge: a bad state that nothing ends is loss=100"),
        ("rate=1;loss=2", "stage 'loss=2' needs a time"),
        ("soon:rate=1", "time of stage 'soon:rate=1': expected a number, got 'soon'"),
        ("3:rate=1", "the first stage must start at 0"),
        ("rate=1;5:rate=2;4:rate=3", "a stage at 4 s cannot follow one at 5 s"),
        ("queue=5KB", "queue: expected a number, got '5K'"),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("?", r"\?")):
        LinkProfile.parse(text)


@given(st.text(alphabet="ratedlyossge=,;:/0123456789.-BinfE ", max_size=60))
def test_any_text_is_a_profile_or_a_value_error(text: str) -> None:
    try:
        profile = LinkProfile.parse(text)
    except ValueError:
        return
    assert profile.at(0.0).delay >= 0


def test_conditions_refuse_what_no_link_can_do() -> None:
    for wrong in (
        {"rate": 0.0},
        {"queue": -1.0},
        {"queue_bytes": -1},
        {"loss": 1.5},
        {"jitter": float("inf")},
    ):
        with pytest.raises(ValueError):
            LinkConditions(**wrong)


def test_mean_loss_counts_bursts_and_the_rest() -> None:
    assert LinkProfile.parse("ge=5/45,loss=10").at(0).mean_loss == pytest.approx(0.1 + 0.9 * 0.1)


def test_capacity_is_the_sum_over_the_stages() -> None:
    profile = LinkProfile.parse("rate=2000;15:rate=300;35:rate=2000")
    assert profile.capacity(10, 40) == pytest.approx(5 * 2e6 + 20 * 3e5 + 5 * 2e6)


def test_a_dead_stage_has_no_capacity_and_an_open_one_no_bound() -> None:
    assert LinkProfile.parse("rate=1000;2:loss=100").capacity(0, 10) == pytest.approx(2e6)
    assert LinkProfile.parse("rate=1000;2:rate=0").capacity(0, 10) is None
    assert LinkProfile.parse("rate=1000;2:rate=0").capacity(0, 2) == pytest.approx(2e6)


def test_a_network_has_two_directions_or_one_for_both() -> None:
    two = NetworkProfile.parse("rate=1|rate=2", name="x")
    assert (two.up.at(0).rate, two.down.at(0).rate) == (1_000, 2_000)
    one = NetworkProfile.parse("delay=5")
    assert one.up == one.down == LinkProfile.parse("delay=5")
    with pytest.raises(ValueError, match="a network has two directions, got 3"):
        NetworkProfile.parse("delay=1|delay=2|delay=3")
