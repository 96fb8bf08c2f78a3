"""Call somebody with a film as camera and microphone, and record what they say and show.

``python examples/record.py desk --play film.mp4 --record desk.mkv --seconds 10``
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from ringline.client import CallFailedError, Client
from ringline.media import FileSource, Recorder


async def main() -> int:
    """Make one call; return the exit code."""
    parser = argparse.ArgumentParser(description="Call somebody and record them.")
    parser.add_argument("callee")
    parser.add_argument("--server", default="ws://localhost:8080")
    parser.add_argument("--as", dest="name", default="recorder", metavar="NAME")
    parser.add_argument("--play", metavar="FILE", help="what they see and hear")
    parser.add_argument("--record", default="call.mkv", metavar="FILE")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    film = FileSource(options.play) if options.play else True
    async with Client(options.server, name=options.name) as me:
        try:
            call = await me.call(options.callee, audio=film, video=film)
        except CallFailedError as error:
            print(error, file=sys.stderr)
            return 1
        recorder = Recorder(options.record)
        call.add_sink(audio=recorder, video=recorder)
        await asyncio.sleep(options.seconds)
        await call.hang_up()
    print(f"{options.seconds:.0f} s of {options.callee} are in {options.record}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
