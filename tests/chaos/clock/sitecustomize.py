"""Lets the wall clock of a Python process jump: by the seconds that the file CHAOS_CLOCK holds, read at every look.

``time.time`` and ``time.time_ns`` jump, as after a step of the machine's clock; ``time.monotonic`` does not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_file = Path(os.environ["CHAOS_CLOCK"])
_time, _time_ns = time.time, time.time_ns


def _step() -> float:
    return float(_file.read_text())


time.time = lambda: _time() + _step()
time.time_ns = lambda: _time_ns() + round(_step() * 1e9)
