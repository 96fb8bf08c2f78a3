from __future__ import annotations

import io
import json

from ringline.client.call_rows import CallRow, ReceivedRow, SentRow
from ringline.client.talk_output import JsonOutput, PersonOutput, describe_row

ROW = CallRow(
    second=75.4,
    path="relay",
    received=ReceivedRow(
        width=640,
        height=360,
        frames_per_second=29.6,
        bitrate=812_345.678_901_2,
        loss=0.021,
        latency=0.1234567891,
    ),
    sent=SentRow(width=320, height=180, bitrate=300_000.0, round_trip=0.05),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_a_line_for_each_thing() -> None:
    stream = io.StringIO()
    output = JsonOutput(stream)
    output.tell("path", "media goes straight", path="direct", kind="host")
    output.show_row(ROW)
    output.close()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {"type": "path", "path": "direct", "kind": "host"}
    assert second["type"] == "stats"
    assert second["received"]["latency"] == 0.123457
    assert second["sent"]["round_trip"] == 0.05


def test_a_person_reads_sentences() -> None:
    stream = io.StringIO()
    output = PersonOutput(stream)
    output.tell("state", "calling desk ...", state="calling")
    output.tell("ready", "", name="lab")
    assert stream.getvalue() == "calling desk ...\n"


def test_in_a_log_the_line_comes_every_ten_seconds() -> None:
    stream = io.StringIO()
    output = PersonOutput(stream)
    for _ in range(21):
        output.show_row(ROW)
    assert len(stream.getvalue().splitlines()) == 3


def test_on_a_terminal_one_line_changes_and_sentences_stay_above() -> None:
    stream = Terminal()
    output = PersonOutput(stream)
    output.show_row(ROW)
    output.tell("muted", "desk stopped sound")
    output.show_row(ROW)
    output.tell("ended", "the call ended")
    output.close()
    assert "desk stopped sound" in stream.getvalue()
    assert stream.getvalue().endswith("the call ended\n")


def test_a_second_in_one_line() -> None:
    assert describe_row(ROW) == (
        "1:15 | relay | in 640x360 30 fps 812 kbit/s | 2.1 % lost | out 320x180 300 kbit/s"
        " | round trip 50 ms | latency 123 ms"
    )


def test_a_second_without_path_or_picture() -> None:
    row = CallRow(second=3.0, path="", received=ReceivedRow(frozen_seconds=1.0), sent=SentRow())
    assert describe_row(row) == "0:03 | no path | in 0 kbit/s | out 0 kbit/s | picture frozen"
