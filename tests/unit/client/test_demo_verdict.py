from __future__ import annotations

from dataclasses import replace

from ringline.client.demo_stats import DirectionStats
from ringline.client.demo_verdict import describe_direction, find_problems
from ringline.client.verify_recording import RecordingFacts
from ringline.client.witness import Impression

GOOD = Impression(
    pictures=440,
    moving_seconds=14.8,
    longest_still=0.1,
    heard_seconds=14.2,
    first_picture=0.2,
    first_sound=0.3,
)
RECORDING = RecordingFacts(
    duration=15.0,
    width=640,
    height=360,
    frames=440,
    moving_frames=430,
    moving_seconds=14.6,
    longest_freeze=0.1,
    sound_seconds=9.0,
    speech_seconds=14.0,
    level_variation=25.0,
)
ROW = DirectionStats(
    second=1.0,
    path="relay",
    width=640,
    height=360,
    frames_per_second=30.0,
    bitrate=1_200_000.0,
    target_bitrate=1_500_000.0,
    loss=0.0,
    round_trip=0.04,
    latency=0.08,
    freezes=0,
    frozen_seconds=0.0,
    concealed_ms=0.0,
)


def problems(
    lab: Impression | None = GOOD,
    desk: Impression | None = GOOD,
    recording: RecordingFacts | None = RECORDING,
) -> list[str]:
    return find_problems({"lab": lab, "desk": desk}, recording, recorder="desk", seconds=15)


def test_a_good_call_has_no_problem() -> None:
    assert problems() == []


def test_one_blind_side_is_enough_to_fail() -> None:
    (line,) = problems(lab=replace(GOOD, moving_seconds=3.0, pictures=90))
    assert line == "lab saw a moving picture for 3.0 s of 15 s (90 pictures)"


def test_one_deaf_side_is_enough_to_fail() -> None:
    assert problems(desk=replace(GOOD, heard_seconds=7.4)) == ["desk heard 7.4 s of 15 s"]


def test_a_side_that_never_connected_is_named() -> None:
    assert problems(lab=None) == ["lab never got into the call"]


def test_a_recording_is_not_believed_but_looked_into() -> None:
    recording = replace(RECORDING, moving_seconds=0.0, speech_seconds=1.0)
    assert problems(recording=recording) == [
        "the recording has 0.0 s of moving picture, expected 7.5 s or more",
        "the recording has 1.0 s of speech, expected 7.5 s or more",
    ]


def test_a_missing_recording_fails() -> None:
    assert problems(recording=None) == ["there is no recording of what desk saw and heard"]


def test_a_direction_is_told_in_words() -> None:
    rows = [ROW, replace(ROW, bitrate=1_000_000.0, latency=None)]
    assert describe_direction("desk", "lab", rows, GOOD) == (
        "desk saw lab move for 14.8 s at 640x360 and heard 14.2 s, through the TURN relay. "
        "1100 kbit/s, 80 ms from camera to screen, no freeze, first picture after 0.20 s."
    )


def test_freezes_are_told() -> None:
    rows = [replace(ROW, freezes=1, frozen_seconds=0.5, path="direct")]
    text = describe_direction("desk", "lab", rows, GOOD)
    assert ", directly. " in text
    assert "1 freeze (0.5 s)" in text


def test_a_direction_without_anything_is_told_too() -> None:
    assert describe_direction("desk", "lab", [], None) == "desk got nothing from lab."
