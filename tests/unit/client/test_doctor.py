from __future__ import annotations

import io
import json

import pytest

from ringline.client.doctor import (
    Finding,
    Level,
    judge_codec,
    judge_dred,
    judge_library,
    judge_python,
    required_libraries,
    worst_level,
)
from ringline.client.doctor_output import print_findings
from ringline.media.codecs.registry import Implementation


def test_an_old_python_is_a_problem() -> None:
    assert judge_python((3, 11, 0)).level is Level.OK
    finding = judge_python((3, 10, 9))
    assert finding.level is Level.PROBLEM
    assert "3.11" in finding.mend


def test_requirements_of_other_systems_and_extras() -> None:
    assert required_libraries(
        [
            "aiortc<1.17,>=1.16",
            "av >= 16",
            'uvloop>=0.21; sys_platform != "win32"',
            'redis>=5; extra == "nodes"',
            "numpy",
        ]
    ) == {"aiortc": "<1.17,>=1.16", "av": ">= 16", "uvloop": ">=0.21", "numpy": ""}


@pytest.mark.parametrize(
    ("installed", "level"),
    [
        ("1.16.0", Level.OK),
        ("1.16", Level.OK),
        ("1.16.9.post1", Level.OK),
        ("1.17.0", Level.PROBLEM),
        ("1.15.2", Level.PROBLEM),
        (None, Level.PROBLEM),
    ],
)
def test_a_library_is_judged_by_its_version(installed: str | None, level: Level) -> None:
    finding = judge_library("aiortc", installed, ">=1.16,<1.17")
    assert finding.level is level
    assert finding.mend == "pip install 'aiortc>=1.16,<1.17'" or level is Level.OK


def test_a_missing_uvloop_is_only_slower() -> None:
    assert judge_library("uvloop", None, ">=0.21").level is Level.WARNING


def test_a_native_codec_is_well() -> None:
    found = Implementation("VP8", "libvpx v1.16.0", "/lib/libvpx.so", "system", is_fallback=False)
    finding = judge_codec(found)
    assert finding.level is Level.OK
    assert finding.text == "libvpx v1.16.0 native, system: /lib/libvpx.so"


def test_a_fallback_is_a_warning_that_says_why() -> None:
    found = Implementation(
        "VP8", "PyAV 18.1.0", None, None, is_fallback=True, refused=("too old: 1.2",)
    )
    finding = judge_codec(found)
    assert finding.level is Level.WARNING
    assert "too old: 1.2" in finding.text
    assert "RINGLINE_LIBVPX" in finding.mend


def test_no_codec_is_a_problem() -> None:
    found = Implementation("opus", None, None, None, is_fallback=False, refused=("none there",))
    assert judge_codec(found).level is Level.PROBLEM


def test_a_call_does_without_dred() -> None:
    without, found = judge_dred(found=False), judge_dred(found=True)
    assert (without.area, without.level, without.mend) == ("DRED", Level.OK, "")
    assert without.text == "libopus was built without it"
    assert found.level is Level.OK
    assert found.text == "libopus has it; calls do not send it yet"


def test_the_worst_level_counts() -> None:
    ok, warning = Finding("a", Level.OK, ""), Finding("b", Level.WARNING, "")
    assert worst_level([]) is Level.OK
    assert worst_level([ok, warning]) is Level.WARNING
    assert worst_level([warning, Finding("c", Level.PROBLEM, ""), ok]) is Level.PROBLEM


def test_people_read_how_to_mend_it() -> None:
    stream = io.StringIO()
    findings = [
        Finding("Python", Level.OK, "3.12.1", "not told"),
        Finding("camera", Level.WARNING, "none", "plug one in"),
    ]
    print_findings(findings, stream, json_lines=False)
    assert stream.getvalue().splitlines() == [
        "ok       Python  3.12.1",
        "warning  camera  none",
        "                 -> plug one in",
        "",
        "Calls work here, with 1 warning.",
    ]


@pytest.mark.parametrize(
    ("level", "text"),
    [(Level.OK, "All is well."), (Level.PROBLEM, "Calls cannot work here yet: 1 problem.")],
)
def test_the_last_line_is_the_verdict(level: Level, text: str) -> None:
    stream = io.StringIO()
    print_findings([Finding("UDP", level, "x")], stream, json_lines=False)
    assert stream.getvalue().splitlines()[-1] == text


def test_scripts_get_lines_of_json() -> None:
    stream = io.StringIO()
    print_findings([Finding("UDP", Level.PROBLEM, "closed", "open it")], stream, json_lines=True)
    first, last = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {
        "type": "finding",
        "area": "UDP",
        "level": "problem",
        "text": "closed",
        "mend": "open it",
    }
    assert last == {"type": "result", "level": "problem"}
