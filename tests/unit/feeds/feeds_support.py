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
SCHEDULES = "event_ts,series_id,ref_period,scheduled_ts,cancelled\n"

#: One figure of each kind that market.flows carries, every one public at 2018-02-05T14:02:00Z.
FLOWS = (
    '{"symbol":"UVXY","event_ts":"2018-02-05T14:02:00Z","aum":"500000000.00","leverage":2}\n'
    '{"universe":"SPX","session_date":"2018-02-02","session_prev":"2018-02-01","event_ts":"2018-02-05T14:02:00Z",'
    '"members":[{"id":"AAPL","ret":-0.04,"mcap_prev":851000},{"id":"MSFT","ret":-0.03,"mcap_prev":727000}]}\n'
    '{"offering_id":"ipo-1","kind":"ipo","pricing_ts":"2018-02-05T14:02:00Z","raised_usd":"100000000.00"}\n'
    '{"chain":"ethereum","block_number":5035000,"block_ts":"2018-02-05T14:02:00Z","finalized":true,'
    '"tvl_usd":"1000000.00"}\n'
)


def write(
    directory: Path,
    *,
    ticks: str = "",
    releases: str = "",
    schedules: str = "",
    flows: str = "",
    portfolios: str = "",
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        "ticks.csv": ticks,
        "releases.csv": releases,
        "schedules.csv": schedules,
        "flows.jsonl": flows,
        "portfolios.jsonl": portfolios,
    }
    for name, text in files.items():
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
