from __future__ import annotations

from ringline.client.events import PictureChanged
from ringline.client.picture_words import picture_changed


def test_a_change_says_what_whose_and_why() -> None:
    assert picture_changed("sending", "paused", "network") == PictureChanged(
        "sending", "paused", "network", "video paused: your network"
    )
    assert picture_changed("receiving", "smaller", "device").text == (
        "their picture becomes smaller: their device"
    )
    assert picture_changed("sending", "full", "network").text == "your picture is back"
