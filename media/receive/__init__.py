"""Receive: the road of a frame from the network to the moment when it is seen or heard.

::

    arrive -> recover -> jitter_buffer -> conceal -> decode -> synchronize -> render

One file a stage, each sans-I/O:

* :mod:`.arrive` tells which stream a packet belongs to; :mod:`.sequence` continues its number.
* :mod:`.feedback` and :mod:`.report` tell the sender what arrived.
* :mod:`.recover_rlc` finds what is missing from repair packets, :mod:`.recover_nack` asks for it.
* Sound: :mod:`.jitter_buffer` waits just long enough (:mod:`.arrival_delay` measures how long
  that is), :mod:`.conceal` fills what never came; :mod:`.audio_stream` joins them.
* Picture: :mod:`.assemble` makes frames of packets, :mod:`.decode` decodes and asks for key
  frames, :mod:`.render` shows them in time; :mod:`.video_stream` joins them.
* :mod:`.synchronize` keeps lips and voice together.
* :mod:`.pipeline` wires them; :mod:`.stats` is what it tells, :mod:`.freeze` what a freeze is.
"""

from __future__ import annotations
