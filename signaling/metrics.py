"""Metrics: the hub's numbers for Prometheus, read when asked for.

The hub counts in plain integers; this collector gives them names.  Its registry is its own, so
that several servers in one process, or a server inside of somebody's program, do not collide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ringline.signaling.counters import Histogram
from ringline.signaling.hub import Hub

__all__ = ["MetricsPage"]


class MetricsPage(Collector):
    """The text of ``/metrics``.

    Args:
        hub: Whose numbers.
        loop_lag: Gives the event loop's lag in seconds.
        turn_allocations: Gives the TURN server's live allocations, if it runs here.

    """

    def __init__(
        self,
        hub: Hub,
        *,
        loop_lag: Callable[[], float],
        turn_allocations: Callable[[], int] | None = None,
    ) -> None:
        self._hub: Final = hub
        self._loop_lag: Final = loop_lag
        self._turn_allocations: Final = turn_allocations
        self._registry: Final = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the page in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Give all numbers; called by the registry."""
        hub, counters = self._hub, self._hub.counters
        yield GaugeMetricFamily("ringline_ws_connections", "Open sockets.", hub.connection_count)
        yield GaugeMetricFamily("ringline_sessions", "Sessions.", hub.session_count)
        yield GaugeMetricFamily("ringline_loop_lag_seconds", "Event loop lag.", self._loop_lag())
        if self._turn_allocations is not None:
            yield GaugeMetricFamily(
                "ringline_turn_allocations", "Live relays.", self._turn_allocations()
            )
        calls = GaugeMetricFamily("ringline_calls", "Calls by state.", labels=["state"])
        for state, count in hub.calls_by_state().items():
            calls.add_metric([state.value], count)
        yield calls
        messages = CounterMetricFamily(
            "ringline_ws_messages", "Messages by type.", labels=["type", "direction"]
        )
        for tag, count in counters.messages_in.items():
            messages.add_metric([tag, "in"], count)
        for tag, count in counters.messages_out.items():
            messages.add_metric([tag, "out"], count)
        yield messages
        for name, text, label, counts in (
            ("ringline_ws_errors", "Errors sent.", "code", counters.errors),
            ("ringline_ws_dropped", "Messages not processed.", "cause", counters.dropped),
            ("ringline_ws_resume", "Resumes.", "result", counters.resumes),
        ):
            family = CounterMetricFamily(name, text, labels=[label])
            for value, count in counts.items():
                family.add_metric([value], count)
            yield family
        ended = CounterMetricFamily(
            "ringline_calls", "Calls that have ended.", labels=["media", "end_reason"]
        )
        for (media, reason), count in counters.calls.items():
            ended.add_metric([media, reason], count)
        yield ended
        yield _histogram(
            "ringline_call_answer_seconds", "Invite to accept.", counters.answer_seconds
        )
        yield _histogram(
            "ringline_call_connect_seconds", "Accept to first path.", counters.connect_seconds
        )
        yield _histogram("ringline_call_duration_seconds", "Accept to end.", counters.call_seconds)


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    buckets, so_far = [], 0
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    for bound, count in zip(bounds, histogram.counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.total)
