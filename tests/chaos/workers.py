"""Processors as processes of their own, started again when they end, as a supervisor does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from chaos.workload import PARTITIONS
from topics.catalog import PROCESSORS

_HERE = Path(__file__).parent
_SETTINGS = {
    "ALVH_PARTITIONS": str(PARTITIONS),
    "ALVH_HTTP_PORT": "0",
    "ALVH_REGIME_MAX_IDLE_SECONDS": "60",
    "ALVH_SESSION_TIMEOUT_SECONDS": "6",
    "ALVH_TRANSACTION_TIMEOUT_SECONDS": "6",
    "ALVH_CALL_DEADLINE_SECONDS": "10",
    "ALVH_WATCHDOG_SECONDS": "20",
}
#: How a process may end: told to, told to before it listened, killed, or by itself to be started again.
_USUAL = (0, -signal.SIGTERM, -signal.SIGKILL, 70)
MOST = 4


class Worker:
    """One instance: ``alvh run all``, and what follows it under the same name."""

    def __init__(self, servers: str, folder: Path, number: int, program: Sequence[str]) -> None:
        self.name, self.wanted = f"chaos-{number}", False
        self.process: subprocess.Popen[bytes] | None = None
        self.clock, self.lines = folder / f"{self.name}.clock", folder / f"{self.name}.log"
        self._servers, self._program, self._begun = servers, program, 0
        self.set_clock(0.0)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def working(self) -> bool:
        """All its processors have said that they run since the process was last started."""
        lines = self.lines.read_bytes()[self._begun :] if self.alive else b""
        return all(b"%s is running" % name.encode() in lines for name in PROCESSORS)

    def start(self) -> None:
        """Start the process, under a clock that can be stepped."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALVH_")}
        environment |= _SETTINGS | {"ALVH_LOG": f"kafka://{self._servers}", "ALVH_INSTANCE": self.name}
        environment |= {
            "PYTHONPATH": f"{_HERE / 'clock'}:{_HERE.parents[1]}",
            "CHAOS_CLOCK": str(self.clock),
            "OPENBLAS_NUM_THREADS": "1",
        }
        with self.lines.open("ab") as lines:
            self._begun = lines.tell()
            lines.write(b"--- start\n")
            self.process = subprocess.Popen(
                [sys.executable, *self._program, "run", "all"],
                env=environment,
                cwd=self.lines.parent,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended by itself. One that kills has killed when this returns."""
        process = self.process  # the supervisor may take it away
        if process is not None and process.poll() is None:
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait(10)

    def set_clock(self, step: float) -> None:
        """Let the wall clock of the process stand ``step`` seconds off from now on."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(step))
        new.replace(self.clock)  # at once: it is read all the time


class Workers:
    """All instances and their supervisor. Statuses of processes that have ended are counted in ``ended``."""

    def __init__(self, servers: str, folder: Path, program: Sequence[str]) -> None:
        self.all = [Worker(servers, folder, number, program) for number in range(MOST)]
        self.ended: Counter[int] = Counter()
        self.starts = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="chaos-supervisor", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> list[Worker]:
        """The instances that should run."""
        return [worker for worker in self.all if worker.wanted]

    def scale(self, count: int) -> None:
        """Have so many instances; those too many are told to end."""
        with self._lock:
            for number, worker in enumerate(self.all):
                if worker.wanted and number >= count:
                    worker.signal(signal.SIGTERM)
                worker.wanted = number < count

    def wait(self, timeout: float) -> None:
        """Wait until every instance that is not wanted has ended."""
        deadline = time.monotonic() + timeout
        while any(worker.alive and not worker.wanted for worker in self.all):
            assert time.monotonic() < deadline, "an instance that was told to end goes on"
            time.sleep(0.1)

    def unusual(self) -> Counter[int]:
        """Statuses with which no process should end."""
        return Counter({status: times for status, times in self.ended.items() if status not in _USUAL})

    def finish(self, timeout: float = 30.0) -> list[int]:
        """Tell all to end, and return the statuses with which they did; whoever does not is killed."""
        self._over.set()
        self._thread.join()
        running = [worker.process for worker in self.all if worker.process is not None and worker.alive]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        deadline, statuses = time.monotonic() + timeout, []
        for process in running:
            try:
                statuses.append(process.wait(max(0.1, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(process.wait(10))
        return statuses

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            with self._lock:
                for worker in self.all:
                    if worker.process is not None and worker.process.poll() is not None:
                        self.ended[worker.process.returncode] += 1
                        worker.process = None
                    if worker.wanted and worker.process is None:
                        worker.start()
                        self.starts += 1
