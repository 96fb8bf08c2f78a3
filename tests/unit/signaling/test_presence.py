from __future__ import annotations

from ringline.signaling.messages import Person, PresenceUpdate
from ringline.signaling.presence import Presence


def test_a_change_is_told_and_no_change_is_not() -> None:
    presence = Presence()
    online = PresenceUpdate(people=(Person(name="ann", state="online"),))
    assert presence.handle_state("ann", "online") == online
    assert presence.handle_state("ann", "online") is None
    assert presence.handle_state("bob", "offline") is None


def test_everybody_is_who_is_there() -> None:
    presence = Presence()
    presence.handle_state("cid", "in_call")
    presence.handle_state("ann", "online")
    presence.handle_state("bob", "online")
    assert presence.handle_state("bob", "offline") is not None
    assert presence.everybody() == PresenceUpdate(
        people=(Person(name="ann", state="online"), Person(name="cid", state="in_call")),
        full=True,
    )
    assert len(presence) == 2
