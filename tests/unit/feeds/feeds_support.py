"""Small recordings, and what a log holds of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from processors.feeds.items import Single
from processors.feeds.recorded import Recording
from processors.stream.log import Record, TopicPartition
from processors.stream.memory import MemoryCluster
from topics.catalog import MARKET_TICKS
from topics.codec import decode_market
from topics.ticks import TickColumns

RELEASES = "release_ts,series_id,ref_period,actual,consensus\n"


def write(directory: Path, *, ticks: str = "", releases: str = "", portfolios: str = "") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (("ticks.csv", ticks), ("releases.csv", releases), ("portfolios.jsonl", portfolios)):
        if text:
            (directory / name).write_text(text, encoding="utf-8")
    return directory


def minute_ticks(count: int, *, symbol: str = "VIX", start: int = 0) -> str:
    lines = ["event_ts,symbol,last\n"]
    for i in range(start, start + count):
        lines.append(f"2018-02-05T{14 + i // 60:02}:{i % 60:02}:00Z,{symbol},{17 + i / 100:.2f}\n")
    return "".join(lines)


def documents(recording: Recording, block_size: int = 4096) -> list[dict[str, Any]]:
    """Every row of the recording as the document of a single message, in order."""
    found: list[dict[str, Any]] = []
    for item in recording.items(block_size):
        if isinstance(item, Single):
            found.append(json.loads(item.value) if item.value[:1] == b"{" else {"raw": item.value.decode()})
        else:
            found += [item.row(i) for i in range(len(item))]
    return found


def records(cluster: MemoryCluster, topic: str) -> list[Record]:
    return [r for p in range(cluster.topics()[topic]) for r in cluster.read(TopicPartition(topic, p))]


def tick_rows(found: Iterable[Record]) -> list[dict[str, Any]]:
    """The ticks of these records, whether sent singly or in blocks, as documents."""
    rows: list[dict[str, Any]] = []
    for record in found:
        if record.topic == MARKET_TICKS and b"watermark_ts" not in (record.value or b""):
            body = decode_market(record.value, record.headers)
            rows += [body.row(i) for i in range(len(body))] if isinstance(body, TickColumns) else [body.document()]
    return rows
