"""Settings: one schema for the file, the environment and the command line.

A setting is a field of :class:`~ringline.turn.config.TurnConfig` (how the server behaves) or of
:class:`RunConfig` (how it is run), under the same name everywhere::

    max_allocations = 500                        # in the file, which is TOML
    RINGLINE_TURN_MAX_ALLOCATIONS=500            # in the environment

What comes later in this order wins: defaults, file, environment, command line.  Lists are written
with commas in the environment, users as ``name:password``.  A wrong or unknown setting raises
:exc:`~ringline.turn.errors.ConfigError` with its name and where it was said.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from ringline.turn.config import TurnConfig
from ringline.turn.errors import ConfigError
from ringline.turn.fleet import MAX_WORKERS

__all__ = [
    "ENVIRONMENT_PREFIX",
    "RunConfig",
    "Settings",
    "dump_turn",
    "load_settings",
    "restore_turn",
]

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
ENVIRONMENT_PREFIX: Final = "RINGLINE_TURN_"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How a TURN server is run as a process of its own."""

    metrics_host: str = "127.0.0.1"
    """Address of the page with metrics and health; it is nobody's business but the operator's."""

    metrics_port: int | None = None
    """TCP port of that page; :obj:`None`: there is none, 0 takes a free one."""

    workers: int = 1
    """Processes that serve, each on a core of its own; 0: one for each core.  On Linux, which
    spreads the clients of a port over them."""

    log_level: str = "info"
    """The least that is logged: ``debug``, ``info`` (every allocation's begin and end),
    ``warning`` or ``error``."""

    log_format: str = "text"
    """``text`` is ``key=value``, ``json`` an object a line."""

    redact_logs: bool = False
    """Whether addresses and user names are shown as pseudonyms, the same ones until the process
    ends."""

    drain_limit: float = 3600.0
    """Seconds after SIGTERM in which allocations may go on; the longest that a client may go
    without asking, so that each learns in time."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ConfigError: If one cannot be meant so.

        """
        if self.metrics_port is not None and not 0 <= self.metrics_port <= 65_535:
            raise ConfigError(f"metrics_port: expected 0 to 65535, got {self.metrics_port}")
        for key, known in (("log_level", LOG_LEVELS), ("log_format", ("text", "json"))):
            if getattr(self, key) not in known:
                said = getattr(self, key)
                raise ConfigError(f"{key}: expected {', '.join(known)}, got {said!r}")
        if not 0 <= self.workers <= MAX_WORKERS:
            raise ConfigError(f"workers: expected 0 to {MAX_WORKERS}, got {self.workers}")
        if not self.drain_limit >= 0:
            raise ConfigError(f"drain_limit: expected 0 or more, got {self.drain_limit}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was said."""

    turn: TurnConfig
    run: RunConfig

    def __post_init__(self) -> None:
        """Check what concerns both.

        Raises:
            ConfigError: If the two do not go together.

        """
        if self.turn.mobility and self.run.workers != 1:
            raise ConfigError(
                "mobility: only with workers = 1; a client that has moved may come to another "
                "worker, which does not have its allocation"
            )


def load_settings(
    *,
    text: str | None = None,
    source: str = "the file",
    environment: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings of a server.

    Args:
        text: Of the file, TOML; :obj:`None` if there is none.
        source: What the file is called in errors.
        environment: Variables; those with another prefix are not looked at.
        given: On the command line, with values of the right type; :obj:`None` is not given.

    Raises:
        ConfigError: If one is unknown, has another type or cannot be meant so.

    """
    values: dict[str, Any] = {}
    if text is not None:
        values |= _read_file(text, source)
    for variable, value in (environment or {}).items():
        if variable.startswith(ENVIRONMENT_PREFIX):
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            values[name] = _convert(name, _split(name, value), f"the variable {variable}")
    values |= {name: value for name, value in (given or {}).items() if value is not None}
    turn = {name: value for name, value in values.items() if name in _TURN}
    run = {name: value for name, value in values.items() if name in _RUN}
    return Settings(TurnConfig(**turn), RunConfig(**run))


def dump_turn(config: TurnConfig) -> dict[str, Any]:
    """Return what :func:`restore_turn` makes the same settings of, ready for JSON."""
    values = {name: getattr(config, name) for name in _TURN}
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def restore_turn(values: Mapping[str, Any]) -> TurnConfig:
    """Return the settings that :func:`dump_turn` took apart.

    Raises:
        ConfigError: If they are not such.

    """
    fields: dict[str, Any] = {name: _convert(name, value, "JSON") for name, value in values.items()}
    return TurnConfig(**fields)


def _read_file(text: str, source: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from None
    return {name: _convert(name, value, source) for name, value in table.items()}


_TURN: Final = get_type_hints(TurnConfig)
_RUN: Final = get_type_hints(RunConfig)
_TYPES: Final[dict[str, Any]] = {
    config_field.name: hints[config_field.name]
    for config, hints in ((TurnConfig, _TURN), (RunConfig, _RUN))
    for config_field in dataclasses.fields(config)
}


def _convert(name: str, value: object, where: str) -> object:
    """Return a value of the file as the field wants it."""
    if name not in _TYPES:
        raise ConfigError(f"{name}: no such setting, in {where}; there are {', '.join(_TYPES)}")
    wanted = _TYPES[name]
    for kind in _alternatives(wanted):
        if kind is float and type(value) is int:
            return float(value)
        if kind in (str, int, float, bool) and type(value) is kind:
            return value
        if get_origin(kind) is tuple and isinstance(value, list) and _are_texts(value):
            return tuple(value)
        if get_origin(kind) is Mapping and isinstance(value, dict) and _are_texts(value.values()):
            return dict(value)
    raise ConfigError(f"{name}: expected {_describe(wanted)}, in {where}")


def _split(name: str, text: str) -> object:
    """Return a variable's text as TOML would have given it."""
    wanted = _TYPES.get(name)
    kinds = _alternatives(wanted)
    if any(get_origin(kind) is tuple for kind in kinds):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return parts[0] if str in kinds and len(parts) == 1 else parts
    if get_origin(wanted) is Mapping:
        pairs = [part.strip().partition(":") for part in text.split(",") if part.strip()]
        return {user: password if colon else None for user, colon, password in pairs}
    if bool in kinds:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                return text
    return text


def _are_texts(values: object) -> bool:
    return all(isinstance(value, str) for value in values)  # type: ignore[attr-defined] # iterable


def _describe(wanted: object) -> str:
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        tuple: "a list of texts",
        Mapping: 'users, each with a password (NAME = "PASSWORD" below [users] in the file, '
        "NAME:PASSWORD with commas between in the variable)",
    }
    return " or ".join(
        names[get_origin(kind) or kind]
        for kind in _alternatives(wanted)
        if kind is not types.NoneType
    )


def _alternatives(wanted: object) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
