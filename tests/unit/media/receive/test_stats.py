from __future__ import annotations

from ringline.media.receive.stats import AudioReceiveStats, ReceiveStats, VideoReceiveStats


def test_the_first_stream_of_a_kind_is_found() -> None:
    audio, video = AudioReceiveStats(mid="0"), VideoReceiveStats(mid="1")
    stats = ReceiveStats(streams=[audio, video, AudioReceiveStats(mid="2")])
    assert stats.audio is audio
    assert stats.video is video
    assert ReceiveStats().audio is None
    assert ReceiveStats().video is None
