from __future__ import annotations

import asyncio

from ringline.client.streams import Stream


async def test_items_come_in_order_and_then_it_ends() -> None:
    stream: Stream[int] = Stream(limit=8)
    for item in range(3):
        stream.push(item)
    stream.end()
    stream.push(99)  # after the end nothing comes
    assert [item async for item in stream] == [0, 1, 2]
    assert [item async for item in stream] == []
    assert stream.dropped == 0


async def test_a_slow_reader_loses_the_oldest_items() -> None:
    stream: Stream[int] = Stream(limit=2)
    for item in range(5):
        stream.push(item)
    stream.end()
    assert [item async for item in stream] == [3, 4]
    assert stream.dropped == 3


async def test_readers_wait_and_share_the_items() -> None:
    stream: Stream[int] = Stream(limit=8)

    async def read() -> list[int]:
        return [item async for item in stream]

    readers = [asyncio.create_task(read()) for _ in range(2)]
    await asyncio.sleep(0)
    for item in range(6):
        stream.push(item)
        await asyncio.sleep(0)
    stream.end()
    shares = await asyncio.gather(*readers)
    assert sorted(shares[0] + shares[1]) == list(range(6))


async def test_a_reader_that_gives_up_takes_nothing_along() -> None:
    stream: Stream[int] = Stream(limit=8)
    reader = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    stream.push(1)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert await anext(stream) == 1
