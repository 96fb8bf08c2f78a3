from __future__ import annotations

from ringline.turn.quota import AllocationQuota


def test_a_user_and_all_users_have_limits() -> None:
    quota = AllocationQuota(per_user=2, total=3)
    assert quota.user_has_room("ann", 2)
    assert not quota.user_has_room("ann", 3)
    quota.take("ann", 2)
    assert not quota.user_has_room("ann", 1)
    assert quota.user_has_room("bob", 2)
    assert quota.has_room(1)
    assert not quota.has_room(2)
    quota.release("ann", 1)
    assert quota.user_has_room("ann", 1)
    assert quota.held == 1


def test_who_holds_nothing_is_forgotten() -> None:
    quota = AllocationQuota(per_user=2, total=3)
    for user in ("ann", "bob"):
        quota.take(user, 1)
        quota.release(user, 1)
    assert quota.held == 0
    assert quota._held == {}
