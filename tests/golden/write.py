"""Write the golden files of messages that have none yet.

    python tests/golden/write.py

A file that exists is never changed: it is what older versions wrote, and newer ones must go on reading it. While a
schema version has not been released, delete the file of a message that changed and run this again.
"""

from __future__ import annotations

from pathlib import Path

from topics.examples import EXAMPLES
from topics.market import Tick
from topics.ticks import columns_of, encode_block

HERE = Path(__file__).parent

for kind, message in EXAMPLES.items():
    path = HERE / f"v{kind.version}" / f"{kind.__name__}.json"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(message.canonical())

block = HERE / "v1" / "TickBlock.arrow"
if not block.exists():
    tick = EXAMPLES[Tick]
    assert isinstance(tick, Tick)
    later = tick.model_copy(update={"event_ts": tick.event_ts + 1, "seq": None, "bid": None, "recv_ts": None})
    block.write_bytes(encode_block(columns_of([tick, later])))
