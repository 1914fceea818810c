"""A processor that writes what it reads: for tests of the stream alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from processors.stream.log import Out, Record, Records
from processors.stream.metrics import Metric
from processors.stream.processor import Alive, Decoded, Input, Run, Segment, unseen


class Copy:
    """Copies the records of one topic to another and keeps how many there were."""

    metrics: tuple[Metric, ...] = ()

    def __init__(self, name: str, source: str, target: str) -> None:
        self.name, self.inputs, self.outputs = name, (Input(source),), (target,)

    def decode(self, record: Record) -> Decoded:
        return Decoded(np.array([record.offset + 1], dtype=np.int64), record.value)

    def gather(self, records: Records) -> Sequence[Run]:
        return ()

    def task(self, partition: int) -> CopyTask:
        return CopyTask(self.outputs[0], partition)


class CopyTask:
    def __init__(self, target: str, partition: int) -> None:
        self.target, self.partition, self.count = target, partition, 0

    def process(self, segments: Sequence[Segment], alive: Alive = unseen) -> list[Out]:
        self.count += len(segments)
        return [Out(self.target, one.record.key, one.body, partition=self.partition) for one in segments]

    def snapshot(self) -> Mapping[bytes, bytes | None]:
        return {b"count": str(self.count).encode()}

    def restore(self, key: bytes, value: bytes) -> None:
        self.count = int(value)

    def counts(self) -> Mapping[tuple[str, ...], float]:
        return {}

    def gauges(self) -> Mapping[tuple[str, ...], float]:
        return {}
