"""The benchmarks run, and score what they say they score."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ringline.media.codecs import CodecRegistry
from ringline.media.parameters import SessionParameters
from ringline.media.rtp.header_extensions import ExtensionIds
from ringline.media.rtp.packet import RtpPacket
from ringline.media.simulate import NetworkProfile, SimulatedCall
from ringline.media.simulate.call import session_parameters

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"
NAMES = ("bench", "material", "peer_cost", "quality", "scores", "stages")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    pytest.importorskip("pesq", reason="what scores calls is not installed (make bench does)")
    monkeypatch.syspath_prepend(str(FOLDER))
    yield {name: importlib.import_module(name) for name in NAMES}
    for name in NAMES:
        sys.modules.pop(name, None)


def test_a_call_is_scored(benchmarks: dict[str, ModuleType]) -> None:
    material, quality = benchmarks["material"], benchmarks["quality"]
    score = quality.measure_call(
        NetworkProfile.parse("delay=20"),
        quality.Material(
            picture=material.draw_pictures(160, 90, 15.0),
            voice=material.synthetic_voice(9.0),
            width=160,
            height=90,
            frame_rate=15.0,
        ),
        CodecRegistry(),
        seconds=8.0,
        seed=1,
    )
    assert score.fps == pytest.approx(15, abs=0.3)
    assert score.freezes == 0
    assert 20 < score.delay_p50_ms < 50
    assert score.psnr > 35
    assert score.pesq > 3.5
    assert score.stoi > 0.95
    assert 20 < score.sound_delay_ms < 100
    assert score.first_picture_ms < 200
    assert score.height == 90
    assert quality.median_score([score, score])["fps"] == score.fps


def test_a_standard_call_repairs_as_with_a_browser(
    benchmarks: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    material, quality = benchmarks["material"], benchmarks["quality"]
    negotiated: list[SessionParameters] = []

    def keep(*arguments: object, **settings: object) -> SimulatedCall:
        call = SimulatedCall(*arguments, **settings)  # type: ignore[arg-type]
        calls.append(call)
        return call

    def settle(index: int, **settings: bool) -> SessionParameters:
        negotiated.append(session_parameters(index, **settings))
        return negotiated[-1]

    calls: list[SimulatedCall] = []
    monkeypatch.setattr(quality, "SimulatedCall", keep)
    monkeypatch.setattr("ringline.media.simulate.call.session_parameters", settle)
    for standard in (False, True):
        quality.measure_call(
            NetworkProfile.parse("delay=60,loss=15|delay=60"),
            quality.Material(
                picture=material.draw_pictures(160, 90, 15.0),
                voice=material.synthetic_voice(5.0),
                width=160,
                height=90,
                frame_rate=15.0,
            ),
            CodecRegistry(),
            seconds=4.0,
            seed=1,
            standard=standard,
        )
    own, browser = negotiated[0].send[1], negotiated[2].send[1]
    assert own.rpsi
    assert own.repair_payload_type is not None
    assert own.ulpfec_payload_type is None
    assert (browser.rpsi, browser.repair_payload_type) == (False, None)
    assert browser.ulpfec_payload_type is not None
    for call in calls:
        (pictures,) = (one for one in call.stats()[0].send.streams if one.kind == "video")
        assert pictures.fec_packets_sent > 0


def test_sound_is_scored_where_it_fits(benchmarks: dict[str, ModuleType]) -> None:
    scores = benchmarks["scores"]
    voice = benchmarks["material"].synthetic_voice(14.0)
    late = voice[: 13 * 48_000]  # played 0.25 s after it was said
    pieces = scores.score_sound(late, voice, played_from=0.25, start=3.0)
    assert [round(piece.start, 2) for piece in pieces] == [3.0, 7.0]
    for piece in pieces:
        assert piece.delay == pytest.approx(0.25, abs=0.001)
        assert piece.pesq > 4.6
        assert piece.stoi > 0.99
    (silent, *_) = scores.score_sound(np.zeros_like(late), voice, played_from=0.0, start=3.0)
    assert (silent.pesq, silent.stoi, silent.delay) == (1.0, 0.0, None)


def test_the_number_is_no_part_of_the_picture(benchmarks: dict[str, ModuleType]) -> None:
    sent = benchmarks["material"].draw_pictures(320, 180, 30.0)(7)
    other = sent.copy()
    other[:8] = 255 - other[:8]
    psnr = benchmarks["scores"].picture_psnr
    assert psnr(sent, sent) == psnr(other, sent) > 60
    other[20:180] += 4
    assert psnr(other, sent) == pytest.approx(36.3, abs=0.5)


def test_every_stage_that_is_timed_is_there(benchmarks: dict[str, ModuleType]) -> None:
    stages = benchmarks["stages"]
    table = (*stages.STAGES, *stages.CODECS)
    with stages.timed([name for _, name, _ in table]) as clocks:
        assert len(clocks) == len(table)


def test_methods_are_timed_only_meanwhile(benchmarks: dict[str, ModuleType]) -> None:
    stages = benchmarks["stages"]
    name = "rtp.packet:RtpPacket.parse"
    data = RtpPacket(96, 1, 2, 3, payload=b"x").serialize(ExtensionIds())
    with stages.timed([name]) as clocks:
        assert RtpPacket.parse(data, ExtensionIds()).payload == b"x"
    RtpPacket.parse(data, ExtensionIds())
    assert len(clocks[name].samples) == 1


def test_the_table_has_a_row_for_each_network(benchmarks: dict[str, ModuleType]) -> None:
    bench, quality = benchmarks["bench"], benchmarks["quality"]
    score = dict.fromkeys((field for *_, field in quality.COLUMNS), 1.0)
    result = {
        "about": {"date": "2026-01-01"},
        "quality_seeds": 1,
        "quality": {"clean": score, "wifi": {**score, "psnr": None}},
        "calls": [{"name": "small", "road": 0.01, "codecs": 0.02}],
        "stages": [{"stage": "pace", "per": "packet", "median": 1.04, "p95": 2.0}],
        "codecs": {"small": []},
    }
    table = bench.as_table(result)
    assert "| small | 0.010 | 0.020 | 0.030 |" in table
    assert "| pace | packet | 1.0 | 2.0 |" in table
    assert "| clean | 1.0 | 1.0 / 0.0 | 1 | 1 / 45 | 1 / 60 |" in table
    assert "| wifi | 1.0 | 1.0 | 1 | 1 | 1 | - |" in table


def test_memory_that_grows_is_told_in_the_second_half_of_a_call_of_some_length(
    benchmarks: dict[str, ModuleType],
) -> None:
    growth = benchmarks["peer_cost"]._growth
    filling = [(5.0 * n, 100.0 + min(n, 12)) for n in range(49)]  # caches, for a minute
    assert growth(filling) == pytest.approx(0.0)
    assert growth([(at, size + at / 30) for at, size in filling]) == pytest.approx(2.0)
    assert growth(filling[:20]) is None
