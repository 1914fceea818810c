"""Reading one partition from here to there, outside of any group."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from kafka import KafkaConsumer
from kafka.structs import TopicPartition as KafkaTopicPartition

from processors.errors import DeadlineExceeded
from processors.stream.kafka_batches import read_columns
from processors.stream.kafka_client import Settings, explaining
from processors.stream.log import Record, TopicPartition

#: Seconds within which a commit becomes visible: the broker answers it first and writes its markers then.
_MARKERS = 0.5


class Readers:
    """Consumers that each read one partition at a time; one that has finished is kept for the next reading."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: list[KafkaConsumer] = []

    def beginning(self, tp: TopicPartition) -> int:
        """Offset of the oldest record that retention has left."""
        consumer = self._take()
        one = KafkaTopicPartition(*tp)
        with explaining(f"asking for the beginning of {tp.topic} partition {tp.partition}"):
            offset: int = consumer.beginning_offsets([one], timeout_ms=self._timeout)[one]
        self._idle.append(consumer)
        return offset

    def stable_end(self, tp: TopicPartition) -> int:
        """The last stable offset: what readers of committed records can see ends here."""
        return self.stable_ends([tp])[tp]

    def stable_ends(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offset of each partition, asked for together."""
        consumer = self._take()
        wanted = [KafkaTopicPartition(*tp) for tp in tps]
        with explaining(f"asking for the end of {', '.join(f'{one.topic}/{one.partition}' for one in wanted)}"):
            ends = consumer.end_offsets(wanted, timeout_ms=self._timeout)
        self._idle.append(consumer)
        return {TopicPartition(*one): ends[one] for one in wanted}

    def read(
        self, tp: TopicPartition, start: int, target: int, *, stable: int | None = None, ask: bool = False
    ) -> Iterator[Record]:
        """Committed records from offset ``start`` to before ``target``.

        It ends when the *position* has reached the target, not when a record has: markers and aborted records take
        offsets too. DeadlineExceeded when the position stands still for longer than an answer may take, as it does
        behind a transaction that stays open.

        With ``stable``, an offset before the target, it is content with that one: it waits for what lies behind it no
        longer than a broker takes to write the markers of transactions that have just been committed.

        With ``ask`` the broker is asked even when there is nothing to read, so that a denial shows now and not at the
        first start that finds something.
        """
        where = f"reading {tp.topic} partition {tp.partition}"
        one = KafkaTopicPartition(*tp)
        start = max(start, self.beginning(tp))
        consumer = self._take()
        try:
            with explaining(where):
                consumer.assign([one])
                consumer.seek(one, start)
            position = start
            moved = time.monotonic()
            while position < target or (ask and consumer.highwater(one) is None):
                with explaining(where, "Read"):
                    found = consumer.poll(timeout_ms=100).get(one, [])
                    reached = consumer.position(one, timeout_ms=0)
                yield from (record for part in found for record in part if record.offset < target)
                if reached is not None and reached > position:
                    position, moved = reached, time.monotonic()
                elif stable is not None and position >= stable and time.monotonic() - moved > _MARKERS:
                    return
                elif time.monotonic() - moved > self._settings.deadline:
                    raise DeadlineExceeded(
                        f"{where}: position {position} of {target} has not moved for {self._settings.deadline:g} s;"
                        " the transaction of a producer that is gone may still be open there"
                    )
        finally:
            self._idle.append(consumer)

    def close(self) -> None:
        """Close the consumers that are idle; safe to call twice."""
        while self._idle:
            self._idle.pop().close(autocommit=False, timeout_ms=1000)

    @property
    def _timeout(self) -> int:
        return int(self._settings.deadline * 1000)

    def _take(self) -> KafkaConsumer:
        if self._idle:
            return self._idle.pop()
        with explaining("connecting a consumer"):
            consumer = KafkaConsumer(**self._settings.consumer())
        read_columns(consumer)
        return consumer
