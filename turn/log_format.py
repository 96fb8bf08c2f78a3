"""Log format: one line an event, as ``key=value`` or JSON, with who is who hidden on request.

What happens is logged as an :class:`Event`: a name and fields.  Fields that say who somebody is
are :class:`Private`, so that a :class:`Redactor` knows them; addresses in what others log are
found by their form.  A redactor gives each a pseudonym: the same one for as long as the process
runs, so that lines still connect, and of no use to who has not its key.  Secrets are never
logged, redacted or not.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["Event", "LogFormatter", "Private", "Redactor"]

_CONTROL: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""What moves a terminal's cursor, colours, line or direction of text."""

_PLAIN: Final = re.compile(rf"[^\s\"=\\{_CONTROL}]+")
_CONTROLS: Final = re.compile(f"[{_CONTROL}]")
_IPV4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")


class Private:
    """A text that says who somebody is.

    Args:
        kind: What sort of text: ``address`` or ``user``.
        text: It.

    """

    __slots__ = ("kind", "text")

    def __init__(self, kind: str, text: str) -> None:
        self.kind, self.text = kind, text

    def __str__(self) -> str:
        return self.text


class Event:
    """What happened; to be given to a logger in place of a message."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, /, **fields: object) -> None:
        self.name, self.fields = name, fields

    def __str__(self) -> str:
        return " ".join((self.name, *(f"{key}={_plain(str(v))}" for key, v in self.fields.items())))


class Redactor:
    """Gives pseudonyms.

    Args:
        key: 16 random bytes; those of another key do not connect with these.

    """

    def __init__(self, key: bytes) -> None:
        self.key: Final = key

    def pseudonym(self, kind: str, text: str) -> str:
        """Return what stands for a text of a kind."""
        return f"{kind}-{hmac.digest(self.key, text.encode(), 'sha256').hex()[:10]}"

    def redact(self, value: object) -> str:
        """Return a value as it may be shown."""
        if isinstance(value, Private):
            return self.pseudonym(value.kind, value.text)
        return _IPV6.sub(self._hide, _IPV4.sub(self._hide, str(value)))

    def _hide(self, match: re.Match[str]) -> str:
        text = match.group().rstrip(":.")
        try:
            host = str(ipaddress.ip_address(text))
        except ValueError:
            return match.group()  # a time of day, a version
        return self.pseudonym("address", host) + match.group()[len(text) :]


class LogFormatter(logging.Formatter):
    """Writes a record as one line.

    Args:
        as_json: As an object of JSON instead of ``key=value``.
        redactor: Hides who is who; :obj:`None`: nobody does.

    """

    def __init__(self, *, as_json: bool, redactor: Redactor | None) -> None:
        super().__init__()
        self.as_json: Final = as_json
        self.redactor: Final = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        wallclock = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            "time": wallclock.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        said = record.msg
        if isinstance(said, Event):
            fields |= {"event": said.name, **{k: self._shown(v) for k, v in said.fields.items()}}
        else:
            fields["message"] = self._shown(record.getMessage())
        if record.exc_info:
            fields["exception"] = self._shown(self.formatException(record.exc_info))
        if self.as_json:
            return _to_json(fields)
        return " ".join(f"{key}={_plain(str(value))}" for key, value in fields.items())

    def _shown(self, value: object) -> object:
        if isinstance(value, (bool, int, float)):
            return value
        return str(value) if self.redactor is None else self.redactor.redact(value)


def _plain(text: str) -> str:
    """Return a value without what would end it, or the line."""
    return text if _PLAIN.fullmatch(text) else _to_json(text)


def _to_json(value: object) -> str:
    """Return JSON that a person can read and a terminal does not act on."""
    text = json.dumps(value, ensure_ascii=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
