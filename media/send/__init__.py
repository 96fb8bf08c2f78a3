"""The sending half of the road: from raw frames to RTP packets that may leave now.

::

    frames ─> capture ─> encode ─> packetize ─> pace ─> transmit ─> bytes
                            ^                    ^         │
                            │       protect_rtx ─┘ <───────┤ history of what left
                            └── allocate <── ringline.media.congestion <── log of what left

:mod:`.pipeline` wires them in this order.
"""

from __future__ import annotations
