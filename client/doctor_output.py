"""Doctor output: the findings as lines for people or for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from ringline.client.doctor import Finding, Level, worst_level

__all__ = ["print_findings"]


def print_findings(findings: Sequence[Finding], stream: TextIO, *, json_lines: bool) -> None:
    """Print each finding, how to mend it, and a last line that says what it comes to."""
    if json_lines:
        stream.writelines(
            json.dumps({"type": "finding", **asdict(finding)}) + "\n" for finding in findings
        )
        stream.write(json.dumps({"type": "result", "level": worst_level(findings)}) + "\n")
        return
    width = max((len(finding.area) for finding in findings), default=0)
    for finding in findings:
        stream.write(f"{finding.level:<8} {finding.area:<{width}}  {finding.text}\n")
        if finding.mend and finding.level is not Level.OK:
            stream.write(f"{'':<8} {'':<{width}}  -> {finding.mend}\n")
    counts = Counter(finding.level for finding in findings)
    problems, warnings = counts[Level.PROBLEM], counts[Level.WARNING]
    if problems:
        verdict = f"Calls cannot work here yet: {_count(problems, 'problem')}."
    elif warnings:
        verdict = f"Calls work here, with {_count(warnings, 'warning')}."
    else:
        verdict = "All is well."
    stream.write(f"\n{verdict}\n")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
