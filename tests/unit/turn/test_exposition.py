from __future__ import annotations

import json
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from ringline.turn import DropReason, TurnMetrics
from ringline.turn.exposition import Exposition

if TYPE_CHECKING:
    from tests.unit.turn.conftest import Bench


def test_the_page_has_what_was_counted(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate()
    ann.send(b"\xff")
    page = Exposition(bench.server.metrics).text().decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    assert samples["ringline_turn_allocations",] == 1
    assert samples["ringline_turn_allocations_created_total",] == 1
    assert samples["ringline_turn_error_responses_total", "401"] == 1
    assert samples["ringline_turn_dropped_total", "malformed"] == 1
    assert samples["ringline_turn_datagrams_total", "to_peer"] == 0
    assert samples["ringline_turn_bytes_total", "to_client"] == 0
    assert {("ringline_turn_dropped_total", reason.value) for reason in DropReason} <= set(samples)


def test_the_numbers_are_those_of_the_moment(bench: Bench) -> None:
    exposition = Exposition(bench.server.metrics)
    assert b"ringline_turn_allocations 0.0" in exposition.text()
    bench.client().allocate()
    assert b"ringline_turn_allocations 1.0" in exposition.text()


def test_a_worker_that_is_missing_and_a_drain_can_be_alarmed_on(bench: Bench) -> None:
    page = Exposition(bench.server.metrics, workers=3, draining=True).text()
    assert b"ringline_turn_workers 3.0" in page
    assert b"ringline_turn_draining 1.0" in page
    assert b"ringline_turn_draining 0.0" in Exposition(bench.server.metrics).text()


def test_numbers_of_several_servers_are_added(bench: Bench) -> None:
    ann = bench.client()
    ann.allocate()
    ann.send(b"\xff")
    metrics = bench.server.metrics
    copy = TurnMetrics.restore(json.loads(json.dumps(metrics.dump())))
    assert copy == metrics
    copy.add(metrics)
    assert copy.allocations == 2
    assert copy.dropped[DropReason.MALFORMED] == 2
    assert copy.error_responses == {c: 2 * n for c, n in metrics.error_responses.items()}
