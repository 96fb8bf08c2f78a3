from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

from ringline.client.demo_report import make_report
from ringline.client.demo_screen import DemoScreen, format_row
from ringline.client.demo_stats import DirectionStats

ROW = DirectionStats(
    second=1.0,
    path="direct",
    width=640,
    height=360,
    frames_per_second=30.0,
    bitrate=1_200_000.0,
    target_bitrate=1_500_000.0,
    loss=0.012,
    round_trip=0.04,
    latency=None,
    freezes=0,
    frozen_seconds=0.0,
    concealed_ms=0.0,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_second_is_one_line() -> None:
    stream = io.StringIO()
    screen = DemoScreen(stream, json_lines=False)
    screen.show_rows({"a -> b": [ROW]})
    screen.show_rows({"a -> b": [ROW, replace(ROW, second=2.0)]})
    header, *lines = stream.getvalue().splitlines()
    assert header.split()[:4] == ["second", "direction", "path", "size"]
    assert lines == [format_row("a -> b", ROW), format_row("a -> b", replace(ROW, second=2.0))]
    assert len(header) == len(lines[0])


def test_a_terminal_gets_a_table_that_stays() -> None:
    stream = Terminal()
    screen = DemoScreen(stream, json_lines=False)
    screen.show_rows({"a -> b": []})
    screen.show_rows({"a -> b": [ROW]}, title="a calls b over g3")
    screen.end_table()
    assert "a calls b over g3" in stream.getvalue()
    assert "640x360" in stream.getvalue()


def test_a_change_of_the_picture_is_a_line_that_says_why() -> None:
    stream = io.StringIO()
    screen = DemoScreen(stream, json_lines=False)
    screen.show_rows({"a -> b": [ROW]})
    for state in ("coarser", "smaller", "paused", "full"):
        screen.handle_picture("a -> b", state, "network")
    screen.handle_picture("a -> b", "smaller", "device")
    assert stream.getvalue().splitlines()[2:] == [
        "        a -> b        picture becomes coarser: network",
        "        a -> b        picture becomes smaller: network",
        "        a -> b        picture is paused: network",
        "        a -> b        picture is back",
        "        a -> b        picture becomes smaller: device",
    ]


def test_a_change_of_the_picture_stands_above_the_table() -> None:
    stream = Terminal()
    screen = DemoScreen(stream, json_lines=False)
    screen.show_rows({"a -> b": [ROW]})
    screen.handle_picture("a -> b", "paused", "network")
    screen.show_rows({"a -> b": [ROW]})
    screen.end_table()
    text = stream.getvalue()
    assert text.count("picture is paused: network") == 1
    assert text.index("picture is paused") < text.rindex("640x360")


def test_scripts_get_every_step() -> None:
    stream = io.StringIO()
    screen = DemoScreen(stream, json_lines=True)
    screen.progress("starting")
    screen.handle_state("lab", "ringing")
    screen.handle_state("lab", "ringing")  # said twice
    screen.show_rows({"a -> b": [ROW]})
    screen.handle_picture("a -> b", "smaller", "device")
    report = make_report({"a -> b": [ROW]}, network="g3", problems=["bad"])
    screen.show_result(["words"], ["bad"], Path("out"), report)
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [entry["type"] for entry in entries] == [
        *("progress", "state", "stats", "picture", "report")
    ]
    assert entries[2]["direction"] == "a -> b"
    assert entries[3] == {
        "type": "picture",
        "direction": "a -> b",
        "state": "smaller",
        "cause": "device",
    }
    assert entries[4]["ok"] is False
    assert entries[4]["folder"] == "out"
    assert entries[4]["directions"]["a -> b"]["path"] == "direct"


def test_the_result_names_what_is_left_and_what_failed(tmp_path: Path) -> None:
    (tmp_path / "plots.png").touch()
    (tmp_path / "lab.log").touch()
    stream = io.StringIO()
    screen = DemoScreen(stream, json_lines=False)
    report = make_report({}, network="none", problems=["lab heard 0.0 s of 15 s"])
    screen.show_log("lab", ["it broke"])
    screen.show_result(["desk saw lab."], ["lab heard 0.0 s of 15 s"], tmp_path, report)
    text = stream.getvalue()
    assert "the last lines of lab's log:\n  it broke\n" in text
    assert "The demo failed:\n  * lab heard 0.0 s of 15 s\n" in text
    assert "plots.png" in text
    assert "*.log" in text
    assert "callee.mkv" not in text


def test_success_is_said_in_plain_words(tmp_path: Path) -> None:
    stream = io.StringIO()
    DemoScreen(stream, json_lines=False).show_result(
        [], [], tmp_path, make_report({}, network="none")
    )
    assert "Both sides saw and heard each other." in stream.getvalue()
