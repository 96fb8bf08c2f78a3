from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringline.client.client import Client
from ringline.client.errors import LocalError, ServerUnreachableError
from ringline.media import FileSource, SyntheticVoice
from ringline.media.errors import SourceError


@pytest.fixture
async def ann() -> AsyncIterator[Client]:
    """A client that has not entered its server; what it says stays with it."""
    client = Client("ws://127.0.0.1:9", name="ann")
    yield client
    await client.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(0)


def test_who_has_neither_name_nor_token_is_nobody() -> None:
    with pytest.raises(LocalError, match="a name or a token"):
        Client("ws://127.0.0.1:9")


@pytest.mark.parametrize("name", ["", "two words", ".hidden", "a" * 65, "a:b"])
async def test_a_name_that_cannot_be_is_said_at_once(ann: Client, name: str) -> None:
    with pytest.raises(LocalError, match="expected a name"):
        ann.start_call(name, audio=SyntheticVoice())
    assert ann.calls == []


async def test_a_film_without_a_picture_begins_no_call(ann: Client, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(9600))
    with pytest.raises(SourceError, match="no picture"):
        ann.start_call("bob", audio=SyntheticVoice(), video=FileSource(path))
    assert ann.calls == []


async def test_a_client_that_has_left_calls_nobody(ann: Client) -> None:
    await ann.close()
    with pytest.raises(ServerUnreachableError, match="is over"):
        await asyncio.wait_for(ann.call("bob", audio=SyntheticVoice()), 5.0)


async def test_leaving_the_server_ends_what_rings(ann: Client) -> None:
    call = ann.start_call("bob", audio=SyntheticVoice())
    await ann._signaling.close()
    assert call.end_reason == "signaling_failed"
    assert ann.calls == []
