from __future__ import annotations

import json
from dataclasses import replace

from ringline.client.demo_report import REPORT_VERSION, make_report, summarize
from ringline.client.demo_stats import DirectionStats
from ringline.client.verify_recording import RecordingFacts

ROW = DirectionStats(
    second=1.0,
    path="direct",
    width=640,
    height=360,
    frames_per_second=30.0,
    bitrate=1_000_000,
    target_bitrate=1_200_000,
    loss=0.0,
    round_trip=0.04,
    latency=0.05,
    freezes=0,
    frozen_seconds=0.0,
    concealed_ms=0.0,
)


def test_a_summary_has_means_percentiles_and_sums() -> None:
    rows = [
        replace(ROW, second=1.0, latency=None, round_trip=None, path=""),
        replace(ROW, second=2.0, latency=0.1, frames_per_second=0, freezes=1, frozen_seconds=0.5),
        replace(ROW, second=3.0, latency=0.2, loss=0.3, frozen_seconds=0.25, concealed_ms=40),
        replace(ROW, second=4.0, latency=0.3, width=320, height=180, concealed_ms=20),
    ]
    rows[1] = replace(rows[1], score=2.0, sound_latency=0.08, repairs={"fec": 2, "red": 1})
    rows[2] = replace(rows[2], score=4.0, sound_latency=0.1, repairs={"fec": 3})
    assert summarize(rows) == {
        "path": "direct",
        "width": 320,
        "height": 180,
        "frames_per_second": 22.5,
        "bitrate": 1_000_000,
        "target_bitrate": 1_200_000,
        "loss": 0.075,
        "round_trip": 0.04,
        "latency_p50": 0.2,
        "latency_p95": 0.3,
        "freezes": 1,
        "frozen_seconds": 0.75,
        "concealed_ms": 60,
        "sound_latency_p50": 0.1,
        "sound_latency_p95": 0.1,
        "score": 3.0,
        "score_p5": 2.0,
        "repairs": {"fec": 5, "red": 1},
    }


def test_a_summary_of_nothing_claims_nothing() -> None:
    summary = summarize([])
    assert summary["frames_per_second"] is None
    assert summary["latency_p95"] is None
    assert (summary["path"], summary["width"], summary["freezes"]) == ("", 0, 0)


def test_a_report_survives_json() -> None:
    facts = RecordingFacts(
        duration=15.0,
        width=640,
        height=360,
        frames=450,
        moving_frames=449,
        moving_seconds=14.9,
        longest_freeze=0.03,
        sound_seconds=10.0,
        speech_seconds=14.0,
        level_variation=30.0,
    )
    report = json.loads(
        json.dumps(make_report({"a -> b": [ROW], "b -> a": []}, network="g3", recording=facts))
    )
    assert report["version"] == REPORT_VERSION
    assert report["ok"] is True
    assert report["network"] == "g3"
    assert report["recording"]["moving_seconds"] == 14.9
    assert list(report["directions"]) == ["a -> b", "b -> a"]
    assert report["directions"]["a -> b"]["seconds"][0]["bitrate"] == 1_000_000
    assert report["directions"]["b -> a"]["seconds"] == []


def test_a_report_with_problems_is_not_ok() -> None:
    report = make_report({}, network="clean", problems=["desk heard nothing"])
    assert report["ok"] is False
    assert report["problems"] == ["desk heard nothing"]
    assert report["recording"] is None
