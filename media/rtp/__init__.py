"""RTP: wire formats only, bytes to values and back (RFC 3550 and what extends it).

* :mod:`.packet`: the RTP packet; :mod:`.header_extensions`: what rides in its header.
* :mod:`.rtcp`: compound RTCP: reports, NACK, PLI, REMB; :mod:`.transport_cc`: arrival feedback.
* :mod:`.vp8`: the VP8 payload descriptor; :mod:`.rtx`: the retransmission payload.

Parsers raise :class:`ringline.media.errors.ParseError` and nothing else, whatever the input.
"""

from __future__ import annotations
