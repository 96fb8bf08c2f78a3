"""Turn: the relay alone on the command line."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ringline.client.errors import LocalError
from ringline.turn import ConfigError, ListenError
from ringline.turn.addresses import Address, format_address
from ringline.turn.io_loop import run as run_server
from ringline.turn.io_run import Serving, run_service
from ringline.turn.log_format import LogFormatter, Redactor
from ringline.turn.settings import RunConfig, load_settings

__all__ = ["read_users", "run"]


def read_users(given: Sequence[str] | None) -> dict[str, str] | None:
    """Return the users of the command line, name to password.

    Raises:
        LocalError: If one is not written ``NAME:PASSWORD``.

    """
    if given is None:
        return None
    users = {}
    for text in given:
        name, colon, password = text.partition(":")
        if not name or not colon or not password:
            raise LocalError("--user: expected NAME:PASSWORD")  # what was typed may be a secret
        users[name] = password
    return users


def run(given: Mapping[str, Any], *, config: Path | None, json_lines: bool) -> None:
    """Serve until a signal says otherwise.

    Args:
        given: Settings of the command line.
        config: A file with more.
        json_lines: Whether to speak to a script.

    Raises:
        LocalError: If a setting cannot be meant so, or a port is taken.

    """
    try:
        text = None if config is None else config.read_text(encoding="utf-8")
        settings = load_settings(text=text, source=str(config), environment=os.environ, given=given)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise LocalError(f"--config: cannot read {config}: {reason}") from None
    except ConfigError as error:
        raise LocalError(str(error)) from None

    _set_up_logging(settings.run)

    def announce(service: Serving, metrics_port: int | None) -> None:
        metrics = None if metrics_port is None else (settings.run.metrics_host, metrics_port)
        print(_describe(service, metrics, json_lines=json_lines), flush=True)  # noqa: T201

    try:
        run_server(run_service(settings, on_open=announce))
    except ListenError as error:
        keys = ", ".join(error.keys)
        raise LocalError(f"{keys}: {error}" if keys else str(error)) from None
    except ConfigError as error:
        raise LocalError(str(error)) from None
    if not json_lines:
        print("the relay has stopped")  # noqa: T201 - this is the command's output


def _join(hosts: Sequence[str], port: int) -> str:
    return " and ".join(format_address((host, port)) for host in hosts)


def _set_up_logging(config: RunConfig) -> None:
    """Log as the settings say; where there is --verbose, all of it."""
    root = logging.getLogger()
    redactor = Redactor(secrets.token_bytes(16)) if config.redact_logs else None
    for handler in root.handlers:
        handler.setFormatter(LogFormatter(as_json=config.log_format == "json", redactor=redactor))
    if root.level != logging.DEBUG:
        root.setLevel(config.log_level.upper())


def _describe(service: Serving, metrics: Address | None, *, json_lines: bool) -> str:
    if json_lines:
        return json.dumps(
            {
                "type": "turn",
                "host": service.hosts[0],
                "hosts": service.hosts,
                "port": service.port,
                "tls_port": service.tls_port,
                "metrics_port": None if metrics is None else metrics[1],
                "workers": service.workers,
            }
        )
    by = "UDP and TCP" if service.tcp else "UDP"
    lines = [f"TURN: {_join(service.hosts, service.port)}, {by}"]
    if service.tls_port is not None:
        lines.append(f"TLS:  {_join(service.hosts, service.tls_port)}")
    if service.workers > 1:
        lines.append(f"workers: {service.workers}")
    if metrics is not None:
        lines.append(f"metrics and health: http://{format_address(metrics)}/metrics")
    lines.append("SIGTERM or Ctrl-C lets the calls end first, a second one does not")
    return "\n".join(lines)
