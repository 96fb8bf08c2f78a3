"""Demo plot: a call over time in one picture: a column for each direction, time to the right.

Panels one below the other: the score, bitrate against what is available, pictures a second, delays,
loss, and what each mechanism repaired.  Where the picture was frozen the ground is red, in all
panels (rows tell how much of a second was frozen, not where in it, so the end of the second is
painted).  Scales are shared between the directions, so the columns compare at a glance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from ringline.client.demo_stats import DirectionStats

__all__ = ["draw_plots"]

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Value = Callable[[DirectionStats], float | None]

_OVERSAMPLING: Final = 2
"""Everything is drawn this much larger and scaled down: Pillow's lines have no smooth edges."""

_COLUMN_WIDTH: Final = 660
_PANEL_HEIGHT: Final = 168
_PANEL_GAP: Final = 52
_MARGIN: Final = 28
_AXIS_WIDTH: Final = 52
_HEADER: Final = 128
_FOOTER: Final = 58

_INK: Final = "#1f2937"
_FAINT: Final = "#6b7280"
_GRID: Final = "#e5e7eb"
_FRAME: Final = "#cbd5e1"
_FROZEN: Final = "#fdd5d5"


@dataclass(frozen=True, slots=True)
class _Line:
    """One curve: its name in the legend, its colour, how it is drawn, and its value of a row."""

    name: str
    color: str
    style: str  # "line", "dashed", "area", "bars", or "stack": bars on those of the line before
    value: _Value


@dataclass(frozen=True, slots=True)
class _Panel:
    """One diagram: what it shows, the least range that its scale covers, and where that begins."""

    title: str
    least_top: float
    lines: tuple[_Line, ...]
    bottom: float = 0.0


def _repairs(mechanism: str) -> _Value:
    return lambda row: row.repairs.get(mechanism, 0)


_PANELS: Final = (
    _Panel(
        "Score, 1 to 5",
        5,
        (
            _Line("sound", "#0891b2", "dashed", lambda row: row.sound_score),
            _Line("picture", "#d97706", "dashed", lambda row: row.picture_score),
            _Line("call", "#111827", "line", lambda row: row.score),
        ),
        bottom=1.0,
    ),
    _Panel(
        "Bitrate, kbit/s",
        100,
        (
            _Line("sent", "#2563eb", "area", lambda row: row.bitrate / 1000),
            _Line("available", "#f59e0b", "dashed", lambda row: row.target_bitrate / 1000),
        ),
    ),
    _Panel(
        "Frames per second",
        30,
        (_Line("shown", "#059669", "line", lambda row: row.frames_per_second),),
    ),
    _Panel(
        "Delay, ms",
        50,
        (
            _Line("picture", "#7c3aed", "line", lambda row: _milliseconds(row.latency)),
            _Line("sound", "#0891b2", "line", lambda row: _milliseconds(row.sound_latency)),
            _Line("round trip", "#64748b", "dashed", lambda row: _milliseconds(row.round_trip)),
        ),
    ),
    _Panel("Packet loss, %", 5, (_Line("lost", "#dc2626", "bars", lambda row: row.loss * 100),)),
    _Panel(
        "Repaired a second",
        5,
        (
            _Line("RTX", "#2563eb", "stack", _repairs("retransmission")),
            _Line("FEC", "#059669", "stack", _repairs("fec")),
            _Line("RED", "#d97706", "stack", _repairs("red")),
            _Line("in-band FEC", "#eab308", "stack", _repairs("in_band_fec")),
            _Line("golden frame", "#c026d3", "stack", _repairs("reference_frame")),
            _Line("key frame", "#dc2626", "stack", _repairs("key_frame")),
        ),
    ),
)


def draw_plots(
    directions: Mapping[str, Sequence[DirectionStats]], *, title: str, network: str
) -> Image.Image:
    """Return the picture, RGB.

    Args:
        directions: Rows second by second, by a name for people such as ``lab -> desk``.
        title: Of the whole.
        network: Name of the link between the two, and what it is like.

    """
    columns = max(1, len(directions))
    width = columns * _COLUMN_WIDTH + (columns + 1) * _MARGIN
    height = _HEADER + len(_PANELS) * (_PANEL_HEIGHT + _PANEL_GAP) - _PANEL_GAP + _FOOTER
    paper = _Paper(width, height)
    paper.text(_MARGIN, 20, title, size=24, color=_INK)
    paper.text(_MARGIN, 54, f"network: {network}", size=15, color=_FAINT)
    paper.swatch(width - _MARGIN - 118, 58, _FROZEN)
    paper.text(width - _MARGIN, 54, "picture frozen", size=15, color=_FAINT, align="right")

    seconds = max((row.second for rows in directions.values() for row in rows), default=1.0)
    everything = [row for rows in directions.values() for row in rows]
    for column, (name, rows) in enumerate(directions.items()):
        left = _MARGIN + column * (_COLUMN_WIDTH + _MARGIN)
        paper.text(left + _AXIS_WIDTH, 90, name, size=18, color=_INK)
        paper.text(left + _COLUMN_WIDTH, 92, _summary(rows), size=14, color=_FAINT, align="right")
        for number, panel in enumerate(_PANELS):
            top = _HEADER + 22 + number * (_PANEL_HEIGHT + _PANEL_GAP)
            box = (left + _AXIS_WIDTH, top, left + _COLUMN_WIDTH, top + _PANEL_HEIGHT - 22)
            _draw_panel(
                paper, box, panel, rows, seconds=max(1.0, seconds), scale=_scale(panel, everything)
            )
    return paper.finish()


_Box = tuple[float, float, float, float]


def _draw_panel(
    paper: _Paper,
    box: _Box,
    panel: _Panel,
    rows: Sequence[DirectionStats],
    *,
    seconds: float,
    scale: tuple[float, float],
) -> None:
    left, top, right, bottom = box
    ceiling, step = scale

    def x(second: float) -> float:
        return left + (right - left) * second / seconds

    def y(value: float) -> float:
        share = (value - panel.bottom) / (ceiling - panel.bottom)
        return bottom - (bottom - top) * min(1.0, max(0.0, share))

    for row in rows:
        if row.frozen_seconds > 0:
            share = min(1.0, row.frozen_seconds)
            paper.rectangle(x(row.second - share), top, x(row.second), bottom, _FROZEN)
    for tick in range(round((ceiling - panel.bottom) / step) + 1):
        value = panel.bottom + tick * step
        height = y(value)
        paper.line([(left, height), (right, height)], _GRID, 1)
        paper.text(left - 8, height - 8, f"{value:g}", size=12, color=_FAINT, align="right")
    time_step = _nice_step(seconds / 8)
    for tick in range(int(seconds / time_step) + 1):
        paper.line([(x(tick * time_step), bottom), (x(tick * time_step), bottom + 4)], _FRAME, 1)
        paper.text(
            x(tick * time_step),
            bottom + 6,
            f"{tick * time_step:g} s",
            size=12,
            color=_FAINT,
            align="center",
        )
    stacks = [panel.bottom] * len(rows)
    for line in panel.lines:
        if line.style == "stack":
            _draw_stack(paper, line, rows, stacks, x=x, y=y)
        else:
            _draw_line(paper, line, rows, x=x, y=y)
    paper.line([(left, bottom), (right, bottom)], _FRAME, 1.5)
    paper.text(left, top - 22, panel.title, size=14, color=_INK)
    end = right
    for line in reversed(panel.lines):
        end -= paper.text(end, top - 21, line.name, size=13, color=line.color, align="right") + 16


def _draw_line(
    paper: _Paper,
    line: _Line,
    rows: Sequence[DirectionStats],
    *,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> None:
    if line.style == "bars":
        for row in rows:
            value = line.value(row)
            if value:
                paper.rectangle(
                    x(row.second - 0.85), y(value), x(row.second - 0.15), y(0), line.color
                )
        return
    for piece in _pieces(rows, line.value):
        points = [(x(second), y(value)) for second, value in piece]
        if line.style == "area":
            ground = [(points[-1][0], y(0)), (points[0][0], y(0))]
            paper.polygon([*points, *ground], line.color, opacity=36)
        if line.style == "dashed":
            paper.dashes(points, line.color, 2)
        else:
            paper.line(points, line.color, 2.4)
        if len(points) == 1:
            paper.rectangle(
                points[0][0] - 2, points[0][1] - 2, points[0][0] + 2, points[0][1] + 2, line.color
            )


def _draw_stack(
    paper: _Paper,
    line: _Line,
    rows: Sequence[DirectionStats],
    stacks: list[float],
    *,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> None:
    """Draw a bar for each row, on top of what is there, and make that higher by it."""
    for index, row in enumerate(rows):
        value = line.value(row)
        if value:
            base = stacks[index]
            stacks[index] += value
            paper.rectangle(
                x(row.second - 0.85), y(stacks[index]), x(row.second - 0.15), y(base), line.color
            )


def _pieces(rows: Sequence[DirectionStats], value: _Value) -> list[list[tuple[float, float]]]:
    """Cut a curve where nothing was measured."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for row in rows:
        current = value(row)
        if current is not None:
            pieces[-1].append((row.second, current))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _scale(panel: _Panel, rows: Sequence[DirectionStats]) -> tuple[float, float]:
    """Return the scale's top and the step between its lines, both round numbers."""
    values = [value for line in panel.lines for row in rows if (value := line.value(row))]
    if panel.lines[0].style == "stack":
        values = [sum(line.value(row) or 0 for line in panel.lines) for row in rows]
    top = max([panel.least_top, *values]) - panel.bottom
    step = _nice_step(top / 4)
    return panel.bottom + math.ceil(top / step - 1e-9) * step, step


def _nice_step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50 ... (and a tenth of them) not below ``least``."""
    power: float = 10.0 ** math.floor(math.log10(max(least, 1e-3)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _summary(rows: Sequence[DirectionStats]) -> str:
    if not rows:
        return "nothing measured"
    last = rows[-1]
    frozen = sum(row.frozen_seconds for row in rows)
    freezes = sum(row.freezes for row in rows)
    concealed = sum(row.concealed_ms for row in rows)
    scores = [row.score for row in rows if row.score is not None]
    score = f", score {sum(scores) / len(scores):.1f}" if scores else ""
    still = f"{freezes} freeze{'' if freezes == 1 else 's'} ({frozen:.1f} s)"
    return (
        f"{last.path or 'no path'}, {last.width}x{last.height}, "
        f"{still if freezes else 'no freeze'}, {concealed:.0f} ms concealed{score}"
    )


class _Paper:
    """A canvas in final pixels that is larger behind the scenes."""

    def __init__(self, width: int, height: int) -> None:
        self._size: Final = (width, height)
        self._image: Final = Image.new(
            "RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), "white"
        )
        self._draw: Final = ImageDraw.Draw(self._image, "RGBA")
        self._fonts: Final[dict[int, _Font]] = {}

    def finish(self) -> Image.Image:
        """Return the picture in its final size."""
        return self._image.resize(self._size, Image.Resampling.LANCZOS)

    def text(
        self, x: float, y: float, text: str, *, size: int, color: str, align: str = "left"
    ) -> float:
        """Write a line whose top is at ``y``; return how wide it is."""
        font = self._fonts.setdefault(size, ImageFont.load_default(size * _OVERSAMPLING))
        width = font.getlength(text) / _OVERSAMPLING
        start = x - width * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
        self._draw.text((start * _OVERSAMPLING, y * _OVERSAMPLING), text, fill=color, font=font)
        return width

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float) -> None:
        """Draw a line through points."""
        if len(points) > 1:
            self._draw.line(
                [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points],
                fill=color,
                width=round(width * _OVERSAMPLING),
                joint="curve",
            )

    def dashes(self, points: Sequence[tuple[float, float]], color: str, width: float) -> None:
        """Draw a line of dashes, 7 long and 5 apart, that runs on round corners."""
        dash, period, travelled = 7.0, 12.0, 0.0
        for (x1, y1), (x2, y2) in pairwise(points):
            length = math.hypot(x2 - x1, y2 - y1)
            at = 0.0
            while at < length:
                phase = (travelled + at) % period
                stop = min(length, at + (dash - phase if phase < dash else period - phase) + 1e-6)
                if phase < dash:
                    ends = [at / length, stop / length]
                    self.line(
                        [(x1 + (x2 - x1) * end, y1 + (y2 - y1) * end) for end in ends], color, width
                    )
                at = stop
            travelled += length

    def polygon(self, points: Sequence[tuple[float, float]], color: str, *, opacity: int) -> None:
        """Fill a shape; ``opacity`` is 0 to 255."""
        if len(points) > 2:
            self._draw.polygon(
                [(x * _OVERSAMPLING, y * _OVERSAMPLING) for x, y in points],
                fill=f"{color}{opacity:02x}",
            )

    def rectangle(self, left: float, top: float, right: float, bottom: float, color: str) -> None:
        """Fill a rectangle."""
        corners = [value * _OVERSAMPLING for value in (left, top, right, bottom)]
        if corners[2] > corners[0] and corners[3] > corners[1]:
            self._draw.rectangle(corners, fill=color)

    def swatch(self, x: float, y: float, color: str) -> None:
        """Draw a sample of a colour for a legend."""
        self.rectangle(x, y, x + 14, y + 12, color)
