from __future__ import annotations

from pathlib import Path

from ringline.signaling.messages import ClientMessage, ServerMessage
from ringline.signaling.schema import json_schema, schema_text

PUBLISHED = Path(__file__).parents[3] / "docs" / "protocol" / "v1.schema.json"


def test_the_published_schema_is_current() -> None:
    # To mend: python -m ringline.signaling.schema > docs/protocol/v1.schema.json
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text()


def test_every_message_is_in_its_union() -> None:
    parts = json_schema()["$defs"]
    for name, union in (("ClientMessage", ClientMessage), ("ServerMessage", ServerMessage)):
        named = {entry["$ref"].rsplit("/", 1)[1] for entry in parts[name]["anyOf"]}
        assert named == {kind.__name__ for kind in union.__args__}


def test_a_message_is_known_by_its_t() -> None:
    invite = json_schema()["$defs"]["CallInvite"]
    assert invite["properties"]["t"] == {"enum": ["call.invite"]}
    assert set(invite["required"]) == {"t", "call", "to"}
