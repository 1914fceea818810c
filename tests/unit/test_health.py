"""Lifecycle, health pages, metrics on the wire, and the watchdog."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from processors.errors import UserError
from processors.market import METRICS as MARKET_METRICS
from processors.stream.health import Health, HealthServer, Watchdog, watchdog
from processors.stream.lifecycle import TRANSITIONS, Lifecycle
from processors.stream.metrics import STREAM_METRICS, Metrics

WAY = (Lifecycle.JOINING, Lifecycle.RESTORING, Lifecycle.RUNNING)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """Health pages of the processors `market` and `hedge`."""

    def __init__(self, server: HealthServer, health: Health, metrics: Metrics, clock: Clock) -> None:
        self.server, self.health, self.metrics, self.clock = server, health, metrics, clock

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def document(self, path: str) -> tuple[int, Any]:
        status, _, body = self.get(path)
        return status, json.loads(body)


@pytest.fixture
def site() -> Iterator[Site]:
    clock, registry = Clock(), CollectorRegistry()
    health = Health(("market", "hedge"), seconds=120, clock=clock)
    metrics = Metrics("market", MARKET_METRICS, registry)
    with HealthServer(health, registry, port=0) as server:
        yield Site(server, health, metrics, clock)


def walk(health: Health, processor: str, states: tuple[Lifecycle, ...] = WAY) -> None:
    for state in states:
        health.enter(processor, state)


# Lifecycle


def test_the_usual_ways_exist() -> None:
    usual = (Lifecycle.CREATED, *WAY, Lifecycle.RESTORING, Lifecycle.RUNNING, Lifecycle.JOINING, Lifecycle.STOPPING)
    assert all(a.may_become(b) for a, b in pairwise((*usual, Lifecycle.STOPPED)))


def test_every_state_has_its_transitions_and_only_the_last_two_have_none() -> None:
    assert set(TRANSITIONS) == set(Lifecycle)
    assert {state for state in Lifecycle if state.final} == {Lifecycle.STOPPED, Lifecycle.FAILED}
    assert all(Lifecycle.FAILED in after for state, after in TRANSITIONS.items() if not state.final)


@pytest.mark.parametrize("state", list(Lifecycle))
def test_a_state_may_be_entered_again(state: Lifecycle) -> None:
    assert state.may_become(state)


def test_a_way_that_does_not_exist_is_refused_and_changes_nothing() -> None:
    health = Health(("market",))
    with pytest.raises(ValueError, match="market is created and cannot become running"):
        health.enter("market", Lifecycle.RUNNING)
    assert health.state("market") is Lifecycle.CREATED


def test_who_wants_to_know_is_told_of_each_state() -> None:
    told: list[tuple[str, Lifecycle]] = []
    walk(Health(("market",), changed=lambda name, state: told.append((name, state))), "market")
    assert told == [("market", state) for state in WAY]


# Pages


def test_ready_when_every_processor_runs_and_it_says_what_it_waits_for(site: Site) -> None:
    status, document = site.document("/readyz")
    assert status == 503
    assert set(document["waiting"]) == {"market", "hedge"}
    walk(site.health, "market")
    site.health.enter("hedge", Lifecycle.JOINING)
    site.health.enter("hedge", Lifecycle.RESTORING)
    status, document = site.document("/readyz")
    assert status == 503
    assert document["waiting"] == {"hedge": "its state is being read from the changelog"}
    assert document["processors"]["market"]["state"] == "running"
    site.health.enter("hedge", Lifecycle.RUNNING)
    status, document = site.document("/readyz")
    assert status == 200
    assert document["ok"] is True


def test_not_ready_again_while_partitions_move(site: Site) -> None:
    walk(site.health, "market")
    walk(site.health, "hedge")
    site.health.enter("market", Lifecycle.JOINING)
    assert site.document("/readyz")[0] == 503
    assert site.document("/healthz")[0] == 200


def test_alive_while_loops_tick(site: Site) -> None:
    walk(site.health, "market")
    walk(site.health, "hedge")
    assert site.document("/healthz")[0] == 200
    site.clock.now += 119
    site.health.tick("market")
    site.clock.now += 2
    status, document = site.document("/healthz")
    assert status == 503
    assert document["stalled"] == ["hedge"]
    assert site.document("/readyz")[0] == 503
    site.health.tick("hedge")
    assert site.document("/healthz")[0] == 200


def test_failed_is_not_alive_and_stopped_is_not_stalled(site: Site) -> None:
    walk(site.health, "market", (*WAY, Lifecycle.STOPPING, Lifecycle.STOPPED))
    walk(site.health, "hedge")
    site.clock.now += 60
    site.health.tick("hedge")
    site.clock.now += 100
    assert site.document("/healthz")[0] == 200
    site.health.enter("hedge", Lifecycle.FAILED)
    assert site.document("/healthz")[0] == 503


def test_not_ready_while_a_partition_is_stalled_and_what_is_held_is_told(site: Site) -> None:
    walk(site.health, "market")
    walk(site.health, "hedge")
    site.health.quiet("market", ["market.ticks/0 has 5 records to read"], ["macro.releases/0 is held"])
    status, document = site.document("/readyz")
    assert status == 503
    assert document["waiting"] == {"market": "market.ticks/0 has 5 records to read"}
    assert document["held"] == {"market": ["macro.releases/0 is held"]}
    assert site.document("/healthz")[0] == 200
    site.health.quiet("market", [], ["macro.releases/0 is held"])
    status, document = site.document("/readyz")
    assert (status, document["waiting"]) == (200, {})
    assert document["held"] == {"market": ["macro.releases/0 is held"]}


def test_partitions_that_were_stalled_are_forgotten_when_they_are_given_anew(site: Site) -> None:
    walk(site.health, "market")
    walk(site.health, "hedge")
    site.health.quiet("market", ["market.ticks/0 has 5 records to read"], [])
    site.health.enter("market", Lifecycle.RESTORING)
    site.health.enter("market", Lifecycle.RUNNING)
    assert site.document("/readyz")[0] == 200


def test_metrics_in_text_are_what_was_counted(site: Site) -> None:
    site.metrics.inc("alvh_records_total", 3, "market.ticks", "used")
    site.metrics.observe("alvh_commit_seconds", 0.004)
    status, headers, body = site.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    samples = {(s.name, frozenset(s.labels.values())): s.value for f in parse_text(body.decode()) for s in f.samples}
    assert samples["alvh_records_total", frozenset({"market", "market.ticks", "used"})] == 3
    assert samples["alvh_commit_seconds_count", frozenset({"market"})] == 1


def test_metrics_in_open_metrics_when_the_scraper_asks_for_it(site: Site) -> None:
    site.metrics.inc("alvh_commits_total", 1, "committed")
    _, headers, body = site.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert "alvh_commits" in {family.name for family in parse_openmetrics(body.decode())}


@pytest.mark.parametrize("path", ["/", "/metrics/", "/..", "/healthz/x", "/%2e%2e/etc/passwd"])
def test_anything_else_is_not_found(site: Site, path: str) -> None:
    status, _, body = site.get(path)
    assert status == 404
    assert b"/healthz" in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_get_and_head(site: Site, method: str) -> None:
    status, headers, _ = site.get("/metrics", method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


def test_head_has_the_headers_and_no_body(site: Site) -> None:
    status, headers, body = site.get("/healthz", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_the_server_header_tells_no_versions(site: Site) -> None:
    _, headers, _ = site.get("/healthz")
    assert headers["Server"].strip() == "alvh"
    assert headers["Cache-Control"] == "no-store"


def test_a_query_does_not_matter(site: Site) -> None:
    assert site.get("/healthz?verbose=1")[0] == 200


def test_a_port_in_use_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}.*another http_port \(0 takes any free one\)"):
            HealthServer(Health(()), CollectorRegistry(), port=port)


def test_an_address_that_is_none_says_what_to_do() -> None:
    with pytest.raises(UserError, match="http_host"):
        HealthServer(Health(()), CollectorRegistry(), host="no such host.invalid", port=0)


def test_closing_frees_the_port_and_ends_the_thread() -> None:
    server = HealthServer(Health(()), CollectorRegistry(), port=0)
    server.close()
    assert "alvh-http" not in {thread.name for thread in threading.enumerate()}
    HealthServer(Health(()), CollectorRegistry(), port=server.port).close()


# Watchdog


def test_the_watchdog_acts_once_on_a_stalled_loop() -> None:
    clock, called = Clock(), threading.Event()
    stalls: list[dict[str, float]] = []

    def on_stall(stalled: Any) -> None:
        stalls.append(dict(stalled))
        called.set()

    health = Health(("market",), seconds=5, clock=clock)
    with Watchdog(health, on_stall, every=0.01):
        time.sleep(0.05)
        assert not stalls
        clock.now += 6
        assert called.wait(5)
        time.sleep(0.05)
    assert stalls == [{"market": 6.0}]


def test_a_watchdog_that_is_stopped_leaves_no_thread() -> None:
    dog = watchdog(Health(("market",)), 5.0)
    dog.stop()
    dog.stop()
    assert "alvh-watchdog" not in {thread.name for thread in threading.enumerate()}


def test_a_process_whose_loop_hangs_ends_with_70() -> None:
    code = """
import logging, threading
from processors.stream.health import Health, Watchdog
logging.basicConfig()
with Watchdog(Health(("market",), seconds=0.1), every=0.02):
    threading.Event().wait(60)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 70
    assert "no sign of life from market" in done.stderr


# Names


@pytest.mark.parametrize("metric", [*STREAM_METRICS, *MARKET_METRICS], ids=lambda metric: metric.name)
def test_metric_names_follow_the_conventions(metric: Any) -> None:
    assert metric.name.startswith("alvh_")
    assert metric.name == metric.name.lower()
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_ms", "_milliseconds", "_minutes", "_kb", "_percent"))
    assert metric.kind != "histogram" or metric.name.endswith(("_seconds", "_bytes"))
    assert metric.about.endswith(".")
    assert not {"processor", "le", "instance", "job"} & set(metric.labels)
