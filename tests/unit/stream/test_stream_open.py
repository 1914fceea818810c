"""From a URL to a log, where keys go, and calls that do not answer."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import DeadlineExceeded, LogUnavailable, UserError
from processors.stream.deadline import Caller
from processors.stream.memory import MemoryCluster
from processors.stream.open import open_cluster
from processors.stream.partitioner import murmur2, partition_for
from processors.stream.sqlite import SqliteCluster


def test_a_name_in_memory_is_one_log() -> None:
    one = open_cluster("memory://shared")
    assert isinstance(one, MemoryCluster)
    assert open_cluster("memory://shared") is one
    assert open_cluster("memory://other") is not one


def test_files_are_relative_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite://here.db", f"sqlite://{tmp_path}/there.db"):
        cluster = open_cluster(url)
        assert isinstance(cluster, SqliteCluster)
        cluster.close()
    assert sorted(file.name for file in tmp_path.glob("*.db")) == ["here.db", "there.db"]


@pytest.mark.parametrize(
    "url",
    ["", "kafka", "redis://x", "sqlite://", "kafka://", "kafka://host", "kafka://a:1,b", "kafka://a:x", "file.db"],
)
def test_anything_else_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(UserError, match=r"kafka://HOST:PORT.*sqlite://FILE or memory://NAME"):
        open_cluster(url)


def test_security_is_for_kafka_and_is_never_shown() -> None:
    with pytest.raises(UserError, match="kafka:// only"):
        open_cluster("memory://x", security={"sasl_plain_password": "hunter2"})
    with pytest.raises(UserError, match="unknown security settings tls"):
        open_cluster("kafka://127.0.0.1:1", security={"tls": "yes"})
    from processors.stream.kafka_client import Settings

    assert "hunter2" not in repr(Settings(("h:1",), {"sasl_plain_password": "hunter2"}))


def test_the_kafka_client_is_loaded_for_kafka_only() -> None:
    program = "import sys, processors.stream.open; sys.exit('kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@given(st.binary(max_size=40))
def test_keys_go_where_every_kafka_client_sends_them(key: bytes) -> None:
    from kafka.partitioner.default import murmur2 as theirs

    assert murmur2(key) == theirs(key) & 0xFFFFFFFF
    assert 0 <= partition_for(key, 7) < 7


def test_no_key_is_partition_0() -> None:
    assert partition_for(None, 12) == 0


def test_a_call_that_answers_and_one_that_fails() -> None:
    def times_out() -> None:
        raise TimeoutError

    caller = Caller("test")
    assert caller.call("sum", 5.0, lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        caller.call("division", 5.0, lambda: 1 // 0)
    with pytest.raises(TimeoutError):
        caller.call("own timeout", 5.0, times_out)
    caller.close()
    caller.close()


def test_a_call_that_does_not_answer_is_the_last() -> None:
    caller = Caller("test")
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"commit: no answer in 0.05 s"):
        caller.call("commit", 0.05, lambda: release.wait(10))
    with pytest.raises(DeadlineExceeded, match="commit has still not been answered"):
        caller.call("abort", 5.0, lambda: None)
    caller.close()
    assert time.monotonic() - started < 2.0
    release.set()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_takes_a_connection_and_never_speaks_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"kafka://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(LogUnavailable, match="no broker answers"):
            open_cluster(url, security={"security_protocol": "SSL"}, deadline=0.5)
    gc.collect()  # here: the client drops the sockets of such connections without closing them
