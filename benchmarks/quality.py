"""Quality: what a call is worth on a bad network, with real codecs, in virtual time.

Everything is real but the network, the clock and the time that the codecs take (none): what one
person shows and says goes through libvpx and Opus, the whole road of a frame and a simulated
network, and what the other sees and hears is scored against it: pictures a second, frozen share
(the W3C's definition), delay from camera to screen, PSNR, wide-band PESQ, STOI.

    python benchmarks/quality.py loss20 burst --seconds 25 --seeds 3
    python benchmarks/quality.py 'rate=300,delay=80,loss=3' --play film.mkv --voice speech.wav

``--standard`` negotiates what a browser would: ULPFEC in RED and key frames, instead of the code of
repair packets and the pictures to go on from that only our own peers understand.
"""

# ruff: noqa: INP001, T201 - a script; what it says goes to standard output

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from material import Picture, draw_pictures, file_voice, film_pictures, synthetic_voice
from numpy.typing import NDArray
from scores import PIECE_SECONDS, picture_psnr, score_sound

from ringline.media.codecs import CodecRegistry
from ringline.media.frames import AUDIO_FRAME_SAMPLES, AudioFrame, VideoFrame
from ringline.media.simulate import (
    PROFILES,
    CallConfig,
    NetworkProfile,
    SimulatedCall,
    find_freezes,
    find_network,
)
from ringline.media.simulate.observe import percentile
from ringline.media.simulate.profile import LinkProfile
from ringline.media.synthetic import read_frame_number

__all__ = [
    "COLUMNS",
    "CallScore",
    "Material",
    "default_seconds",
    "measure_call",
    "median_score",
]

_SETTLED: Final = 3.0
"""Seconds until the sound is scored: the first piece would be half of it before the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is sent."""

    picture: Picture
    voice: NDArray[np.int16]
    """At least as long as the call, ``int16`` mono at 48 kHz."""

    width: int = 640
    height: int = 360
    frame_rate: float = 30.0


@dataclass(slots=True, kw_only=True)
class CallScore:
    """What *b* saw and heard of *a*; :obj:`None` where there was nothing to score.

    Attributes:
        fps: Pictures shown a second, from the first on.
        frozen_percent: Of the time from the first picture on, as the W3C counts freezes.
        freezes: Their number.
        longest_gap_ms: Longest time between two pictures.
        delay_p50_ms: From camera to screen, without the time that codecs and devices take.
        delay_p95_ms: Likewise.
        psnr: Mean of the luma of shown pictures against sent ones, at the sent size, in dB.
        psnr_p10: What nine in ten exceed.
        pesq: Mean wide-band PESQ of pieces of 4 s, but those in which nothing could come through.
        pesq_min: Of the worst piece.
        stoi: Mean.
        sound_delay_ms: From microphone to loudspeaker, median of the pieces.
        concealed_ms_per_minute: Sound that was made up.
        first_picture_ms: From the moment when the two were connected.
        bitrate: What reached *b*, headers included, in bits per second.
        link_percent: That, of what the network can carry; :obj:`None` where it has no limit.
        switches_per_minute: Changes of the picture's size.
        height: The size most pictures had.

    """

    fps: float
    frozen_percent: float | None
    freezes: int
    longest_gap_ms: float | None
    delay_p50_ms: float | None
    delay_p95_ms: float | None
    psnr: float | None
    psnr_p10: float | None
    pesq: float | None
    pesq_min: float | None
    stoi: float | None
    sound_delay_ms: float | None
    concealed_ms_per_minute: float
    first_picture_ms: float | None
    bitrate: float
    link_percent: float | None
    switches_per_minute: float
    height: int | None


class _Witness:
    """Sees and hears at *b*."""

    def __init__(self, call: SimulatedCall, material: Material) -> None:
        self._material: Final = material
        self._call: Final = call
        self.shown_at: Final[list[float]] = []
        self.delays: Final[list[float]] = []
        self.psnrs: Final[list[float]] = []
        self.heights: Final[list[int]] = []
        self.sounds: Final[list[NDArray[np.int16]]] = []
        self.played_from: float | None = None
        self.concealed = 0
        call.b.on_video = self._see
        call.b.on_audio = self._hear

    def _see(self, frame: VideoFrame, now: float) -> None:
        self.shown_at.append(now)
        self.heights.append(frame.height)
        number = read_frame_number(frame.luma)
        sent_at = None if number is None else self._call.a_to_b.sent_at(number)
        if number is None or sent_at is None:
            # So damaged that not even the strip can be read: as far off as a picture can be.
            self.psnrs.append(5.0)
            return
        self.delays.append(now - sent_at)
        self.psnrs.append(picture_psnr(frame.planes, self._material.picture(number)))

    def _hear(self, frame: AudioFrame, now: float) -> None:
        if self.played_from is None:
            self.played_from = now
        self.sounds.append(frame.samples)
        self.concealed += frame.concealed


def measure_call(
    network: NetworkProfile,
    material: Material,
    codecs: CodecRegistry,
    *,
    seconds: float,
    seed: int,
    standard: bool = False,
) -> CallScore:
    """Make a call and score the way up; *b* sends its voice alone.

    If it is ``standard``, nothing is negotiated that only our own peers understand.
    """
    blocks = material.voice.reshape(-1, AUDIO_FRAME_SAMPLES)
    call = SimulatedCall(
        network,
        seed=seed,
        config=CallConfig(
            width=material.width,
            height=material.height,
            frame_rate=material.frame_rate,
            answering_video=False,
            ulpfec=standard,
            rpsi=not standard,
            codecs=lambda _: codecs,
            pictures=material.picture,
            sounds=lambda number: blocks[number % len(blocks)],
        ),
    )
    witness = _Witness(call, material)
    call.run(until=seconds)
    times = witness.shown_at
    first = times[0] if times else None
    watched = seconds - first if first is not None else 0.0
    freezes = find_freezes([*times, seconds])
    pieces = [
        piece
        for piece in score_sound(
            np.concatenate([*witness.sounds, np.zeros(0, np.int16)]),
            material.voice,
            played_from=witness.played_from or 0.0,
            start=_SETTLED,
        )
        if not _is_cut(network.up, piece.start)
    ]
    delays = [piece.delay for piece in pieces if piece.delay is not None]
    switches = sum(a != b for a, b in pairwise(witness.heights))
    seen = call.a_to_b.observe(0.0, seconds)
    return CallScore(
        fps=len(times) / watched if watched else 0.0,
        frozen_percent=100 * sum(f.duration for f in freezes) / watched if watched else None,
        freezes=len(freezes),
        longest_gap_ms=_ms(max((b - a for a, b in pairwise([*times, seconds])), default=None)),
        delay_p50_ms=_ms(percentile(witness.delays, 50)),
        delay_p95_ms=_ms(percentile(witness.delays, 95)),
        psnr=statistics.fmean(witness.psnrs) if times else None,
        psnr_p10=percentile(witness.psnrs, 10),
        pesq=statistics.fmean(piece.pesq for piece in pieces) if pieces else None,
        pesq_min=min((piece.pesq for piece in pieces), default=None),
        stoi=statistics.fmean(piece.stoi for piece in pieces) if pieces else None,
        sound_delay_ms=_ms(statistics.median(delays) if delays else None),
        concealed_ms_per_minute=witness.concealed / 48 * 60 / seconds,
        first_picture_ms=_ms(first),
        bitrate=seen.bitrate,
        link_percent=None if seen.link_share is None else 100 * seen.link_share,
        switches_per_minute=switches * 60 / seconds,
        height=statistics.mode(witness.heights) if times else None,
    )


def _is_cut(link: LinkProfile, start: float) -> bool:
    """Tell whether nothing could come through at some time of a piece of sound."""
    end = start + PIECE_SECONDS
    ends = [stage_start for stage_start, _ in link.stages[1:]] + [math.inf]
    return any(
        conditions.loss == 1 and stage_start < end and stage_end > start
        for (stage_start, conditions), stage_end in zip(link.stages, ends, strict=True)
    )


def default_seconds(network: NetworkProfile) -> float:
    """Return how long a call on a network is: 25 s, or 10 s beyond the last thing it does."""
    return max(25.0, 10 + max(link.stages[-1][0] for link in (network.up, network.down)))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def median_score(scores: list[CallScore]) -> dict[str, float | None]:
    """Return the median of each number over several seeds."""
    medians: dict[str, float | None] = {}
    for field in fields(CallScore):
        values = [value for score in scores if (value := getattr(score, field.name)) is not None]
        medians[field.name] = statistics.median(values) if values else None
    return medians


COLUMNS: Final = (  # heading, width, digits, field
    ("fps", 5, 1, "fps"),
    ("frozen%", 8, 1, "frozen_percent"),
    ("gap", 6, 0, "longest_gap_ms"),
    ("p50", 5, 0, "delay_p50_ms"),
    ("p95", 5, 0, "delay_p95_ms"),
    ("psnr", 6, 2, "psnr"),
    ("p10", 6, 2, "psnr_p10"),
    ("pesq", 5, 2, "pesq"),
    ("min", 5, 2, "pesq_min"),
    ("stoi", 6, 3, "stoi"),
    ("ear", 5, 0, "sound_delay_ms"),
    ("conc/min", 9, 0, "concealed_ms_per_minute"),
    ("first", 6, 0, "first_picture_ms"),
    ("link%", 6, 0, "link_percent"),
    ("sw/min", 7, 1, "switches_per_minute"),
    ("rows", 5, 0, "height"),
)


def _row(name: str, score: dict[str, float | None]) -> str:
    cells = [f"{name:20.20}"]
    for _, width, digits, field in COLUMNS:
        value = score[field]
        cells.append(f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}")
    return "".join(cells)


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "networks",
        nargs="*",
        metavar="NETWORK",
        help=f"by name or in words; all if none: {', '.join(PROFILES)}",
    )
    parser.add_argument("--seconds", type=float, help="of each call (25, or as the network needs)")
    parser.add_argument("--seeds", type=int, default=3, help="calls on each network (3)")
    parser.add_argument("--first-seed", type=int, default=1, help="where seeds start (1)")
    parser.add_argument("--play", type=Path, help="a film instead of the drawn picture")
    parser.add_argument("--voice", type=Path, help="a recording instead of the synthetic voice")
    parser.add_argument("--size", type=_parse_size, default=(640, 360), metavar="WxH")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument(
        "--standard", action="store_true", help="repair as with a browser, not as between our own"
    )
    parser.add_argument("--each", action="store_true", help="a row for each seed too")
    parser.add_argument(
        "--json", action="store_true", help="a line for each call instead of a table"
    )
    return parser.parse_args()


def _material(arguments: argparse.Namespace, seconds: float) -> Material:
    width, height = arguments.size
    make = partial(film_pictures, arguments.play) if arguments.play else draw_pictures
    return Material(
        picture=make(width, height, arguments.fps),
        voice=file_voice(arguments.voice, seconds) if arguments.voice else synthetic_voice(seconds),
        width=width,
        height=height,
        frame_rate=arguments.fps,
    )


def main() -> int:
    """Measure what the command line names."""
    logging.basicConfig(level=logging.WARNING)
    arguments = _arguments()
    try:
        networks = [find_network(name) for name in arguments.networks or PROFILES]
        lengths = [arguments.seconds or default_seconds(network) for network in networks]
        material = _material(arguments, max(lengths) + 1)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    codecs = CodecRegistry()
    if not arguments.json:
        print(" " * 20 + "".join(f"{heading:>{width}}" for heading, width, _, _ in COLUMNS))
    names = arguments.networks or PROFILES
    for name, network, seconds in zip(names, networks, lengths, strict=True):
        scores = []
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            score = measure_call(
                network,
                material,
                codecs,
                seconds=seconds,
                seed=seed,
                standard=arguments.standard,
            )
            scores.append(score)
            if arguments.json:
                print(json.dumps({"network": name, "seed": seed, **asdict(score)}), flush=True)
            elif arguments.each:
                print(_row(f"  seed {seed}", asdict(score)), flush=True)
        if not arguments.json:
            print(_row(name, median_score(scores)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
