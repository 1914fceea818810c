"""Fixtures that need more than Python: a real Apache Kafka and the recorded data sets.

Tests that need what is not there are skipped, and one line at the end says so. With ``ALVH_REQUIRE_KAFKA=1`` or
``ALVH_REQUIRE_DATA=1`` they fail instead.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

# how fast a machine is decides no test
settings.register_profile("alvh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("alvh")

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS / "integration"))

from kafka_broker import end_when_told, missing, start_kafka  # noqa: E402 - it is found through the line above

# how long an example takes says nothing about the product on a busy machine
hypothesis.settings.register_profile("alvh", deadline=None)
hypothesis.settings.load_profile("alvh")

DATA = Path(os.environ.get("ALVH_DATA") or TESTS.parent.parent / "shared" / "data").resolve()


def _lacking_data() -> str | None:
    return None if DATA.is_dir() else f"no data sets in {DATA} (ALVH_DATA names the folder)"


@cache
def _lacking_kafka() -> str | None:
    if os.environ.get("ALVH_KAFKA_BOOTSTRAP_SERVERS"):
        return None
    reason = missing()
    return None if reason is None else f"no Apache Kafka: {reason} (or set ALVH_KAFKA_BOOTSTRAP_SERVERS)"


_NEEDS = {"kafka": ("ALVH_REQUIRE_KAFKA", _lacking_kafka), "data": ("ALVH_REQUIRE_DATA", _lacking_data)}

#: A connection of the Kafka client that was refused: it has no local address.
_REFUSED = r"unclosed <socket\.socket fd=\d+, family=\d+, type=1, proto=6, laddr=\('0\.0\.0\.0', \d+\)>"


def pytest_configure(config: pytest.Config) -> None:
    """Let pass two things that the Kafka client does and no test can help.

    It reads its own files in a way that Python 3.11 calls outdated; and it drops the socket of a connection that was
    refused without closing it. Such a socket has no local address, by which it is told from a leak of our own.
    """
    end_when_told()
    module = r"kafka\.protocol\.schemas\.load_json|importlib\.resources\._legacy"
    config.addinivalue_line("filterwarnings", f"ignore:(open|read)_text is deprecated:DeprecationWarning:{module}")
    config.addinivalue_line("filterwarnings", f"ignore:{_REFUSED}:ResourceWarning")


def pytest_sessionfinish() -> None:
    """Collect such sockets here, where they can still be told from leaks of our own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_REFUSED, category=ResourceWarning)
        gc.collect()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, a test whose mark names what this machine does not have."""
    for mark, (requirement, lacking) in _NEEDS.items():
        if item.get_closest_marker(mark) is None or (reason := lacking()) is None:
            continue
        if os.environ.get(requirement) == "1":
            pytest.fail(f"{requirement}=1, but {reason}", pytrace=False)
        pytest.skip(f"{mark}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested, in whichever process it was skipped."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple):
            counts[report.longrepr[2].removeprefix("Skipped: ")] += 1
    for reason, count in sorted(counts.items()):
        mark, found, why = reason.partition(": ")
        if found and mark in _NEEDS:
            terminalreporter.write_line(f"!!! {count} {mark} TESTS WERE NOT RUN: {why}", red=True, bold=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of a Kafka with one broker, or of the one that ALVH_KAFKA_BOOTSTRAP_SERVERS names."""
    if given := os.environ.get("ALVH_KAFKA_BOOTSTRAP_SERVERS"):
        yield given
        return
    with start_kafka() as nodes:
        yield nodes.bootstrap


@pytest.fixture(scope="session")
def kafka3() -> Iterator[str]:
    """Bootstrap servers of a Kafka with three brokers, which replicate every topic three times."""
    with start_kafka(nodes=3) as nodes:
        yield nodes.bootstrap


@pytest.fixture(scope="session")
def alvh_data() -> Path:
    """The folder with the recorded data sets."""
    return DATA
