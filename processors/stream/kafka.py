"""A log in Apache Kafka: for production, and for spreading a processor over several machines.

Positions and outputs commit in one transaction that carries the member's generation, so a member that lost its
partitions cannot commit. The transactional id is ``GROUP.INSTANCE``: a restart ends its predecessor's transaction at
once. Records are taken as bytes and never decoded by the client.

What its user must be allowed to do on a cluster with access control is in :mod:`processors.access`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from kafka import ConsumerRebalanceListener, KafkaConsumer, errors
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.protocol.consumer import IsolationLevel, OffsetSpec
from kafka.structs import ConsumerGroupMetadata, MemberState
from kafka.structs import TopicPartition as KafkaTopicPartition

from processors.errors import AlvhError, Fenced, LogUnavailable, Rebalanced, UserError
from processors.stream.deadline import Caller
from processors.stream.kafka_access import admin_client
from processors.stream.kafka_batches import read_columns
from processors.stream.kafka_client import Settings, explained, explaining, parse_servers
from processors.stream.kafka_producer import Transactions
from processors.stream.kafka_reader import Readers
from processors.stream.log import Member, Out, Poll, Reach, Record, Records, TopicPartition

T = TypeVar("T")

_log = logging.getLogger("alvh.stream.kafka")

#: Of a topic that is named and that this user may not see, whether it exists or not.
_HIDDEN = errors.TopicAuthorizationFailedError.errno

#: Seconds of one call of the client's poll: after each of them a new assignment is looked for.
_SLICE = 0.1
#: Seconds between two questions how far the inputs reach.
_ENDS = 1.0


class KafkaCluster:
    """The Kafka cluster that ``bootstrap_servers`` belong to.

    Args:
        bootstrap_servers: ``host:port`` of some brokers, in a list or separated by commas.
        security: TLS and SASL settings, see :data:`processors.stream.kafka_client.SECURITY`.
        settings: more of :class:`processors.stream.kafka_client.Settings`: ``deadline``, ``session_timeout``, ...

    Raises LogUnavailable when no broker answers, Denied when they refuse this user, UserError for a security setting
    that is unknown or cannot be used.
    """

    def __init__(
        self,
        bootstrap_servers: str | Sequence[str],
        security: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self._settings = Settings(parse_servers(bootstrap_servers), dict(security or {}), **settings)
        self._caller = Caller("kafka admin")
        self._publishers: dict[str, Transactions] = {}
        self._readers = Readers(self._settings)
        self._admin = admin_client(self._settings)

    def __repr__(self) -> str:
        return f"KafkaCluster({','.join(self._settings.servers)!r})"

    def topics(self, names: Iterable[str] | None = None) -> dict[str, int]:
        """Topic names and their partition counts, without Kafka's own topics and those hidden from this user."""
        asked = None if names is None else list(names)
        found = self._ask("listing topics", lambda: self._admin.describe_topics(asked))
        if asked is not None and (hidden := {t["name"] for t in found if t["error_code"] == _HIDDEN}):
            raise explained(errors.TopicAuthorizationFailedError(hidden), "listing topics")
        return {t["name"]: len(t["partitions"]) for t in found if not t["is_internal"] and not t["error_code"]}

    def create(self, topics: Mapping[str, int], *, compacted: frozenset[str] = frozenset()) -> None:
        """Create the topics that are missing, with the brokers' own replication factor."""
        known = self.topics()
        missing = {
            name: {
                "num_partitions": count,
                "replication_factor": -1,
                "configs": {"cleanup.policy": "compact"} if name in compacted else {},
            }
            for name, count in topics.items()
            if name not in known
        }
        try:
            if missing:
                self._ask("creating topics", lambda: self._admin.create_topics(missing, wait_for_metadata=True))
        except AlvhError as error:
            if isinstance(error.__cause__, errors.TopicAuthorizationFailedError):  # it holds the whole request
                denied = errors.TopicAuthorizationFailedError(set(missing))
                raise explained(denied, "creating topics", "Create") from error
            if not isinstance(error.__cause__, errors.TopicAlreadyExistsError):
                raise
            self.create(topics, compacted=compacted)  # another process creates them too: see what is left

    def publish(self, outs: Iterable[Out], *, producer: str = "feed") -> None:
        """Append ``outs`` in one transaction. Two processes that publish need different ``producer`` names."""
        if producer not in self._publishers:
            self._publishers[producer] = Transactions(self._settings, producer, self.partitions)
        transactions = self._publishers[producer]
        try:
            for out in outs:
                transactions.send(out)
            transactions.commit({}, None)
        except BaseException:
            del self._publishers[producer]
            transactions.close()
            raise

    def read(self, tp: TopicPartition, start: int = 0) -> Iterator[Record]:
        """Committed records of ``tp`` from ``start`` on, up to the first transaction that is open now."""
        end = self.end_offset(tp)
        return self._readers.read(tp, start, end, stable=self._readers.stable_end(tp))

    def end_offset(self, tp: TopicPartition) -> int:
        """The high watermark: the next offset to be written."""
        self._known(tp)
        one = KafkaTopicPartition(*tp)
        ask = {one: OffsetSpec.LATEST}
        offset: int = self._ask(f"end of {tp.topic}", lambda: self._admin.list_partition_offsets(ask))[one].offset
        return offset

    def beginning(self, tp: TopicPartition) -> int:
        """The oldest offset that retention has left."""
        self._known(tp)
        return self._readers.beginning(tp)

    def ends(self, tps: Iterable[TopicPartition]) -> Future[dict[TopicPartition, tuple[int, int]]] | None:
        """Begin to ask for the last stable offset and the high watermark of partitions; None when nothing is answered.

        The answer comes to the future, or the client's error does: nobody waits here.
        """
        wanted = {KafkaTopicPartition(*tp): OffsetSpec.LATEST for tp in tps}

        def ask() -> dict[TopicPartition, tuple[int, int]]:
            stable = self._admin.list_partition_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED)
            end = self._admin.list_partition_offsets(wanted)
            return {TopicPartition(*one): (stable[one].offset, end[one].offset) for one in wanted}

        return self._caller.begin(ask)

    def member(self, member: Member) -> KafkaLog:
        """Join as ``member``. The group is joined at the first poll."""
        return KafkaLog(self, self._settings, member)

    def close(self) -> None:
        """Close every connection of this object, in a few seconds whatever the brokers do; safe to call twice."""
        while self._publishers:
            self._publishers.popitem()[1].close()
        self._readers.close()
        self._caller.close()
        self._admin.close()

    def partitions(self, topic: str) -> int:
        """Partition count of one topic. Raises UserError when there is no such topic."""
        (found,) = self._ask(f"partitions of {topic}", lambda: self._admin.describe_topics([topic]))
        if found["error_code"] == errors.UnknownTopicOrPartitionError.errno:
            raise UserError(f"there is no topic {topic!r}; create it first")
        if found["error_code"]:
            raise explained(errors.for_code(found["error_code"])(topic), f"partitions of {topic}")
        return len(found["partitions"])

    def remove(self, member: Member, member_id: str) -> None:
        """Take a member out of its group, unless its instance has been started again since."""
        gone = MemberToRemove(member_id=member_id, group_instance_id=member.instance, reason="ended")
        self._ask("leaving the group", lambda: self._admin.remove_group_members(member.group, [gone]), seconds=2.0)

    def _known(self, tp: TopicPartition) -> None:
        count = self.partitions(tp.topic)
        if not 0 <= tp.partition < count:
            raise UserError(f"topic {tp.topic!r} has partitions 0 to {count - 1}, not {tp.partition}")

    def _ask(self, what: str, function: Callable[[], T], seconds: float | None = None) -> T:
        """An answer of the brokers, asked for again while they are not ready and there is time."""
        deadline = time.monotonic() + (seconds or self._settings.deadline)
        while True:
            try:
                return self._caller.call(what, max(deadline - time.monotonic(), 0.1), function)
            except errors.KafkaError as error:
                if not isinstance(error, errors.RetriableError) or time.monotonic() + _SLICE > deadline:
                    raise explained(error, what) from error
            time.sleep(_SLICE)


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what happens to the assignment. Called on the client's own thread, only while the consumer polls.

    It touches nothing but the consumer's memory: a call to the broker from here would fail or hang.
    """

    def __init__(self) -> None:
        self.consumer: Any = None
        self.news = False
        self.group: ConsumerGroupMetadata | None = None

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing: no work is open between polls, and the broker refuses commits of the old generation."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        for tp in assigned:  # returned by no poll until it is sought
            self.consumer.pause(tp)
            self.consumer.seek(tp, 0)
        # Exactly here: while the next rebalance is under way the client already shows the next generation, with which
        # a commit of partitions that have moved would be let through.
        self.group = self.consumer.group_metadata()
        self.news = True

    def on_partitions_lost(self, lost: Any) -> None:
        for tp in self.consumer.assignment():
            self.consumer.pause(tp)
        self.group = None
        self.news = True


class KafkaLog:
    """One member of a consumer group.

    Membership is kept by heartbeats on the client's own thread; between two polls there may be
    ``max_poll_interval_ms``, here ten minutes, which is far more than a restore takes. So a restore needs no polling.
    """

    def __init__(self, cluster: KafkaCluster, settings: Settings, member: Member) -> None:
        self._cluster = cluster
        self._settings = settings
        self._member = member
        self._timeout = int(settings.deadline * 1000)
        counts = {topic: cluster.partitions(topic) for topic in member.inputs}
        if len(set(counts.values())) != 1:
            raise UserError(f"inputs read together need the same number of partitions: {counts}")
        self._generation = 0
        self._partitions: frozenset[int] = frozenset()
        self._sought: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] | None = None
        self._reached: dict[TopicPartition, tuple[int, int]] = {}
        self._asked: Future[dict[TopicPartition, tuple[int, int]]] | None = None
        self._ask_again = 0.0
        self._ended = False
        self._caller = Caller(f"joining {member.group}")
        self._readers = Readers(settings)
        # first: from here on nothing of a predecessor can be committed, and what it left open is decided
        self._transactions = Transactions(settings, f"{member.group}.{member.instance}", cluster.partitions)
        try:
            with explaining(f"joining group {member.group}"):
                self._consumer = KafkaConsumer(
                    **settings.consumer(),
                    group_id=member.group,
                    group_instance_id=member.instance,
                    partition_assignment_strategy=[RangePartitionAssignor],
                    session_timeout_ms=int(settings.session_timeout * 1000),
                    heartbeat_interval_ms=int(min(settings.session_timeout / 3, 3.0) * 1000),
                    max_poll_interval_ms=600_000,
                )
                read_columns(self._consumer)
                self._assignments = _Assignments()
                self._assignments.consumer = self._consumer
                self._consumer.subscribe(member.inputs, listener=self._assignments)
                # The leader of the group assigns by what its own client knows of the topics: see that it knows them,
                # or it may give out nothing.
                for topic in member.inputs:
                    self._caller.call(
                        f"partitions of {topic}", settings.deadline, partial(self._consumer.partitions_for_topic, topic)
                    )
        except BaseException:
            self._transactions.close()
            if hasattr(self, "_consumer"):
                self._consumer.close(autocommit=False, timeout_ms=1000)
            raise

    # Log

    def poll(self, timeout: float) -> Poll:
        """Records since the last poll. The first poll of a generation only tells what is owned now."""
        end = time.monotonic() + timeout
        self._ends = None
        while True:
            left = max(end - time.monotonic(), 0.0)
            with explaining(f"polling as {self._member.group}.{self._member.instance}", "Read"):
                self._unpark()
                found = self._consumer.poll(timeout_ms=int(min(left, _SLICE) * 1000))
            self._check()
            if self._assignments.news:
                self._adopt()
                return Poll(self._partitions, self._generation)
            if found or not left:
                brought = {TopicPartition(*tp): Records.joined(parts) for tp, parts in found.items()}
                return Poll(self._partitions, self._generation, brought)

    def send(self, out: Out) -> None:
        """Send ``out`` within the open transaction."""
        self._transactions.send(out)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit what was sent and the positions, as the generation that the last poll told."""
        group = self._assignments.group
        if group is None or self._assignments.news:
            self._transactions.abort()
            raise Rebalanced(f"{self._member.group}.{self._member.instance} owns no partitions")
        try:
            self._transactions.commit(positions, group)
        except Rebalanced:
            # the group has gone on without this member: nothing is owned until it has joined again
            self._assignments.on_partitions_lost(None)
            raise

    def end(self) -> None:
        """Abort what is open, give the partitions to the others now, close: in a few seconds at most."""
        if self._ended:
            return
        self._ended = True
        self._transactions.close()
        # A member with a fixed instance name does not leave by itself when it closes
        group = self._consumer.group_metadata()
        self._consumer.close(autocommit=False, timeout_ms=2000)
        self._readers.close()
        self._caller.close()
        if group.member_id:
            try:
                self._cluster.remove(self._member, group.member_id)
            except AlvhError as error:
                _log.warning("%s keeps its partitions until its session ends: %s", self._member.instance, error)

    def committed(self, tp: TopicPartition) -> int | None:
        """The group's committed position; waits for a transaction that is about to change it."""
        with explaining(f"position of {self._member.group} on {tp.topic}"):
            offset: int | None = self._consumer.committed(KafkaTopicPartition(*tp), timeout_ms=self._timeout)
        return offset

    def beginning(self, tp: TopicPartition) -> int:
        """The oldest offset that retention has left."""
        return self._readers.beginning(tp)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read ``tp`` from ``offset`` on."""
        one = KafkaTopicPartition(*tp)
        if tp.partition not in self._partitions or tp.topic not in self._member.inputs:
            raise ValueError(f"{tp} is not owned")
        self._consumer.seek(one, offset)
        self._sought.add(tp)
        if tp not in self._paused:
            self._consumer.resume(one)

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        for tp in tps:
            self._paused.add(tp)
            self._consumer.pause(KafkaTopicPartition(*tp))

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        for tp in tps:
            self._paused.discard(tp)
            if tp in self._sought:
                self._consumer.resume(KafkaTopicPartition(*tp))

    def caught_up(self, tp: TopicPartition) -> bool:
        """True when the position has reached the last stable offset, asked for once a poll for all partitions.

        It is asked on a connection of its own: a broker answers what comes behind a fetch only after that, and a fetch
        of partitions that are silent waits.
        """
        if tp not in self._sought:
            return False
        if self._ends is None:
            self._ends = self._readers.stable_ends(sorted(self._sought))
        position = self._position(tp)
        return position is not None and position >= self._ends[tp]

    def read(self, tp: TopicPartition) -> Iterator[Record]:
        """Every record committed to ``tp`` up to now.

        "Now" is the high watermark: the last stable offset would stop before records that are committed behind
        another producer's open transaction.
        """
        return self._readers.read(tp, 0, self._cluster.end_offset(tp), ask=True)

    def reach(self, tp: TopicPartition) -> Reach | None:
        """Position and ends, which are asked for in the background, once a second; None before the first answer."""
        self._ask_ends()
        if tp not in self._sought or tp not in self._reached:
            return None
        position = self._position(tp)
        return None if position is None else Reach(position, *self._reached[tp])

    def _ask_ends(self) -> None:
        """Take the answer that has come, and ask again when it is time."""
        if self._asked is not None and self._asked.done():
            try:
                self._reached = self._asked.result()
            except (errors.KafkaError, OSError) as error:
                _log.debug("the ends of the inputs are not known anew: %s", error)
            self._asked = None
        if self._asked is None and self._sought and time.monotonic() >= self._ask_again:
            self._ask_again = time.monotonic() + _ENDS
            self._asked = self._cluster.ends(sorted(self._sought))

    def _unpark(self) -> None:
        """Let the client take up again what it put aside while a partition was paused.

        It does so only when it has no partition in hand, and forgets to let go of one that is drained: without this a
        partition that was paused with fetched records could stay silent for ever after it is resumed.
        """
        fetcher = self._consumer._fetcher
        if not fetcher._next_partition_records:
            fetcher._next_partition_records = None

    def _position(self, tp: TopicPartition) -> int | None:
        position: int | None = self._consumer.position(KafkaTopicPartition(*tp), timeout_ms=0)  # 0: asks nobody
        return position

    def _check(self) -> None:
        """Notice that this instance was started again elsewhere.

        The client stops its heartbeats when the broker tells it so, and goes on polling without a word. A stable member
        without heartbeats exists for no other reason: they stop for a rebalance too, but then it is not stable.
        """
        coordinator = self._consumer._coordinator
        stable = coordinator.state == MemberState.STABLE and not coordinator.rejoining
        if stable and not coordinator._heartbeat_enabled:
            raise Fenced(f"instance {self._member.instance!r} of group {self._member.group!r} was started again")

    def _adopt(self) -> None:
        """Take the new assignment. Work of the old one is aborted, and every partition waits for its seek."""
        self._assignments.news = False
        self._transactions.abort()
        self._generation += 1
        self._sought.clear()
        self._paused.clear()
        self._ask_again = 0.0
        owned: set[TopicPartition] = set()
        if self._assignments.group is not None:
            owned = {TopicPartition(*tp) for tp in self._consumer.assignment()}
        self._partitions = frozenset(tp.partition for tp in owned)
        if len(owned) != len(self._partitions) * len(self._member.inputs):
            raise LogUnavailable(f"the inputs of {self._member.group} no longer have the same number of partitions")
        _log.info("%s.%s owns partitions %s", self._member.group, self._member.instance, sorted(self._partitions))
