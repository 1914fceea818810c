"""Schedules and flows of a recording: their places among the rest, broken rows, and files that cannot be used."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest
from feeds_support import FLOWS, RELEASES, SCHEDULES, documents, minute_ticks, write
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import UserError
from processors.feeds.items import Single
from processors.feeds.recorded import Recording
from topics.catalog import MACRO_RELEASES, MARKET_FLOWS
from topics.chain import ChainFigure
from topics.codec import decode_flow, decode_macro
from topics.constituents import CrossSection
from topics.dead_letter import Refused
from topics.flows import Flow
from topics.macro import Release, Schedule
from topics.offering import Offering
from topics.times import parse_ts

AT = "2018-02-05T14:02:00Z"
RELEASE = f"{AT},CPI_CORE_MOM,2018-01,0.3,0.2\n"
SCHEDULE = f"{AT},FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,\n"
PORTFOLIO = f'{{"portfolio_id":"a","as_of":"{AT}","mv":1000000}}\n'


def singles(directory: Path) -> list[Single]:
    return [item for item in Recording(directory).items() if isinstance(item, Single)]


def name(document: dict[str, object]) -> str:
    """What a document is, by a field that only it has; a tick by its minute."""
    if "scheduled_ts" in document:
        return "schedule"
    marks = {"series_id": "release", "members": "section", "pricing_ts": "offering", "chain": "chain", "aum": "flow"}
    for mark, found in (marks | {"portfolio_id": "portfolio"}).items():
        if mark in document:
            return found
    return str(document["event_ts"])[14:16]


@pytest.mark.parametrize("block_size", [1, 2, 4096])
def test_at_equal_times_what_a_session_needs_comes_before_it_and_the_portfolio_after(
    tmp_path: Path, block_size: int
) -> None:
    directory = write(
        tmp_path,
        ticks=minute_ticks(4) + minute_ticks(1, start=3).split("\n", 1)[1],
        releases=RELEASES + RELEASE,
        schedules=SCHEDULES + SCHEDULE,
        flows=FLOWS,
        portfolios=PORTFOLIO,
    )
    assert [name(document) for document in documents(Recording(directory), block_size)] == [
        *("00", "01"),
        *("release", "schedule", "flow", "section", "offering", "chain"),
        "02",
        "portfolio",
        *("03", "03"),
    ]


def test_a_portfolio_waits_for_every_tick_of_its_time_however_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = f"{AT},VIX,17.5\n"
    directory = write(tmp_path, ticks="event_ts,symbol,last\n" + tick * 50 + f"{AT},VIX,x\n", portfolios=PORTFOLIO)
    for size in (1, 40, 5000):
        monkeypatch.setattr("processors.feeds.csv_ticks.CHUNK", size)
        found = documents(Recording(directory))
        assert len(found) == 52
        assert "portfolio_id" in found[-1]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_files_without_ticks_are_merged_all_the_same(tmp_path: Path, order: tuple[int, ...]) -> None:
    times = [f"2018-02-05T1{order.index(i)}:00:00Z" for i in range(3)]
    directory = write(
        tmp_path,
        releases=RELEASES + RELEASE.replace(AT, times[0]),
        schedules=SCHEDULES + SCHEDULE.replace(AT, times[1]),
        flows=FLOWS.splitlines()[0].replace(AT, times[2]),
    )
    expected = [("release", "schedule", "flow")[i] for i in order]
    assert [name(document) for document in documents(Recording(directory))] == expected


def test_schedules_and_flows_are_messages_of_their_topics(tmp_path: Path) -> None:
    schedule = "2018-02-14T21:00:00Z,FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,TRUE\n"
    found = singles(write(tmp_path, releases=RELEASES + RELEASE, schedules=SCHEDULES + schedule, flows=FLOWS))
    macro = [decode_macro(item.value) for item in found if item.topic == MACRO_RELEASES]
    assert [type(message) for message in macro] == [Release, Schedule]
    assert macro[1] == Schedule(
        series_id="FOMC_MINUTES",
        ref_period="2018-01-31",
        scheduled_ts=parse_ts("2018-02-21T19:00:00Z"),
        event_ts=parse_ts("2018-02-14T21:00:00Z"),
        cancelled=True,
    )
    flows = [item for item in found if item.topic == MARKET_FLOWS]
    assert [type(decode_flow(item.value)) for item in flows] == [Flow, CrossSection, Offering, ChainFigure]
    assert [decode_flow(item.value) for item in flows] == [decode_flow(line.encode()) for line in FLOWS.splitlines()]
    assert [item.key for item in found] == [b"US"] * 6


def test_a_schedule_comes_when_it_was_known_not_when_it_is_due(tmp_path: Path) -> None:
    schedule = f"2018-02-05T14:01:00Z,CPI_CORE_MOM,2018-01,{AT},\n"
    directory = write(tmp_path, releases=RELEASES + RELEASE, schedules=SCHEDULES + schedule)
    assert [name(document) for document in documents(Recording(directory))] == ["schedule", "release"]


def test_messages_go_to_the_market_that_they_name(tmp_path: Path) -> None:
    schedules = "event_ts,series_id,ref_period,scheduled_ts,market\n" + f"{AT},REER,2018-01,{AT},JP\nx,REER,,,EU\n"
    flows = (
        '{"symbol":"UVXY","event_ts":"2018-02-05T14:02:00Z","aum":1,"market":"JP"}\n'
        '{"symbol":"UVXY","market":"EU"}\n'
        '{"symbol":"UVXY","market":5}\n'
        "[1]\n"
        "no JSON\n"
    )
    found = singles(write(tmp_path, schedules=schedules, flows=flows))
    # The first word of each file has a time; what cannot be read stands right behind it.
    assert [(item.topic, item.key) for item in found] == [
        (MACRO_RELEASES, b"JP"),
        (MACRO_RELEASES, b"EU"),
        *((MARKET_FLOWS, key) for key in (b"JP", b"EU", b"US", b"US", b"US")),
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("yesterday,FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,", ["event_ts", "yesterday"]),
        ("2018-02-05T14:02:00,FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,", ["event_ts"]),
        (f"{AT},FOMC_MINUTES,2018-01-31,,", ["scheduled_ts"]),
        (f"{AT},FOMC_MINUTES,2018-01-31,NaN,", ["scheduled_ts"]),
        (f"{AT},FOMC_MINUTES,2018-01-31,soon,", ["scheduled_ts", "soon"]),
        (f"{AT},FOMC_MINUTES,January,2018-02-21T19:00:00Z,", ["ref_period", "January"]),
        (f"{AT},,2018-01-31,2018-02-21T19:00:00Z,", ["series_id"]),
        (f"{AT},FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,perhaps", ["cancelled", "perhaps"]),
        (f"{AT},FOMC_MINUTES", ["row"]),
        (f"{AT},FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,,,", ["row"]),
        (f'{AT},"FOMC_MINUTES,2018-01-31,2018-02-21T19:00:00Z,', ["row"]),
    ],
)
def test_a_broken_schedule_goes_on_as_its_own_text(tmp_path: Path, row: str, words: list[str]) -> None:
    later = SCHEDULE.replace(AT, "2018-02-05T14:03:00Z")
    found = singles(write(tmp_path, schedules=SCHEDULES + SCHEDULE + row + "\n" + later))
    assert [item.time for item in found] == [parse_ts(AT), parse_ts(AT), parse_ts("2018-02-05T14:03:00Z")]
    with pytest.raises(Refused) as refused:
        decode_macro(found[1].value)
    # As a schedule, not as a release that lacks everything a release has.
    assert "release_ts" not in refused.value.detail
    for word in words:
        assert word in refused.value.detail


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("no JSON", "no JSON"),
        ("[1, 2]", "list"),
        ("{}", "symbol"),
        (f'{{"symbol":"UVXY","event_ts":"{AT}","aum":-1}}', "aum"),
        (f'{{"symbol":"UVXY","event_ts":"{AT}","leverage":NaN}}', "leverage"),
        (f'{{"symbol":"UVXY","event_ts":"{AT}","aun":1}}', "aun"),
        (f'{{"offering_id":"x","kind":"spo","pricing_ts":"{AT}"}}', "kind"),
        (f'{{"chain":"ethereum","block_number":1,"block_ts":"{AT}","finalized":true}}', "at least one"),
        (
            f'{{"universe":"SPX","session_date":"2018-02-02","session_prev":"2018-02-02","event_ts":"{AT}",'
            '"members":[{"id":"A","ret":0,"mcap_prev":1},{"id":"B","ret":0,"mcap_prev":1}]}',
            "session_prev",
        ),
    ],
)
def test_a_broken_flow_goes_on_as_its_own_bytes(tmp_path: Path, line: str, word: str) -> None:
    flows = FLOWS.splitlines()
    text = "\n".join([flows[0], line, flows[2].replace(AT, "2018-02-05T14:03:00Z")])
    found = singles(write(tmp_path, flows=text))
    assert [item.time for item in found] == [parse_ts(AT), parse_ts(AT), parse_ts("2018-02-05T14:03:00Z")]
    assert found[1].value == line.encode()
    assert found[1].topic == MARKET_FLOWS
    with pytest.raises(Refused, match=word):
        decode_flow(found[1].value)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"schedules.csv": ""}, ["schedules.csv", "empty", "event_ts, series_id, ref_period, scheduled_ts"]),
        ({"schedules.csv": SCHEDULES}, ["schedules.csv", "no row"]),
        ({"schedules.csv": SCHEDULES.replace("cancelled", "off") + SCHEDULE}, ["'off'", "unknown", "cancelled"]),
        ({"schedules.csv": SCHEDULES.replace("cancelled", "actual") + SCHEDULE}, ["'actual'", "unknown"]),
        ({"schedules.csv": SCHEDULES.replace("cancelled", "event_ts") + SCHEDULE}, ["'event_ts'", "twice"]),
        ({"schedules.csv": "event_ts,series_id,ref_period\nx,y,z\n"}, ["'scheduled_ts'", "missing"]),
        ({"schedules.csv": RELEASES + RELEASE}, ["schedules.csv", "'release_ts'", "unknown"]),
        ({"releases.csv": SCHEDULES + SCHEDULE}, ["releases.csv", "'event_ts'", "unknown"]),
        ({"flows.jsonl": ""}, ["flows.jsonl", "empty", "market.flows"]),
        ({"flows.jsonl": "\n \n"}, ["flows.jsonl", "empty"]),
    ],
)
def test_what_cannot_be_read_at_all_says_why(tmp_path: Path, files: dict[str, str], words: list[str]) -> None:
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(UserError) as caught:
        Recording(tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_the_identity_covers_the_new_files_and_is_the_old_one_without_them(tmp_path: Path) -> None:
    old = {"ticks": minute_ticks(5), "releases": RELEASES + RELEASE, "portfolios": PORTFOLIO}
    new = {"schedules": SCHEDULES + SCHEDULE, "flows": FLOWS}
    plain = Recording(write(tmp_path / "plain", **old)).identity()
    # The digest of this very recording before schedules and flows were known.
    assert plain == "sha256:72d17af88c12f8fff48cc89acfe3b54f2b23528b80f87327823f691feb0e9896"
    seen = {plain}
    for key, text in new.items():
        seen.add(Recording(write(tmp_path / key, **old, **{key: text})).identity())
    seen.add(Recording(write(tmp_path / "all", **old, **new)).identity())
    changed = new | {"flows": FLOWS.replace("UVXY", "SVXY")}
    seen.add(Recording(write(tmp_path / "changed", **old, **changed)).identity())
    assert len(seen) == 5


_MINUTES = st.lists(st.integers(0, 9), max_size=6)


@given(ticks=_MINUTES, releases=_MINUTES, schedules=_MINUTES, flows=_MINUTES, portfolios=_MINUTES)
@settings(max_examples=60, deadline=None)
def test_the_merge_is_a_stable_sort_by_running_maximum_and_kind(
    tmp_path_factory: pytest.TempPathFactory,
    ticks: list[int],
    releases: list[int],
    schedules: list[int],
    flows: list[int],
    portfolios: list[int],
) -> None:
    def at(minute: int) -> str:
        return f"2018-02-05T14:0{minute}:00Z"

    written = {
        "releases": [f"{at(m)},PPI,2018-01,{i}," for i, m in enumerate(releases)],
        "schedules": [f"{at(m)},PPI,2018-01,{at(i)}," for i, m in enumerate(schedules)],
        "flows": [f'{{"symbol":"UVXY","event_ts":"{at(m)}","aum":{i}}}' for i, m in enumerate(flows)],
        "ticks": [f"{at(m)},VIX,{20 + i}" for i, m in enumerate(ticks)],
        "portfolios": [f'{{"portfolio_id":"p","as_of":"{at(m)}","mv":{i + 1}}}' for i, m in enumerate(portfolios)],
    }
    headers = {"releases": RELEASES, "schedules": SCHEDULES, "ticks": "event_ts,symbol,last\n"}
    texts = {file: headers.get(file, "") + "\n".join(lines) for file, lines in written.items() if lines}
    if not texts:
        return
    directory = write(tmp_path_factory.mktemp("merge"), **texts)
    minutes = {"releases": releases, "schedules": schedules, "flows": flows, "ticks": ticks, "portfolios": portfolios}
    places = [
        (max(found[: i + 1]), rank, i)
        for rank, found in enumerate(minutes[file] for file in written)
        for i in range(len(found))
    ]
    numbers = {"release": "actual", "flow": "aum", "portfolio": "mv"}

    def place(document: dict[str, object]) -> tuple[str, int]:
        kind = name(document)
        if kind == "schedule":
            return "schedules", int(str(document["scheduled_ts"])[15])
        if kind in numbers:
            return f"{kind}s", int(float(str(document[numbers[kind]]))) - (kind == "portfolio")
        return "ticks", int(float(str(document["last"]))) - 20

    found = [place(document) for document in documents(Recording(directory), 2)]
    assert found == [(list(written)[rank], i) for _, rank, i in sorted(places)]
    assert json.dumps(found) == json.dumps([place(document) for document in documents(Recording(directory))])
