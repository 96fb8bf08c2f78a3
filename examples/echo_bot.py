"""Echo bot: answers every call and sends back what it hears, sees and reads.

In three terminals:

* ``ringline serve --dev``
* ``python examples/echo_bot.py --as echo``
* ``ringline call echo --as lab --record me.mkv``
"""

from __future__ import annotations

import argparse
import asyncio

from ringline.client import Client, IncomingCall
from ringline.media import NumpyAudio, NumpyVideo


async def answer(incoming: IncomingCall) -> None:
    """Accept a call and echo it until it ends."""
    sound, picture = NumpyAudio(), NumpyVideo()
    call = await incoming.accept(audio=sound, video=picture)
    print(f"{incoming.caller} is on the line")

    async def echo_sound() -> None:
        async for frame in call.audio:
            sound.send(frame.samples)

    async def echo_picture() -> None:
        async for frame in call.video:
            picture.send(frame.to_ndarray("rgb24"))

    async def echo_messages() -> None:
        async for text in call.messages:
            call.send(text)

    await asyncio.gather(echo_sound(), echo_picture(), echo_messages())
    print(f"{incoming.caller} has gone: {call.end_reason}")


async def main() -> None:
    """Wait for calls."""
    parser = argparse.ArgumentParser(description="Answer every call with its own echo.")
    parser.add_argument("--server", default="ws://localhost:8080")
    parser.add_argument("--as", dest="name", default="echo", metavar="NAME")
    parser.add_argument("--seconds", type=float, help="leave after this long (default: never)")
    options = parser.parse_args()
    async with Client(options.server, name=options.name) as me:
        me.on_incoming(answer)
        print(f"{options.name} waits for calls on {options.server}", flush=True)
        await me.wait_closed(timeout=options.seconds)


if __name__ == "__main__":
    asyncio.run(main())
