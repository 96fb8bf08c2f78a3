from __future__ import annotations

from ringline.media.send.limitation import QualityLimitation


def test_each_second_counts_for_one_reason() -> None:
    limitation = QualityLimitation(now=10.0)
    limitation.update("bandwidth", (640, 360), 12.0)
    limitation.update("bandwidth", (640, 360), 14.0)
    limitation.update("cpu", (640, 360), 15.0)
    limitation.update("none", (640, 360), 19.0)
    assert limitation.reason == "none"
    assert limitation.durations(20.0) == {"none": 3.0, "cpu": 4.0, "bandwidth": 3.0, "other": 0.0}


def test_a_size_changes_for_a_reason_and_back() -> None:
    limitation = QualityLimitation(now=0.0)
    limitation.update("none", (640, 360), 1.0)  # the first size is no change
    limitation.update("bandwidth", (320, 180), 2.0)
    limitation.update("none", (640, 360), 3.0)
    assert limitation.resolution_changes == 2
    limitation.update("none", (1280, 720), 4.0)  # another camera
    assert limitation.resolution_changes == 2
