"""Few names are public: what a package exports is decided here, not by accident."""

from __future__ import annotations

from importlib import import_module

import pytest

from ringline import client, media, signaling

PACKAGES = ("client", "media", "signaling", "turn")
MOST = 25


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_few_names_and_all_of_them_exist(package: str) -> None:
    module = import_module(f"ringline.{package}")
    names = module.__all__
    assert 0 < len(names) <= MOST
    assert list(names) == sorted(names)
    for name in names:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_none_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = import_module(f"ringline.{package}").no_such_name


def test_what_the_readme_uses_is_public() -> None:
    assert {"Call", "Client", "IncomingCall", "StateChanged"} <= set(client.__all__)
    assert {"FileSource", "NumpyVideo", "Recorder", "VideoFrame"} <= set(media.__all__)
    assert {"RinglineServer", "ServerConfig"} <= set(signaling.__all__)
