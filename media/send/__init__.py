"""The sending half of the road: from raw frames to RTP packets that may leave now.

::

    frames ─> capture ─> encode ─> packetize ─> pace ─> transmit ─> bytes
                            ^                    ^         │
                            │       protect_rlc, protect_rtx <── what left
                            └── allocate <── ringline.media.congestion <── log of what left

:mod:`.pipeline` wires them in this order; :mod:`.streams` keeps together what belongs to one
stream.  :mod:`.protection` says how much forward error correction is worth its rate.  Beside the
road: :mod:`.scale` (size and frame rate by bitrate), :mod:`.report` (sender
reports, round trip), :mod:`.limitation`, :mod:`.stats` and :mod:`.events`.
"""

from __future__ import annotations
