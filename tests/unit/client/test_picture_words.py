from __future__ import annotations

from ringline.client.events import PictureChanged
from ringline.client.picture_words import Cause, PictureWord, SentPicture, picture_changed


def test_a_change_says_what_whose_and_why() -> None:
    assert picture_changed("sending", "paused", "network") == PictureChanged(
        "sending", "paused", "network", "video paused: your network"
    )
    assert picture_changed("receiving", "smaller", "device").text == (
        "their picture becomes smaller: their device"
    )
    assert picture_changed("sending", "full", "network").text == "your picture is back"


class Said:
    """What was said of our picture, in virtual time."""

    def __init__(self) -> None:
        self.picture = SentPicture()
        self.words: list[tuple[float, PictureWord, Cause]] = []
        self.now = 0.0

    def watch(self, at: float, state: PictureWord, cause: Cause) -> None:
        self.run(at)
        self.picture.handle_watch(state, cause)
        self._poll()

    def cpu(self, at: float, *, limited: bool) -> None:
        self.run(at)
        self.picture.handle_cpu(at, limited=limited)
        self._poll()

    def run(self, until: float) -> None:
        while (due := self.picture.poll_timeout()) is not None and due <= until:
            self.now = due
            self._poll()
        self.now = until

    def _poll(self) -> None:
        changed = self.picture.poll_change(self.now)
        if changed is not None:
            assert changed.direction == "sending"
            self.words.append((self.now, changed.state, changed.cause))
        assert self.picture.poll_change(self.now) is None


def test_a_computer_that_makes_fewer_pictures_and_then_has_time_again_is_told() -> None:
    said = Said()
    said.cpu(1.0, limited=True)
    said.cpu(5.0, limited=False)
    said.run(60.0)
    assert said.words == [(1.0, "smaller", "device"), (7.5, "full", "device")]


def test_a_picture_is_not_back_when_the_network_makes_it_smaller_than_the_computer_did() -> None:
    said = Said()
    said.cpu(1.0, limited=True)
    said.watch(1.0, "smaller", "device")
    said.cpu(5.0, limited=False)  # the network takes still less: the watch's word stays as it is
    said.run(60.0)
    assert said.words == [(1.0, "smaller", "device")]
    said.watch(60.0, "full", "network")
    assert said.words[1:] == [(60.0, "full", "device")]


def test_a_watch_that_waits_before_it_tells_of_the_network_is_waited_for() -> None:
    said = Said()
    said.cpu(1.0, limited=True)  # fewer pictures, of full size
    said.cpu(5.0, limited=False)
    said.watch(7.0, "smaller", "network")
    said.run(60.0)
    assert said.words == [(1.0, "smaller", "device"), (7.0, "smaller", "network")]


def test_a_picture_that_the_network_stops_while_the_computer_is_busy_is_not_back_before() -> None:
    said = Said()
    said.cpu(1.0, limited=True)
    said.cpu(5.0, limited=False)
    said.watch(5.0, "paused", "network")
    said.cpu(9.0, limited=True)
    said.watch(13.0, "smaller", "device")
    said.run(60.0)
    assert said.words == [
        (1.0, "smaller", "device"),
        (5.0, "paused", "network"),
        (13.0, "smaller", "device"),
    ]


def test_a_computer_that_is_busy_now_and_then_is_told_once() -> None:
    said = Said()
    for second in range(10):
        said.cpu(2.0 * second, limited=True)
        said.cpu(2.0 * second + 1.0, limited=False)
    said.run(60.0)
    assert said.words == [(0.0, "smaller", "device"), (21.5, "full", "device")]
