"""The map is true: each stage that the packages' docstrings name is a file where they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STAGES = {
    "media/send": [
        "capture",
        "encode",
        "packetize",
        "protect_red",
        "protect_rlc",
        "protect_rtx",
        "protection",
        "pace",
        "transmit",
    ],
    "media/receive": [
        "arrive",
        "recover_rlc",
        "recover_nack",
        "recover_red",
        "jitter_buffer",
        "conceal",
        "decode",
        "synchronize",
        "render",
    ],
    "media/congestion": ["feedback", "arrival_groups", "delay_trend", "loss", "target_rate"],
}


@pytest.mark.parametrize("folder", STAGES)
def test_each_stage_is_a_file(folder: str) -> None:
    files = {path.stem for path in (ROOT / folder).glob("*.py")}
    assert set(STAGES[folder]) <= files


def test_the_documents_name_files_that_exist() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        text = (ROOT / document).read_text()
        named = re.findall(r"\b((?:client|media|signaling|turn|tests|docs)/[\w./-]*\w\.\w+)", text)
        links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
        missing = [name for name in named if not (ROOT / name).exists()]
        missing += [
            link for link in links if not ((ROOT / document).parent / link).resolve().exists()
        ]
        assert missing == [], document
