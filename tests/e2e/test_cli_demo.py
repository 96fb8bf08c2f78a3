"""The demo, in short: what it shows, what it leaves, and that it leaves no process."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ringline.client.verify_recording import inspect_recording
from tests.e2e.command_line import ringline, running


def test_the_demo_leaves_recording_report_and_plots(tmp_path: Path) -> None:
    outcome = ringline("demo", "--seconds", "4", "--out", str(tmp_path / "out"), limit=110)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "Both sides saw and heard each other." in outcome.out
    assert outcome.out.startswith("starting the server ...\n")
    assert inspect_recording(tmp_path / "out" / "callee.mkv").moving_seconds > 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ok"] is True
    assert report["directions"].keys() == {"lab -> desk", "desk -> lab"}
    for direction in report["directions"].values():
        assert direction["summary"]["path"] == "direct"
        assert len(direction["seconds"]) >= 3
    with Image.open(tmp_path / "out" / "plots.png") as plots:
        assert plots.width > 1000
    logs = {path.name for path in (tmp_path / "out").glob("*.log")}
    assert logs == {"server.log", "desk.log", "lab.log"}


def test_the_demo_over_a_bad_network_through_the_relay_for_scripts(tmp_path: Path) -> None:
    outcome = ringline(
        *("demo", "--seconds", "5", "--relay", "--network", "g3", "--json"),
        *("--out", str(tmp_path)),
        limit=110,
    )
    (report,) = outcome.of_type("report")
    assert outcome.code == 0, report["problems"]
    assert report["get_stats"]["desk"]["IN-1"]["framesDecoded"] > 0
    assert report["network"] == "g3"
    for direction in report["directions"].values():
        assert direction["path"] == "relay"
        assert direction["round_trip"] > 0.2
    assert {entry["direction"] for entry in outcome.of_type("stats")} == {
        "lab -> desk",
        "desk -> lab",
    }


def test_a_demo_of_a_still_picture_fails_and_says_why(tmp_path: Path) -> None:
    film = write_still_film(tmp_path / "still.mkv")
    outcome = ringline(
        "demo", "--seconds", "2", "--play", str(film), "--out", str(tmp_path / "out"), limit=110
    )
    assert outcome.code == 1
    assert "The demo failed:\n  * desk saw a moving picture for 0.0 s of 2 s" in outcome.out
    assert "lab saw a moving picture" not in outcome.out
    assert outcome.err == ""
    assert json.loads((tmp_path / "out" / "report.json").read_text())["ok"] is False


def write_still_film(path: Path) -> Path:
    """Write two seconds of one gray picture and a hum."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libvpx", rate=10)
        picture.width, picture.height, picture.pix_fmt = 320, 180, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=48_000)
        sound.layout = "mono"
        gray = np.full((270, 320), 128, np.uint8)
        hum = (np.sin(np.arange(48_000) * 0.02) * 8000).astype(np.int16)[None, :]
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(gray, format="yuv420p")
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        for number in range(2):
            block = av.AudioFrame.from_ndarray(hum, format="s16", layout="mono")
            block.sample_rate, block.pts = 48_000, number * 48_000
            container.mux(sound.encode(block))
    return path


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_every_process(tmp_path: Path, number: signal.Signals) -> None:
    with running("demo", "--seconds", "30", "--json", "--out", str(tmp_path)) as demo:
        demo.wait_for("stats")
        pid = demo.process.pid
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [word for task in tasks for word in (task / "children").read_text().split()]
        assert len(children) == 3
        began = time.monotonic()
        assert demo.finish(number).code == 130
        assert time.monotonic() - began < 10
        assert [child for child in children if Path("/proc", child).exists()] == []
