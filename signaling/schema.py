"""Schema: the messages as JSON Schema (draft 2020-12), for clients in other languages.

``python -m ringline.signaling.schema > docs/protocol/v1.schema.json`` writes the published file.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from ringline.signaling.messages import SUBPROTOCOL, ClientMessage, ServerMessage

__all__ = ["json_schema", "schema_text"]


def json_schema() -> dict[str, Any]:
    """Return one schema: ``ClientMessage`` and ``ServerMessage`` as unions, and their parts."""
    (client, server), parts = msgspec.json.schema_components(
        (ClientMessage, ServerMessage), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SUBPROTOCOL,
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": {"ClientMessage": client, "ServerMessage": server, **parts},
    }


def schema_text() -> str:
    """Return the published file's text."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
