from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringline.client.rate_memory import MAX_FILE_SIZE, RateMemory, RateMemoryConfig
from ringline.media.errors import ParseError

DAY = 86_400.0
NOW = 1_700_000_000.0


def test_it_recalls_what_the_last_call_on_a_network_reached_and_nothing_of_another() -> None:
    memory = RateMemory()
    memory.remember("home", 100_000, NOW)
    memory.remember("home", 140_000, NOW + 1)
    assert memory.recall("home", NOW + DAY) == 140_000
    assert memory.recall("work", NOW + DAY) is None


@pytest.mark.parametrize(("later", "known"), [(7 * DAY, True), (7 * DAY + 1, False), (-1, False)])
def test_after_a_week_or_before_it_was_kept_nothing_is_known(later: float, known: bool) -> None:
    memory = RateMemory()
    memory.remember("home", 140_000, NOW)
    assert memory.recall("home", NOW + later) == (140_000 if known else None)


def test_the_network_used_longest_ago_is_forgotten_first() -> None:
    memory = RateMemory(RateMemoryConfig(max_networks=2))
    for count, network in enumerate(["home", "work", "home", "train"]):
        memory.remember(network, 1000 + count, NOW)
    found = {network: memory.recall(network, NOW) for network in ("home", "work", "train")}
    assert found == {"home": 1002, "work": None, "train": 1003}


def test_what_it_dumps_another_one_loads_and_no_name_of_a_network_is_in_it() -> None:
    memory, other = RateMemory(), RateMemory()
    for number in range(40):
        memory.remember(f"host 192.168.{number}.0/24", 1000 + number, NOW)
    data = memory.dump()
    assert len(data) < MAX_FILE_SIZE
    assert b"192.168" not in data
    other.load(data)
    assert other.recall("host 192.168.39.0/24", NOW) == 1039
    assert other.recall("host 192.168.7.0/24", NOW) is None  # of 40 the last 32 are kept
    assert msgspec.json.decode(other.dump()) == msgspec.json.decode(data)


def test_two_memories_name_a_network_differently() -> None:
    names = []
    for _ in range(2):
        memory = RateMemory()
        memory.remember("home", 1, NOW)
        names += msgspec.json.decode(memory.dump())["networks"]
    assert names[0] != names[1]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_what_is_no_dump_is_refused_and_changes_nothing(data: bytes) -> None:
    memory = RateMemory()
    memory.remember("home", 140_000, NOW)
    with pytest.raises(ParseError):
        memory.load(data)
    assert memory.recall("home", NOW) == 140_000


@pytest.mark.parametrize(
    "entry",
    ['{"bitrate": 0, "at": 1}', '{"bitrate": 1, "at": -1}', '{"bitrate": 1.5, "at": 1}', "7"],
)
def test_an_entry_out_of_bounds_is_refused(entry: str) -> None:
    text = f'{{"key": "{"a" * 32}", "networks": {{"{"b" * 32}": {entry}}}}}'
    with pytest.raises(ParseError):
        RateMemory().load(text.encode())


def test_a_dump_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(ParseError, match="at most 16384 bytes"):
        RateMemory().load(b" " * (MAX_FILE_SIZE + 1))


def test_what_is_too_old_or_dated_by_a_wrong_clock_is_deleted_with_the_next_call() -> None:
    def kept() -> int:
        return len(msgspec.json.decode(memory.dump())["networks"])

    memory = RateMemory()
    memory.remember("home", 1000, NOW)
    memory.remember("work", 2000, NOW + 6 * DAY)
    memory.remember("train", 3000, NOW + 7.5 * DAY)
    assert kept() == 2  # home is more than a week ago
    memory.remember("plane", 4000, NOW + 6 * DAY)  # the clock was wrong and is right again
    assert kept() == 2
    assert memory.recall("work", NOW + 6 * DAY) == 2000
