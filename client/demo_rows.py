"""Demo rows: joins what the two sides of a call say of each second.

What left is the sender's to tell, what arrived the receiver's; a direction needs both.  The two
processes begin to count at the accept, some milliseconds apart, so rows are joined by their
number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ringline.client.call_rows import CallRow, ReceivedRow, SentRow
from ringline.client.demo_stats import DirectionStats

__all__ = ["DirectionRows", "row_from_json"]


def row_from_json(entry: dict[str, Any]) -> CallRow:
    """Return the row that a ``stats`` line of ``--json`` holds.

    Raises:
        KeyError: If a part is missing.
        TypeError: If one has a field that we do not know.

    """
    return CallRow(
        second=entry["second"],
        path=entry["path"],
        received=ReceivedRow(**entry["received"]),
        sent=SentRow(**entry["sent"]),
    )


@dataclass(slots=True)
class DirectionRows:
    """One direction of the demo's call, second by second.

    Attributes:
        rows: Those of which both sides have told.

    """

    rows: list[DirectionStats] = field(default_factory=list)
    _sent: list[CallRow] = field(default_factory=list)
    _received: list[CallRow] = field(default_factory=list)

    def handle_sender(self, row: CallRow) -> None:
        """Take a row of the side that sends."""
        self._sent.append(row)
        self._join()

    def handle_receiver(self, row: CallRow) -> None:
        """Take a row of the side that receives."""
        self._received.append(row)
        self._join()

    def _join(self) -> None:
        while len(self.rows) < min(len(self._sent), len(self._received)):
            left, arrived = self._sent[len(self.rows)], self._received[len(self.rows)]
            self.rows.append(
                DirectionStats(
                    second=arrived.second,
                    path=arrived.path,
                    width=arrived.received.width,
                    height=arrived.received.height,
                    frames_per_second=arrived.received.frames_per_second,
                    bitrate=left.sent.bitrate,
                    target_bitrate=left.sent.target_bitrate,
                    loss=arrived.received.loss,
                    round_trip=left.sent.round_trip,
                    latency=arrived.received.latency,
                    freezes=arrived.received.freezes,
                    frozen_seconds=arrived.received.frozen_seconds,
                    concealed_ms=arrived.received.concealed_ms,
                    sound_latency=arrived.received.sound_latency,
                    repairs=arrived.received.repairs,
                    score=arrived.received.score,
                    sound_score=arrived.received.sound_score,
                    picture_score=arrived.received.picture_score,
                    cause=arrived.received.cause,
                    side=arrived.received.side,
                )
            )
