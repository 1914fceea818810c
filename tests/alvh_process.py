"""``alvh run`` as a process that can be watched from outside: its health pages, its memory, its end."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[1]
_PAGES = re.compile(r"health pages on (http://\S+)")

#: Samples of a page of metrics: name and labels, and the value.
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Process:
    """One ``alvh`` process after the other over one log, with its lines in a file.

    ``settings`` are variables of its environment and may be changed between two starts.
    """

    def __init__(self, url: str, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.settings = {"ALVH_LOG": url, "ALVH_HTTP_PORT": "0", "PYTHONPATH": str(ROOT), **(settings or {})}
        self._folder = folder
        self.lines = folder / "alvh.log"
        self._begun = 0
        self._pages: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def call(self, *arguments: str) -> None:
        """Run an ``alvh`` command to its end. Raises RuntimeError with its words when it fails."""
        done = subprocess.run(
            self._command(arguments),
            env=self._environment(),
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(f"alvh {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def start(self, *names: str) -> None:
        """Start ``alvh run`` with these processors."""
        with self.lines.open("ab") as lines:
            self._begun, self._pages = lines.tell(), None
            self.process = subprocess.Popen(
                self._command(("run", *names)),
                env=self._environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )

    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def pid(self) -> int:
        """Its process id. Raises RuntimeError with its last lines when it has ended."""
        if self.process is None or not self.running():
            raise RuntimeError(f"alvh has ended by itself:\n{self.tail()}")
        return self.process.pid

    def kill(self) -> None:
        """End it as a power cut would."""
        psutil.Process(self.pid()).kill()
        self._reap()

    def terminate(self) -> int:
        """Ask it to end, and return its exit status."""
        psutil.Process(self.pid()).terminate()
        return self._reap()

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process is not None and self.running():
            self.process.kill()
            self._reap()

    def ready(self) -> bool:
        """Whether every processor is assigned and restored."""
        return self._get("/readyz") is not None

    def metrics(self) -> Page:
        """What /metrics says now; empty while there are no pages yet."""
        text = self._get("/metrics") or ""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def wait(self, what: str, done: Callable[[], bool], seconds: float, every: float = 0.02) -> None:
        """Wait until ``done()``. Raises RuntimeError when the process ends before it, or after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not done():
            self.pid()
            if time.monotonic() > deadline:
                raise RuntimeError(f"waited {seconds:g} s in vain for {what}:\n{self.tail()}")
            time.sleep(every)

    def text(self) -> str:
        """Its lines since it was last started."""
        return self.lines.read_bytes()[self._begun :].decode(errors="replace")

    def tail(self) -> str:
        """The last of its lines."""
        return self.lines.read_text(errors="replace")[-3000:] if self.lines.exists() else ""

    def _get(self, path: str) -> str | None:
        """A page, or None when there is none yet or it says no."""
        if self._pages is None:
            found = _PAGES.search(self.text())
            if found is None:
                return None
            self._pages = found[1]
        try:
            with urllib.request.urlopen(self._pages + path, timeout=10) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError):
            return None

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ALVH_")}
        return inherited | self.settings

    def _reap(self) -> int:
        assert self.process is not None
        return self.process.wait(60)

    @staticmethod
    def _command(arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "processors.cli", *arguments]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of a process at one moment. Memory in bytes; ``at`` in seconds since the run began.

    ``probe``: seconds of a transaction that has nothing to do with the process.
    """

    at: float
    ticks: float
    rss: int
    uss: int
    threads: int
    files: int
    lag: float
    probe: float
    page: Page = field(repr=False)


def sample(process: Process, at: float, probe: float) -> Sample:
    """Look at it now."""
    seen = psutil.Process(process.pid())
    page = process.metrics()
    memory = seen.memory_full_info()
    found = (memory.rss, memory.uss, seen.num_threads(), seen.num_fds())
    return Sample(at, rows_read(page), *found, lag(page), probe, page)


def total(page: Page, name: str, **labels: str) -> float:
    """The sum of all samples of that name with these labels."""
    wanted = set(labels.items())
    return sum(value for (found, given), value in page.items() if found == name and wanted <= set(given))


def rows_read(page: Page) -> float:
    """Rows of ticks that the market processor has read."""
    return total(page, "alvh_rows_total", processor="market", topic="market.ticks")


def lag(page: Page) -> float:
    """Records of all inputs of all processors that are not yet read."""
    return total(page, "alvh_lag_records")


def last_poll(page: Page) -> float:
    """When the processor that has not polled for longest last did, Unix seconds."""
    return min((v for (name, _), v in page.items() if name == "alvh_last_poll_timestamp_seconds"), default=0.0)


def buckets(page: Page, name: str, **labels: str) -> dict[float, float]:
    """Cumulative counts of a histogram by upper bound."""
    found: dict[float, float] = {}
    wanted = set(labels.items())
    for (sample_name, given), value in page.items():
        if sample_name == f"{name}_bucket" and wanted <= set(given):
            bound = float(dict(given)["le"])
            found[bound] = found.get(bound, 0.0) + value
    return dict(sorted(found.items()))
