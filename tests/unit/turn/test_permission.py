from __future__ import annotations

from ringline.turn.permission import Permissions


def test_a_permission_lives_until_its_time() -> None:
    permissions = Permissions(2)
    permissions.install("192.0.2.1", 100.0, relayed_only=False)
    assert permissions.find("192.0.2.1", 99.9) is not None
    assert permissions.find("192.0.2.1", 100.0) is None
    assert permissions.find("192.0.2.2", 0.0) is None


def test_renewing_never_cuts_short() -> None:
    permissions = Permissions(2)
    permissions.install("192.0.2.1", 600.0, relayed_only=False)
    permissions.install("192.0.2.1", 300.0, relayed_only=False)
    assert permissions.find("192.0.2.1", 599.0) is not None


def test_the_limit_counts_what_lives() -> None:
    permissions = Permissions(2)
    permissions.install("192.0.2.1", 100.0, relayed_only=False)
    permissions.install("192.0.2.2", 200.0, relayed_only=False)
    assert permissions.has_room(("192.0.2.1", "192.0.2.2"), 50.0)
    assert not permissions.has_room(("192.0.2.3",), 50.0)
    assert permissions.has_room(("192.0.2.3",), 100.0)
    assert not permissions.has_room(("192.0.2.3", "192.0.2.4"), 100.0)
    assert len(permissions) == 1
