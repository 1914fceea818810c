"""Feeds a story while faults are injected, and keeps a log of what it sent and what became of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from kafka.errors import KafkaError

from chaos.checker import Outcome, Send
from chaos.records import INPUTS, content_of, lane_of, read_committed
from chaos.workload import PARTITIONS, Batch, Story
from processors.errors import AlvhError
from processors.stream.kafka_client import Settings
from processors.stream.kafka_producer import Transactions
from processors.stream.log import Out, TopicPartition
from processors.stream.partitioner import partition_for


class Feeder(threading.Thread):
    """A transactional producer of one story.

    What it is about to send is noted before it is sent. When it cannot know whether a transaction was committed it
    makes its producer anew under the same id, which ends the old one's transaction, and looks at what is there.

    Attributes:
        sends, outcomes: the log of sends.
        error: what ended the thread before its time.
    """

    def __init__(self, servers: str, story: Story, pace: float) -> None:
        super().__init__(name="chaos-feeder", daemon=True)
        self.sends: list[Send] = []
        self.outcomes: dict[int, Outcome] = {}
        self.resolved: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._servers, self._story, self._pace = servers, story, pace
        self._settings = Settings(tuple(servers.split(",")), deadline=10.0, transaction_timeout=20.0)
        self._producer: Transactions | None = None
        self._poison = 0
        self._end = threading.Event()

    def poison(self, count: int) -> None:
        """Send so many records that nobody can use, with the next minute."""
        self._poison += count

    def now(self, batches: Iterable[Batch]) -> None:
        """Send these and return when all of them are committed: for who feeds by itself and never starts the thread."""
        self._feed(batches)

    def close(self) -> None:
        """Close the producer."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def finish(self, timeout: float) -> None:
        """Feed the end of the story and wait until all is committed. Raises what went wrong."""
        self._end.set()
        self.join(timeout)
        if self.error is not None:
            raise self.error
        assert not self.is_alive(), f"the feeder could not end its story in {timeout:g} s"

    def run(self) -> None:
        try:
            self._feed(self._story.begin())
            minute = 0
            while not self._end.is_set() and minute < 380:
                started = time.monotonic()
                self._feed(self._story.minute(minute))
                minute += 1
                if self._poison:
                    count, self._poison = self._poison, 0
                    self._feed([self._story.poison(count)])
                self._end.wait(max(0.0, started + self._pace - time.monotonic()))
            self._feed(self._story.end(minute))
        except BaseException as error:
            self.error = error
        finally:
            self.close()

    def _feed(self, batches: Iterable[Batch]) -> None:
        """Send the batches, each until it is committed or aborted: a later one must not stand before an earlier one."""
        for batch in batches:
            while self._send(batch) == "aborted" and not batch.abort:
                pass

    def _send(self, batch: Batch) -> Outcome:
        number = len(self.outcomes)
        self.outcomes[number] = "unknown"
        # A batch that is sent again has new ids: its first sending must stay out of the log.
        outs = [self._marked(out, number) for out in batch.outs]
        self.sends += [Send(number, out.topic, lane_of(*_place(out), out.key), content_of(out)) for out in outs]
        try:
            if self._producer is None:
                self._producer = Transactions(self._settings, "chaos.feeder", lambda topic: PARTITIONS)
            for out in outs:
                self._producer.send(out)
            if batch.abort:
                self._producer._producer.flush(10.0)  # so that what is aborted has been in the log
                self._producer.abort()
            else:
                self._producer.commit({}, None)
            self.outcomes[number] = "aborted" if batch.abort else "committed"
        except (AlvhError, KafkaError):  # of the client's own: its flush, while a broker is away
            self._resolve(number, outs)
        return self.outcomes[number]

    def _marked(self, out: Out, number: int) -> Out:
        return replace(out, headers=(*out.headers[:-1], (out.headers[-1][0], out.headers[-1][1] + b".%d" % number)))

    def _resolve(self, number: int, outs: list[Out]) -> None:
        """See what became of a transaction of which no answer came."""
        self.close()
        while self._producer is None:
            try:
                self._producer = Transactions(self._settings, "chaos.feeder", lambda topic: PARTITIONS)
            except AlvhError:
                time.sleep(0.2)
        places = [TopicPartition(topic, n) for topic in INPUTS for n in range(PARTITIONS)]
        there = {content_of(record) for record in read_committed(self._servers, places)}
        found = [content_of(out) in there for out in outs]
        if all(found):
            self.outcomes[number] = "committed"
        elif not any(found):
            self.outcomes[number] = "aborted"
        # else it stays unknown, and the checker says that it was torn
        self.resolved[self.outcomes[number]] += 1


def _place(out: Out) -> tuple[str, int]:
    return out.topic, out.partition if out.partition is not None else partition_for(out.key, PARTITIONS)
