"""Exposition: the TURN server's counters for Prometheus, read when asked for.

The data path counts in plain integers (:mod:`~ringline.turn.metrics`); this gives them names.  The
registry is its own, so that several servers in one process do not collide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ringline.turn.metrics import TurnMetrics

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Exposition(Collector):
    """The text of a ``/metrics`` page.

    Args:
        metrics: Whose numbers; read anew each time.
        workers: Processes that serve at this moment.
        draining: Whether new allocations are refused.

    """

    def __init__(self, metrics: TurnMetrics, *, workers: int = 1, draining: bool = False) -> None:
        self._metrics: Final = metrics
        self._workers: Final = workers
        self._draining: Final = draining
        self._registry: Final = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the page in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Give all numbers; called by the registry."""
        metrics = self._metrics
        yield GaugeMetricFamily("ringline_turn_allocations", "Live relays.", metrics.allocations)
        yield GaugeMetricFamily(
            "ringline_turn_peer_connections",
            "TCP connections between relays and peers.",
            metrics.peer_connections,
        )
        yield GaugeMetricFamily("ringline_turn_workers", "Processes that serve.", self._workers)
        yield GaugeMetricFamily(
            "ringline_turn_draining", "1 while new relays are refused.", int(self._draining)
        )
        for name, text, value in (
            ("allocations_created", "Relays made.", metrics.allocations_created),
            ("allocations_moved", "Clients followed elsewhere.", metrics.allocations_moved),
            ("relayed_inside", "Datagrams between two relays here.", metrics.relayed_inside),
            (
                "unauthenticated_replies",
                "Answers to who has proved nothing.",
                metrics.unauthenticated_replies,
            ),
        ):
            yield CounterMetricFamily(f"ringline_turn_{name}", text, value)
        datagrams = CounterMetricFamily(
            "ringline_turn_datagrams", "Datagrams relayed.", labels=["direction"]
        )
        octets = CounterMetricFamily(
            "ringline_turn_bytes", "Payload relayed.", labels=["direction"], unit=""
        )
        for direction, count, size in (
            ("to_peer", metrics.client_to_peer_datagrams, metrics.client_to_peer_bytes),
            ("to_client", metrics.peer_to_client_datagrams, metrics.peer_to_client_bytes),
        ):
            datagrams.add_metric([direction], count)
            octets.add_metric([direction], size)
        yield datagrams
        yield octets
        errors = CounterMetricFamily(
            "ringline_turn_error_responses", "Requests refused.", labels=["code"]
        )
        for code, count in metrics.error_responses.items():
            errors.add_metric([str(int(code))], count)
        yield errors
        dropped = CounterMetricFamily(
            "ringline_turn_dropped", "What went no further.", labels=["reason"]
        )
        for reason, count in metrics.dropped.items():
            dropped.add_metric([reason.value], count)
        yield dropped
