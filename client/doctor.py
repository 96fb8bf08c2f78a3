"""Doctor: what ``ringline doctor`` found, and how each thing is mended.

The looking is :mod:`.io_doctor`'s; here is what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ringline.media.codecs.registry import Implementation

__all__ = [
    "Finding",
    "Level",
    "judge_codec",
    "judge_dred",
    "judge_library",
    "judge_python",
    "required_libraries",
    "worst_level",
]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Calls work, but with less than they could have."""
    PROBLEM = "problem"
    """Calls do not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        area: What was looked at, in a word or two.
        text: What was found.
        mend: What to do about it; empty if nothing need be done.

    """

    area: str
    level: Level
    text: str
    mend: str = ""


_OLDEST_PYTHON: Final = (3, 11)
_REQUIREMENT: Final = re.compile(r"^([A-Za-z0-9._-]+)\s*(\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(;.*)?$")
_CLAUSE: Final = re.compile(r"(>=|<=|==|<|>|!=|~=)\s*([0-9.]+)")


def judge_python(version: Sequence[int]) -> Finding:
    """Judge the interpreter by its major, minor and micro number."""
    text = ".".join(str(part) for part in version[:3])
    if tuple(version[:2]) < _OLDEST_PYTHON:
        return Finding("Python", Level.PROBLEM, text, "install Python 3.11 or newer")
    return Finding("Python", Level.OK, text)


def required_libraries(requirements: Iterable[str]) -> dict[str, str]:
    """Return the libraries that we are built on and the versions they may have.

    Args:
        requirements: As the package's metadata has them (PEP 508); those of extras and other
            systems are left out.

    """
    libraries = {}
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement.strip())
        if match is None:
            continue
        name, _, versions, marker = match.groups()
        if marker is None or "win32" in marker:
            libraries[name] = versions.strip()
    return libraries


def judge_library(name: str, installed: str | None, versions: str) -> Finding:
    """Judge one library.

    Args:
        name: Of its distribution.
        installed: Its version, or :obj:`None` if it is missing.
        versions: Those that it may have, as in ``>=1.16,<1.17``.

    """
    mend = f"pip install '{name}{versions}'"
    if installed is None:
        if name == "uvloop":
            return Finding(name, Level.WARNING, "missing; the server is slower without", mend)
        return Finding(name, Level.PROBLEM, "missing", mend)
    if not _fits(installed, versions):
        return Finding(name, Level.PROBLEM, f"{installed}, expected {versions}", mend)
    return Finding(name, Level.OK, installed)


def judge_codec(implementation: Implementation) -> Finding:
    """Judge what stands behind a codec."""
    area = f"codec {implementation.codec}"
    if implementation.name is None:
        reasons = "; ".join(implementation.refused)
        return Finding(
            area,
            Level.PROBLEM,
            f"no library: {reasons}",
            "reinstall PyAV ('pip install --force-reinstall av'), whose wheel has the library, "
            "or install your system's (Debian: libopus0)",
        )
    if implementation.is_fallback:
        reasons = "; ".join(implementation.refused)
        return Finding(
            area,
            Level.WARNING,
            f"{implementation.name}, the fallback: each change of rate costs a key frame "
            f"({reasons})",
            "reinstall PyAV's wheel, install your system's libvpx, or name one in RINGLINE_LIBVPX",
        )
    where = f", {implementation.origin}: {implementation.path}" if implementation.path else ""
    return Finding(area, Level.OK, f"{implementation.name} native{where}")


def judge_dred(*, found: bool) -> Finding:
    """Tell whether libopus has deep redundancy; calls do without."""
    text = "libopus has it; calls do not send it yet" if found else "libopus was built without it"
    return Finding("DRED", Level.OK, text)


def worst_level(findings: Iterable[Finding]) -> Level:
    """Return the level that counts."""
    levels = {finding.level for finding in findings}
    for level in (Level.PROBLEM, Level.WARNING):
        if level in levels:
            return level
    return Level.OK


def _fits(installed: str, versions: str) -> bool:
    """Tell whether a release lies within the bounds; clauses of other forms are not judged."""
    have = _numbers(installed)
    for operator, text in _CLAUSE.findall(versions):
        bound = _numbers(text)
        width = max(len(have), len(bound))
        left = have + (0,) * (width - len(have))
        right = bound + (0,) * (width - len(bound))
        if operator == ">=" and left < right:
            return False
        if operator == "<" and left >= right:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return () if match is None else tuple(int(part) for part in match.group().split("."))
