"""Bytewax: a stateful operator over batches, with its recovery store on; at least once."""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from job import Market


class Work(StatefulBatchLogic[dict[str, Any], bytes, Market]):
    """The job of one market."""

    def __init__(self, resumed: Market | None) -> None:
        self.market = Market() if resumed is None else resumed

    def on_batch(self, values: list[dict[str, Any]]) -> tuple[Iterable[bytes], bool]:
        """Take ticks; never complete."""
        found = (self.market.tick(tick) for tick in values)
        return [orjson.dumps(one) for one in found if one is not None], False

    def snapshot(self) -> Market:
        """What the recovery store keeps."""
        return copy.deepcopy(self.market)


def decoded(batch: list[Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Messages as ticks by market."""
    return [(record.key.decode(), orjson.loads(record.value)) for record in batch]


def flow(servers: str, source: str, target: str) -> Dataflow:
    """From topic to topic."""
    made = Dataflow("bench")
    records = op.input("ticks", made, KafkaSource([servers], [source], batch_size=2000))
    ticks = op.flat_map_batch("decode", records, decoded)
    regimes = op.stateful_batch("work", ticks, Work)
    sent = op.map("encode", regimes, lambda one: KafkaSinkMessage(one[0].encode(), one[1]))
    op.output("regimes", sent, KafkaSink([servers], target, {"linger.ms": "0"}))
    return made


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="alvh-bench-bytewax-"))
    init_db_dir(folder, 1)
    cli_main(
        flow(*sys.argv[1:4]), epoch_interval=timedelta(seconds=1), recovery_config=RecoveryConfig(str(folder))
    )
