from __future__ import annotations

import pytest

from ringline.client.errors import LocalError
from ringline.client.source_choice import Origin, SourceChoice, choose_sources


def test_devices_are_the_default() -> None:
    auto = SourceChoice(Origin.AUTO)
    assert choose_sources(play=None, audio=None, video=None) == (auto, auto)


def test_a_film_is_both() -> None:
    film = SourceChoice(Origin.FILE, "a.mp4")
    assert choose_sources(play="a.mp4", audio=None, video=None) == (film, film)


def test_a_word_is_stronger_than_the_film() -> None:
    sound, picture = choose_sources(play="a.mp4", audio="voice", video=None)
    assert sound == SourceChoice(Origin.SYNTHETIC)
    assert picture == SourceChoice(Origin.FILE, "a.mp4")


@pytest.mark.parametrize(
    ("word", "choice"),
    [
        ("auto", SourceChoice(Origin.AUTO)),
        ("mic", SourceChoice(Origin.DEVICE)),
        ("mic:hw:1,0", SourceChoice(Origin.DEVICE, "hw:1,0")),
        ("voice", SourceChoice(Origin.SYNTHETIC)),
        ("none", SourceChoice(Origin.NONE)),
        ("mic:", SourceChoice(Origin.FILE, "mic:")),
        ("camera", SourceChoice(Origin.FILE, "camera")),
        ("./none", SourceChoice(Origin.FILE, "./none")),
    ],
)
def test_words_for_sound(word: str, choice: SourceChoice) -> None:
    assert choose_sources(play=None, audio=word, video=None)[0] == choice


@pytest.mark.parametrize(
    ("word", "choice"),
    [
        ("camera", SourceChoice(Origin.DEVICE)),
        ("camera:/dev/video2", SourceChoice(Origin.DEVICE, "/dev/video2")),
        ("pattern", SourceChoice(Origin.SYNTHETIC)),
        ("none", SourceChoice(Origin.NONE)),
        ("voice", SourceChoice(Origin.FILE, "voice")),
        ("film.mkv", SourceChoice(Origin.FILE, "film.mkv")),
    ],
)
def test_words_for_pictures(word: str, choice: SourceChoice) -> None:
    assert choose_sources(play=None, audio=None, video=word)[1] == choice


def test_to_send_nothing_at_all_is_refused() -> None:
    with pytest.raises(LocalError, match="nothing to send"):
        choose_sources(play=None, audio="none", video="none")


def test_an_empty_word_is_refused() -> None:
    with pytest.raises(LocalError, match="--video is empty"):
        choose_sources(play=None, audio=None, video="")
