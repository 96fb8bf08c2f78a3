"""Every example runs, headless and in seconds, and does what it says."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringline.client import Client
from ringline.client.verify_recording import inspect_recording
from ringline.signaling import RinglineServer, ServerConfig

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PATIENCE = 60.0  # seconds; a busy machine starts Python slowly


@pytest.fixture
async def server() -> AsyncIterator[RinglineServer]:
    async with RinglineServer(ServerConfig(port=0, turn_port=0, dev=True)) as it:
        yield it


async def start(name: str, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(name: str, *args: str) -> str:
    """Run an example to its end; return what it printed."""
    process = await start(name, *args)
    out, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, errors.decode()
    return out.decode()


@pytest.fixture
async def echo(server: RinglineServer) -> AsyncIterator[str]:
    """Run the echo bot; yield its name."""
    bot = await start("echo_bot.py", "--server", server.url, "--as", "echo")
    assert bot.stdout is not None
    assert b"waits for calls" in await asyncio.wait_for(bot.stdout.readline(), PATIENCE)
    yield "echo"
    bot.terminate()
    await bot.communicate()


async def test_numpy_frames_come_back_from_the_echo_bot(server: RinglineServer, echo: str) -> None:
    printed = await run("numpy_frames.py", echo, "--server", server.url, "--seconds", "3")
    *described, summary = printed.splitlines()
    assert int(summary.split()[0]) > 15, printed  # of 45 that were sent
    assert any(line.startswith("320x240, brightness") for line in described)


async def test_a_call_is_recorded(server: RinglineServer, echo: str, tmp_path: Path) -> None:
    file = tmp_path / "echo.mkv"
    printed = await run(
        "record.py", echo, "--server", server.url, "--record", str(file), "--seconds", "4"
    )
    assert str(file) in printed
    facts = inspect_recording(file)
    assert facts.moving_seconds > 2.0
    assert facts.sound_seconds > 0.5


async def test_who_is_not_there_cannot_be_recorded(server: RinglineServer) -> None:
    process = await start("record.py", "nobody", "--server", server.url)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert errors.decode().strip() == "nobody is not there"


async def test_a_server_runs_inside_another_application() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    application = await start("embedded_server.py", "--port", str(port), "--turn-port", "0")
    assert application.stdout is not None
    assert b"Running on" in await asyncio.wait_for(application.stdout.readline(), PATIENCE)
    try:
        async with Client(f"ws://127.0.0.1:{port}/calls/ws", name="lab") as me:
            assert me.name == "lab"
    finally:
        application.terminate()
        await application.communicate()


def test_no_example_is_left_out() -> None:
    run_here = Path(__file__).read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f'"{example.name}"' in run_here, f"{example.name} is not run by any test"
