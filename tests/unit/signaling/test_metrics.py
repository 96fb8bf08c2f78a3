from __future__ import annotations

import json

from ringline.signaling.authenticate import authenticate_by_name
from ringline.signaling.call import MintedServers
from ringline.signaling.config import ServerConfig
from ringline.signaling.counters import Histogram
from ringline.signaling.hub import Hub
from ringline.signaling.metrics import MetricsPage

CALL = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def busy_hub() -> Hub:
    hub = Hub(
        ServerConfig(dev=True),
        authenticate=authenticate_by_name,
        mint_ice_servers=lambda _user, _call, _host: MintedServers(),
    )
    people = {}
    for name in ("annabel", "bobby"):
        number = hub.handle_open("h", 0.0)
        assert number is not None
        people[name] = number
        hub.handle_text(number, json.dumps({"t": "hello", "name": name, "device": "1"}), 0.0)
    for name, now, message in (
        ("annabel", 0.0, {"t": "call.invite", "to": "bobby", "offer": {"sdp": "o"}}),
        ("bobby", 2.0, {"t": "call.accept", "answer": {"sdp": "a"}}),
        ("bobby", 2.3, {"t": "call.path", "state": "connected"}),
        ("annabel", 42.0, {"t": "call.end"}),
        ("annabel", 42.0, {"t": "odd"}),
    ):
        hub.handle_text(people[name], json.dumps({**message, "call": CALL}), now)
    return hub


def test_the_page_has_the_hubs_numbers() -> None:
    page = MetricsPage(busy_hub(), loop_lag=lambda: 0.25, turn_allocations=lambda: 3)
    lines = page.text().decode().splitlines()
    for line in (
        "ringline_ws_connections 2.0",
        "ringline_sessions 2.0",
        "ringline_loop_lag_seconds 0.25",
        "ringline_turn_allocations 3.0",
        'ringline_calls{state="active"} 0.0',
        'ringline_calls_total{end_reason="hangup",media="audio"} 1.0',
        'ringline_ws_messages_total{direction="in",type="call.accept"} 1.0',
        'ringline_ws_messages_total{direction="out",type="call.end"} 2.0',
        'ringline_ws_errors_total{code="unsupported"} 1.0',
        'ringline_ws_dropped_total{cause="bad"} 1.0',
        'ringline_call_answer_seconds_bucket{le="2.0"} 1.0',
        'ringline_call_answer_seconds_bucket{le="1.0"} 0.0',
        'ringline_call_connect_seconds_bucket{le="0.4"} 1.0',
        "ringline_call_duration_seconds_sum 40.0",
    ):
        assert line in lines


def test_no_person_and_no_call_is_named() -> None:
    text = MetricsPage(busy_hub(), loop_lag=lambda: 0.0).text().decode()
    assert "annabel" not in text
    assert "bobby" not in text
    assert CALL not in text


def test_two_servers_in_one_process_do_not_collide() -> None:
    pages = [MetricsPage(busy_hub(), loop_lag=lambda: 0.0) for _ in range(2)]
    assert pages[0].text() == pages[1].text()


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert (histogram.counts, histogram.total) == ([2, 1, 1], 12.0)
