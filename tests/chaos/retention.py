"""Retention passes the committed position: what is lost is named, and nothing is done until a person has reset.

Two instances work off a part of a story and end. What is fed then is deleted by the topic's retention before anybody
has read it. The processors must refuse to go on, name the lost records exactly, and write nothing. After the reset
they go on with what is left, as if they had never known more.
"""

from __future__ import annotations

import re
import time

from history import create

from chaos.brokers import Brokers, configure
from chaos.checker import Place, judge
from chaos.expected import Expected, run_stage, stages
from chaos.faults import USUAL
from chaos.records import bounds_of
from chaos.report import Report
from chaos.scenario import Say, Scene, clean_up, without_groups
from chaos.workload import PARTITIONS, Story
from processors.stream.log import TopicPartition
from processors.stream.open import open_cluster
from processors.stream.processor import Processor
from topics.catalog import MARKET_TICKS, changelog

_TICKS = [TopicPartition(MARKET_TICKS, number) for number in range(PARTITIONS)]
_NAMED = re.compile(rf"{re.escape(MARKET_TICKS)}/(\d+): records (\d+) to (\d+) are past their retention")
#: Minutes of the story that are worked off, that are lost, and that come after the reset.
_FIRST, _LOST, _AFTER = range(8), range(8, 14), range(14, 22)


def run(seed: int, brokers: Brokers, say: Say) -> Report:
    """One such story of a seed, judged."""
    report = Report(f"retention {seed}")
    story, market = Story(seed), stages()[0]
    clean_up(brokers)
    with Scene(brokers, story) as scene:
        scene.workers.scale(USUAL)
        scene.feeder.now(story.begin())
        for minute in _FIRST:
            scene.feeder.now(story.minute(minute))
        report.problems += scene.rest(120)
        scene.workers.scale(0)
        scene.workers.wait(30)
        before = scene.log()
        for minute in _LOST:
            scene.feeder.now(story.minute(minute))
        unread, stood = scene.log(), scene.positions()["alvh.market"]
        left = _retain(scene)
        lost = {p: (stood[p], left[p] - 1) for p in left if stood.get(p, left[p]) < left[p]}
        say(f"  retention left {sum(last - first + 1 for first, last in lost.values())} offsets unread, to be named")
        report.faults["retention"] += 1
        report.problems += _refused(scene, lost)
        scene.workers.scale(0)
        scene.workers.wait(30)
        after_refusal = scene.log()
        if [r for r in after_refusal if r.topic != MARKET_TICKS] != [r for r in unread if r.topic != MARKET_TICKS]:
            report.problems.append("something was written although the processors had refused")
        reset(brokers, market)
        scene.workers.scale(USUAL)
        for minute in _AFTER:
            scene.feeder.now(story.minute(minute))
        scene.feeder.now(story.end(_AFTER.stop))
        scene.feeder.close()
        report.problems += scene.rest(120)
        report.problems += scene.end()
        final = scene.log()
        expected = Expected()
        run_stage(market, before, expected)
        run_stage(market, final, expected)
        for processor in stages()[1:]:
            run_stage(processor, final, expected)
        whole = sorted({(r.topic, r.partition, r.offset): r for r in [*unread, *final]}.items())
        log = [record for _, record in whole]
        report.findings = judge(scene.history(log, expected))
        scene.count(report, log)
        if not report.clean:
            say(f"  lines of the processes: {scene.keep(f'alvh-chaos-retention-{seed}-')}")
    return report


def reset(brokers: Brokers, processor: Processor) -> None:
    """What a person does to let a processor begin anew with what is left: its group and its changelog go."""
    name, deadline = changelog(processor.name), time.monotonic() + 60
    while not without_groups(brokers, [f"alvh.{processor.name}"]):  # until the sessions of its members have ended
        assert time.monotonic() < deadline, f"the group of {processor.name} is still there"
        time.sleep(0.2)
    with brokers.admin() as admin:
        admin.delete_topics([name])
        while name in admin.list_topics():
            assert time.monotonic() < deadline, f"{name} is still there"
            time.sleep(0.1)
    cluster = open_cluster(f"kafka://{brokers.direct}")
    create(cluster, PARTITIONS)
    cluster.close()


def _retain(scene: Scene) -> dict[Place, int]:
    """Let the retention of the ticks delete all that is there; the first offset that is left of each partition."""
    configure(scene.brokers, [MARKET_TICKS], {"retention.ms": "1", "segment.ms": "100"})
    deadline = time.monotonic() + 60
    while (bounds := bounds_of(scene.brokers.direct, _TICKS)) and any(first < end for first, end in bounds.values()):
        assert time.monotonic() < deadline, f"the retention leaves {bounds}"
        time.sleep(0.2)
    configure(scene.brokers, [MARKET_TICKS], {"retention.ms": "604800000", "segment.ms": "604800000"})
    return {place: first for place, (first, _) in bounds.items()}


def _refused(scene: Scene, lost: dict[Place, tuple[int, int]]) -> list[str]:
    """Start the processors, wait until each has refused twice, and compare what they name with what is lost."""
    scene.workers.scale(USUAL)
    deadline = time.monotonic() + 120
    while scene.workers.ended[70] < 2 * USUAL and time.monotonic() < deadline:
        time.sleep(0.2)
    text = "".join(worker.lines.read_text(errors="replace") for worker in scene.workers.all if worker.lines.exists())
    named = {(MARKET_TICKS, int(p)): (int(first), int(last)) for p, first, last in _NAMED.findall(text)}
    problems = [] if scene.workers.ended[70] >= 2 * USUAL else ["the processors did not refuse to go on"]
    if not named or any(lost.get(place) != named[place] for place in named):
        problems.append(f"lost are {lost}, and the processors named {named}")
    return problems
