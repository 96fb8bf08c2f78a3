"""Congestion control: how fast the path can take what we send, and who gets which part of it.

::

    feedback ──> arrival_groups ──> delay_trend ─┐
        │  └───> queue_delay ────────────────────┤
        ├──────> acknowledged ───────────────────┼──> target_rate ──> allocate
        ├──────> loss ───────────────────────────┤
        └──────> probe ──────────────────────────┤
    reports (peers without transport-wide feedback) ┘

:mod:`.controller` wires them in this order.  The backbone is Google Congestion Control
(draft-ietf-rmcat-gcc-02); each module says where it departs from it and why.

Rates are bits per second *on the wire*, headers of every layer included; times are seconds.
"""

from __future__ import annotations
