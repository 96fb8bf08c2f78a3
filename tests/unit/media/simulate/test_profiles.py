from __future__ import annotations

import pytest

from ringline.media.simulate.profiles import PROFILES, find_network


def test_the_names_are_those_that_documents_and_commands_use() -> None:
    assert list(PROFILES) == [
        "perfect",
        "clean",
        "loss5",
        "loss20",
        "burst",
        "g3",
        "g2",
        "step",
        "outage",
        "wifi",
        "wifi_lossy",
        "wifi_congested",
        "mobile",
        "moderate",
        "international",
        "spiky_loss",
        "satellite",
        "reordering",
    ]


def test_each_is_found_by_its_name_and_says_what_it_is() -> None:
    for name, network in PROFILES.items():
        assert find_network(name) is network
        assert network.name == name
        assert network.summary


def test_a_description_stands_for_a_name() -> None:
    network = find_network("rate=300,delay=50|delay=50")
    assert network.up.at(0).rate == 300_000
    assert network.down.at(0).rate is None


def test_an_unknown_name_is_answered_by_the_list() -> None:
    with pytest.raises(ValueError, match="no network 'moon'; there are perfect, clean, "):
        find_network("moon")
