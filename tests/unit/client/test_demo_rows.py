from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ringline.client.call_rows import CallRow, ReceivedRow, SentRow
from ringline.client.demo_rows import DirectionRows, row_from_json

SENDER = CallRow(
    second=1.01,
    path="relay",
    received=ReceivedRow(width=1, height=1, bitrate=7.0),
    sent=SentRow(bitrate=900_000.0, target_bitrate=1_000_000.0, round_trip=0.04),
)
RECEIVER = CallRow(
    second=1.02,
    path="direct",
    received=ReceivedRow(
        width=640,
        height=360,
        frames_per_second=30.0,
        loss=0.01,
        latency=0.06,
        repairs={"fec": 3},
        score=3.5,
        cause="loss",
    ),
    sent=SentRow(bitrate=3.0),
)


def test_a_direction_needs_both_sides() -> None:
    direction = DirectionRows()
    direction.handle_sender(SENDER)
    direction.handle_sender(SENDER)
    assert direction.rows == []
    direction.handle_receiver(RECEIVER)
    assert len(direction.rows) == 1


def test_what_left_is_the_senders_word_and_what_arrived_the_receivers() -> None:
    direction = DirectionRows()
    direction.handle_receiver(RECEIVER)
    direction.handle_sender(SENDER)
    (row,) = direction.rows
    assert (row.bitrate, row.target_bitrate, row.round_trip) == (900_000.0, 1_000_000.0, 0.04)
    assert (row.second, row.path, row.width, row.height) == (1.02, "direct", 640, 360)
    assert (row.frames_per_second, row.loss, row.latency) == (30.0, 0.01, 0.06)
    assert (row.repairs, row.score, row.cause) == ({"fec": 3}, 3.5, "loss")


def test_a_row_survives_its_way_through_json() -> None:
    entry = json.loads(json.dumps({"type": "stats", **asdict(RECEIVER)}))
    assert row_from_json(entry) == RECEIVER


def test_a_line_without_a_part_is_refused() -> None:
    with pytest.raises(KeyError):
        row_from_json({"second": 1.0, "path": ""})
