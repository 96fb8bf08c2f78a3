from __future__ import annotations

from typing import Any

import pytest

from ringline.signaling.config import ServerConfig
from ringline.signaling.tokens import TokenKeys


def test_a_server_has_keys_or_is_for_trying_out() -> None:
    with pytest.raises(ValueError, match="token_keys"):
        ServerConfig()
    assert ServerConfig(dev=True).host == "127.0.0.1"
    assert ServerConfig(token_keys=TokenKeys(keys={"1": b"k" * 32})).dev is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65_536},
        {"turn_port": -1},
        {"session_ttl": 0.0},
        {"message_burst": 0},
        {"allowed_origins": ("banana",)},
        {"min_ring_time": 10.0, "max_ring_time": 9.0},
        {"turn_urls": ("relay.example:3478",), "turn_secret": "shared"},
        {"turn_urls": ("turn:relay.example:99999",), "turn_secret": "shared"},
        {"turn_secret": None, "turn_urls": ("turn:relay.example:3478",)},
    ],
)
def test_a_field_that_cannot_be_meant_so_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ServerConfig(dev=True, **wrong)


def test_the_secret_does_not_show_in_a_log() -> None:
    assert "hidden" not in repr(ServerConfig(dev=True, turn_secret="hidden"))
