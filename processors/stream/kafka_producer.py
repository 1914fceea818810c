"""A transactional producer whose every call has a deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaProducer, errors
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaTopicPartition

from processors.errors import AlvhError, Rebalanced, UserError
from processors.stream.deadline import Caller
from processors.stream.kafka_client import Settings, explained, explaining
from processors.stream.log import Out, TopicPartition
from processors.stream.partitioner import partition_for

_log = logging.getLogger("alvh.stream.kafka")


class Transactions:
    """The producer with one transactional id: at most one transaction is open at a time.

    Made anew under the same id, it first ends what its predecessor left open, and fences it. ``partitions`` tells how
    many partitions a topic has.
    """

    def __init__(self, settings: Settings, transactional_id: str, partitions: Callable[[str], int]) -> None:
        self._partitions = partitions
        self._settings = settings
        self._id = transactional_id
        self._open = False
        self._failed = False
        self._sent: list[Any] = []
        self._counts: dict[str, int] = {}
        self._caller = Caller(f"transactions of {transactional_id}")
        with explaining(f"connecting the producer {transactional_id}"):
            self._producer = KafkaProducer(
                **settings.client(),
                transactional_id=transactional_id,
                transaction_timeout_ms=int(settings.transaction_timeout * 1000),
                delivery_timeout_ms=int(settings.deadline * 1000) + 1000,
                max_block_ms=int(settings.deadline * 1000),
                linger_ms=5,
                compression_type="lz4",  # as quick as none, and a third of the size for ticks as JSON
                batch_size=256 << 10,
                max_request_size=16 << 20,
                # A transaction that follows at once on another is answered "not yet" while the broker writes the
                # markers of the first; the client then sleeps this long.
                retry_backoff_ms=10,
                metrics_enabled=False,
            )
        # A producer that was fenced may, in this version of the client, ask for a new epoch and so fence its successor
        # in turn. Without that a stale epoch is final, as it should be.
        self._producer._transaction_manager._supports_epoch_bump = lambda: False
        try:
            self._call("init_transactions", self._producer.init_transactions)
        except BaseException:
            self.close()
            raise

    def send(self, out: Out) -> None:
        """Add a record to the open transaction, opening one when there is none."""
        number = out.partition if out.partition is not None else partition_for(out.key, self._count(out.topic))
        if not 0 <= number < self._count(out.topic):
            raise UserError(f"topic {out.topic!r} has partitions 0 to {self._count(out.topic) - 1}, not {number}")
        try:
            self._begin()
            self._sent.append(
                self._producer.send(
                    out.topic, value=out.value, key=out.key, headers=list(out.headers), partition=number
                )
            )
        except errors.KafkaError as error:
            raise self._refused(error, f"sending to {out.topic} partition {number}") from error

    def commit(self, positions: Mapping[TopicPartition, int], group: ConsumerGroupMetadata | None) -> None:
        """Commit what was sent and the positions of ``group``. Raises as :meth:`processors.stream.log.Log.commit`."""
        offsets = {KafkaTopicPartition(*tp): OffsetAndMetadata(offset, "", -1) for tp, offset in positions.items()}
        if not offsets and not self._sent:
            return
        seconds = self._settings.deadline

        def commit() -> None:
            self._begin()
            if offsets:
                self._producer.send_offsets_to_transaction(offsets, group)
            self._producer.flush(seconds)
            for sent in self._sent:
                if sent.failed():
                    raise sent.exception
            self._producer.commit_transaction()

        try:
            self._caller.call(f"commit of {self._id}", seconds, commit)
        except errors.KafkaError as error:
            raise self._refused(error, f"commit of {self._id}") from error
        self._open = False
        self._sent.clear()

    def abort(self) -> None:
        """Abort the open transaction, if there is one."""
        if self._open:
            self._call("abort", self._producer.abort_transaction)
            # The client keeps positions that the group refused and sends them along with the next commit, by when the
            # partitions are another member's: that one's positions would go back.
            self._producer._transaction_manager._pending_txn_offset_commits.clear()
            self._open = False
            self._sent.clear()

    def close(self) -> None:
        """Abort what is open and close, in a few seconds whatever the broker does; safe to call twice."""
        if self._open and self._caller.stuck is None and not self._failed:
            try:
                self._caller.call(f"abort of {self._id}", 2.0, self._producer.abort_transaction)
            except (errors.KafkaError, AlvhError) as error:
                # the broker aborts it after the transaction timeout, or as soon as this id is used again
                _log.warning("the transaction of %s was left open: %s", self._id, error)
        self._open = False
        try:
            self._producer.close(timeout=2.0 if self._caller.stuck is None else 0.0)
        except errors.KafkaTimeoutError:
            self._producer._sender.force_close()  # fails the batches that nobody answers, so that close can end
            self._producer._sender.join(1.0)
            self._producer.close(timeout=0.0)
        self._caller.close()

    def _begin(self) -> None:
        if not self._open:
            self._producer.begin_transaction()
            self._open = True

    def _count(self, topic: str) -> int:
        """Partitions of a topic. The client learns them here, so that sending never waits for them."""
        if topic not in self._counts:
            self._counts[topic] = self._partitions(topic)
            self._call(f"partitions of {topic}", lambda: self._producer.partitions_for(topic))
        return self._counts[topic]

    def _call(self, what: str, function: Callable[[], Any]) -> Any:
        try:
            return self._caller.call(f"{what} of {self._id}", self._settings.deadline, function)
        except errors.KafkaError as error:
            raise self._refused(error, f"{what} of {self._id}") from error

    def _refused(self, error: errors.KafkaError, doing: str) -> AlvhError:
        """What an error means; after one that leaves this producer usable the transaction is aborted."""
        manager = self._producer._transaction_manager
        # once in its error state the client raises a bare KafkaError that only quotes the cause
        cause = manager.last_error if type(error) is errors.KafkaError and manager.last_error is not None else error
        if isinstance(cause, errors.TransactionalIdAuthorizationFailedError) and not cause.args:
            cause = type(cause)(self._id)  # the client leaves out which
        mine = explained(cause, doing, "Write")
        if isinstance(mine, Rebalanced):
            self.abort()
        else:
            self._failed = True
        return mine
