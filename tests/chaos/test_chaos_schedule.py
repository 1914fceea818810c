"""Schedules of faults, the links that can be cut, and the table: what needs no broker."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from kafka_broker import free_ports

from chaos.checker import Finding
from chaos.faults import FAULTS
from chaos.proxy import Link, Network
from chaos.report import Report
from chaos.schedule import CLASSES, KINDS, schedule
from chaos.table import BEGIN, END, add, read, write

SEEDS = range(1, 21)


def test_a_schedule_is_a_function_of_its_seed() -> None:
    assert schedule(7) == schedule(7)
    assert len({tuple(schedule(seed)) for seed in SEEDS}) == len(SEEDS)


def test_every_kind_can_be_injected() -> None:
    assert FAULTS.keys() == KINDS.keys()


def test_twenty_seeds_inject_two_hundred_faults_and_each_kind_five_times() -> None:
    kinds = Counter(injection.kind for seed in SEEDS for injection in schedule(seed))
    assert kinds.total() >= 200
    assert all(kinds[kind] >= 5 for kind in KINDS), kinds


def test_faults_come_in_order_and_last_as_long_as_their_kind_may() -> None:
    for seed in SEEDS:
        injections = schedule(seed)
        assert [i.at for i in injections] == sorted(i.at for i in injections)
        for injection in injections:
            _, shortest, longest = KINDS[injection.kind]
            assert shortest <= injection.seconds <= longest


def test_faults_of_one_class_never_overlap_and_those_of_others_do() -> None:
    overlapping = 0
    for seed in SEEDS:
        injections = schedule(seed)
        for number, one in enumerate(injections):
            for other in injections[number + 1 :]:
                if other.at < one.at + one.seconds:
                    assert KINDS[one.kind][0] != KINDS[other.kind][0], (one, other)
                    overlapping += 1
    assert overlapping > 20
    assert {KINDS[kind][0] for kind in KINDS} == set(CLASSES)


def test_a_link_passes_bytes_is_cut_and_healed() -> None:
    port, target = free_ports(2)
    link = Link(port, target)
    with socket.create_server(("127.0.0.1", target)) as server, Network([link]):
        server.settimeout(10)
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            there, _ = server.accept()
            with there:
                there.settimeout(10)
                client.sendall(b"before")
                assert there.recv(100) == b"before"
                link.cut = True
                client.sendall(b"while")
                there.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    there.recv(100)
                link.cut = False
                there.settimeout(10)
                assert there.recv(100) == b"while"
                there.sendall(b"back")
                assert client.recv(100) == b"back"
            assert client.recv(100) == b"", "the end of the one connection is the end of the other"


def test_a_link_takes_its_time() -> None:
    port, target = free_ports(2)
    link = Link(port, target, delay=0.3)
    with socket.create_server(("127.0.0.1", target)) as server, Network([link]):
        server.settimeout(10)
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            there, _ = server.accept()
            with there:
                there.settimeout(10)
                started = time.monotonic()
                client.sendall(b"slow")
                assert there.recv(100) == b"slow"
                assert time.monotonic() - started >= 0.3


def test_a_link_to_nobody_closes_what_it_took() -> None:
    port, target = free_ports(2)
    with Network([Link(port, target)]), socket.create_connection(("127.0.0.1", port), 10) as client:
        client.settimeout(10)
        assert client.recv(100) == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "chaos-network"]


def test_the_table_is_put_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Faults\n\n{BEGIN}\nold\n{END}\nmore\n")
    first = Report("seed 1", faults=Counter(kill=2, cut=1), inputs=10, outputs=20, starts=3)
    write(page, [first, Report("seed 2", faults=Counter(kill=1), problems=["a process hung"])])
    text = page.read_text()
    assert "| seed 1 | cut, kill 2 | 10 | 20 |  | 3 | clean |" in text
    assert "| seed 2 | kill | 0 | 0 |  | 0 | a process hung |" in text
    assert "| `kill` | 3 |" in text
    assert "4 faults in 2 runs; 1 runs are clean." in text
    assert "old" not in text
    assert text.endswith(f"{END}\nmore\n")
    with pytest.raises(ValueError, match="has no lines"):
        write(Path(__file__), [])


def test_runs_are_kept_and_read_again(tmp_path: Path) -> None:
    kept = tmp_path / "runs"
    assert read(kept) == []
    bad = Report("seed 2", ended=Counter({70: 2}), findings=[Finding("lost", "alerts k", "1 x b''")])
    for report in (Report("seed 1", faults=Counter(kill=2)), bad):
        add(kept, report)
    assert read(kept)[1] == bad
    assert [report.verdict for report in read(kept)] == ["clean", "1 lost"]
