from __future__ import annotations

import pytest

from ringline.media.errors import ParseError
from ringline.media.rtp.transport_cc import TransportFeedback


def deltas(feedback: TransportFeedback) -> list[float | None]:
    """Arrivals relative to the first, in milliseconds: only differences mean anything."""
    first = next(arrival for arrival in feedback.arrivals if arrival is not None)
    return [None if a is None else round((a - first) * 1000, 2) for a in feedback.arrivals]


def round_trip(arrivals: list[float | None]) -> list[float | None]:
    feedback = TransportFeedback(1, 2, 65_530, 255, arrivals)
    parsed = TransportFeedback.parse(feedback.serialize())
    assert (parsed.sender_ssrc, parsed.media_ssrc) == (1, 2)
    assert (parsed.base_sequence, parsed.feedback_count) == (65_530, 255)
    return deltas(parsed)


def test_small_steps_take_a_byte_each() -> None:
    feedback = TransportFeedback(1, 2, 10, 3, [0.064, 0.065, 0.066])
    wire = feedback.serialize().hex()
    assert wire == "0000000100000002000a000300000103d500000404000000"


def test_losses_and_reordering_survive() -> None:
    assert round_trip([1.0, None, None, 1.005, 0.999, 3.0]) == [0, None, None, 5, -1, 2000]


def test_long_runs_are_one_chunk() -> None:
    arrivals: list[float | None] = [5.0, *[None] * 5_000, 5.001]
    assert len(TransportFeedback(1, 2, 0, 0, arrivals).serialize()) < 40
    assert round_trip(arrivals)[-1] == 1


def test_arrivals_too_far_apart_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        TransportFeedback(1, 2, 0, 0, [0.0, 8.3]).serialize()


def test_one_bit_vectors_are_read() -> None:
    # 14 symbols: received and lost by turns, then a run of two received.
    body = bytes.fromhex("00000001000000020000001000000100aaaa2002") + bytes([4] * 9 + [0] * 3)
    arrivals = TransportFeedback.parse(body).arrivals
    assert [a is not None for a in arrivals] == [True, False] * 7 + [True, True]


def test_a_feedback_about_nothing_is_read() -> None:
    body = bytes.fromhex("00000001000000020000000000000100")
    assert TransportFeedback.parse(body).arrivals == []


@pytest.mark.parametrize(
    "tail",
    [
        "",  # no chunk
        "2001",  # a chunk and no delta
        "2000",  # a run of none, for ever
        "6001",  # the reserved status
        "4001ff",  # half of a large delta
    ],
)
def test_what_is_missing_is_refused(tail: str) -> None:
    with pytest.raises(ParseError):
        TransportFeedback.parse(bytes.fromhex("00000001000000020000000100000100" + tail))


def test_a_body_without_a_header_is_refused() -> None:
    with pytest.raises(ParseError):
        TransportFeedback.parse(bytes(15))
