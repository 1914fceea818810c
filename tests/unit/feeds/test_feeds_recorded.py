"""Reading a recorded directory: what is taken, what is refused, and in which order it comes."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from feeds_support import RELEASES, documents, minute_ticks, write
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.errors import UserError
from processors.feeds.csv_ticks import CsvTicks
from processors.feeds.items import Single
from processors.feeds.recorded import Recording
from processors.feeds.tick_rows import BrokenRow
from topics.codec import decode
from topics.dead_letter import Refused
from topics.market import Tick
from topics.ticks import TickColumns

CLEAN = (
    "event_ts,symbol,last,settle,open_interest,official,source,seq\n"
    "2018-02-05T21:00:00Z,SPX,2648.94,,,true,cboe,7\n"
    "2018-02-05T22:15:00+01:00,VIX,37.32,NaN,,1,cboe,\n"
    "2018-02-05 21:15:00.250Z,VX/2018-02-14,,33.225,120,false,,\n"
)


def test_clean_rows_keep_every_value(tmp_path: Path) -> None:
    rows = documents(Recording(write(tmp_path, ticks=CLEAN)))
    assert rows[0] == {
        "schema_version": 1,
        "market": "US",
        "symbol": "SPX",
        "event_ts": "2018-02-05T21:00:00Z",
        "source": "cboe",
        "official": True,
        "seq": 7,
        "last": "2648.94",
    }
    assert rows[1]["event_ts"] == "2018-02-05T21:15:00Z"
    assert rows[1]["official"] is True
    assert "settle" not in rows[1]
    assert rows[2]["event_ts"] == "2018-02-05T21:15:00.25Z"
    assert rows[2]["source"] == "unspecified"
    assert rows[2]["settle"] == "33.225"
    assert rows[2]["open_interest"] == "120"
    assert all(Tick.model_validate_json(json.dumps(row)).document() == row for row in rows)


def test_gzip_and_parquet_say_the_same_as_csv(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", ticks=CLEAN)
    zipped = write(tmp_path / "zipped", portfolios='{"no": "portfolio"}\n')
    (zipped / "portfolios.jsonl").unlink()
    (zipped / "ticks.csv.gz").write_bytes(gzip.compress(CLEAN.encode()))
    parquet = tmp_path / "parquet"
    parquet.mkdir()
    frame = pd.read_csv(plain / "ticks.csv")
    frame["event_ts"] = pd.to_datetime(frame["event_ts"], utc=True, format="ISO8601")
    frame["official"] = frame["official"].astype(str).str.lower().isin(["true", "1"])
    frame["seq"] = frame["seq"].astype("Int64")
    frame.to_parquet(parquet / "ticks.parquet")
    expected = documents(Recording(plain))
    assert documents(Recording(zipped)) == expected
    assert documents(Recording(parquet)) == expected


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("2018-02-05T21:00:00Z,VIX,abc,,,,,", "last"),
        ("2018-02-05T21:00:00Z,VIX,inf,,,,,", "last"),
        ("2018-02-05T21:00:00Z,VIX,-nan,,,,,", "last"),
        ("2018-02-05T21:00:00,VIX,20,,,,,", "event_ts"),
        ("5 Feb 2018,VIX,20,,,,,", "event_ts"),
        (",VIX,20,,,,,", "event_ts"),
        ("1889-02-05T21:00:00Z,VIX,20,,,,,", "event_ts"),
        ("2018-02-05T21:00:00Z,,20,,,,,", "symbol"),
        ("2018-02-05T21:00:00Z,VIX,20,,,maybe,,", "official"),
        ("2018-02-05T21:00:00Z,VIX,20,,,,,-4", "seq"),
        ("2018-02-05T21:00:00Z,VIX,20,,,,,0x1f", "seq"),
        ("2018-02-05T21:00:00Z,VIX,20,,,,!bad,", "source"),
        ("2018-02-05T21:00:00Z,VIX,20", "row"),
        ("2018-02-05T21:00:00Z,VIX,20,,,,,,,", "row"),
        ('2018-02-05T21:00:00Z,"VIX,20,,,,,', "row"),
    ],
)
def test_a_broken_row_goes_on_as_its_own_text(tmp_path: Path, row: str, word: str) -> None:
    before = "2018-02-05T20:00:00Z,VIX,17.31,,,,,\n"
    after = "2018-02-05T21:15:00Z,VIX,37.32,,,true,,\n"
    recording = Recording(write(tmp_path, ticks=CLEAN.split("\n")[0] + "\n" + before + row + "\n" + after))
    items = list(recording.items())
    assert [type(item) for item in items] == [TickColumns, Single, TickColumns]
    single = items[1]
    assert isinstance(single, Single)
    assert single.topic == "market.ticks"
    with pytest.raises(Refused, match=word):
        decode(Tick, single.value)


def test_rows_around_a_broken_one_are_all_there(tmp_path: Path) -> None:
    lines = minute_ticks(300).splitlines()
    lines[137] = "2018-02-05T16:16:00Z,VIX,thirty-seven"
    rows = documents(Recording(write(tmp_path, ticks="\n".join(lines))))
    assert len(rows) == 300
    assert rows[136]["last"] == "thirty-seven"
    assert rows[135]["event_ts"] == "2018-02-05T16:15:00Z"
    assert rows[137]["event_ts"] == "2018-02-05T16:17:00Z"


def test_broken_parquet_rows_go_on_one_by_one(tmp_path: Path) -> None:
    times = [datetime(2018, 2, 5, 21, tzinfo=UTC), None, datetime(1889, 1, 1, tzinfo=UTC)]
    frame = pd.DataFrame({"event_ts": times, "symbol": ["VIX", "VIX", "VIX"], "last": [37.32, 20.0, 21.0]})
    frame["event_ts"] = frame["event_ts"].astype("datetime64[us, UTC]")
    frame.to_parquet(tmp_path / "ticks.parquet")
    items = list(Recording(tmp_path).items())
    assert [type(item) for item in items] == [TickColumns, Single, Single]
    for item in items[1:]:
        assert isinstance(item, Single)
        with pytest.raises(Refused, match="event_ts"):
            decode(Tick, item.value)


def test_text_in_a_parquet_number_column_names_the_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"event_ts": pd.to_datetime(["2018-02-05T21:00:00Z"]), "symbol": ["VIX"], "last": ["x"]})
    frame.to_parquet(tmp_path / "ticks.parquet")
    with pytest.raises(UserError, match=r"ticks\.parquet: column 'last' is of type .*must be a number"):
        Recording(tmp_path)
    frame = pd.DataFrame({"event_ts": pd.to_datetime(["2018-02-05T21:00:00"]), "symbol": ["VIX"], "last": [1.0]})
    frame.to_parquet(tmp_path / "ticks.parquet")
    with pytest.raises(UserError, match=r"'event_ts'.*with a time zone"):
        Recording(tmp_path)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["no recorded file", "ticks.csv", "releases.csv", "schedules.csv", "flows.jsonl", "portfolios.jsonl"]),
        ({"ticks.csv": ""}, ["ticks.csv", "empty", "event_ts"]),
        ({"ticks.csv": "event_ts,symbol\n\n"}, ["ticks.csv", "no row"]),
        ({"ticks.csv": "event_ts,symbol,price\nx,y,1\n"}, ["'price'", "unknown", "last"]),
        ({"ticks.csv": "event_ts,last\nx,1\n"}, ["'symbol'", "missing"]),
        ({"ticks.csv": "event_ts,symbol,last,last\nx,y,1,1\n"}, ["'last'", "twice"]),
        ({"ticks.csv": "event_ts,symbol\nx,y\n", "ticks.csv.gz": "z"}, ["ticks.csv and ticks.csv.gz", "keep one"]),
        ({"ticks.csv.gz": "no gzip"}, ["ticks.csv.gz", "cannot be read"]),
        ({"ticks.parquet": "no parquet"}, ["ticks.parquet", "no readable Parquet"]),
        ({"releases.csv": RELEASES}, ["releases.csv", "no row"]),
        ({"releases.csv": "release_ts,series_id,actual\nx,y,1\n"}, ["releases.csv", "'ref_period'", "missing"]),
        ({"releases.csv": "release_ts,series_id,ref_period,actual,surprise\n1,2,3,4,5\n"}, ["'surprise'", "consensus"]),
        ({"portfolios.jsonl": "\n"}, ["portfolios.jsonl", "empty"]),
    ],
)
def test_what_cannot_be_read_at_all_says_why(tmp_path: Path, files: dict[str, str], words: list[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        Recording(tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Recording(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is no directory"):
        Recording(tmp_path / "file")


def test_a_gzip_file_that_breaks_off(tmp_path: Path) -> None:
    packed = gzip.compress(minute_ticks(500).encode())
    (tmp_path / "ticks.csv.gz").write_bytes(packed[:-20])
    with pytest.raises(UserError, match=r"ticks\.csv\.gz: cannot be read to its end"):
        list(Recording(tmp_path).items())


def test_windows_line_ends_a_byte_order_mark_and_blank_lines_are_fine(tmp_path: Path) -> None:
    expected = documents(Recording(write(tmp_path / "plain", ticks=CLEAN)))
    (tmp_path / "other").mkdir()
    text = CLEAN.replace("\n", "\r\n").replace("SPX", '"SPX"') + "\r\n\r\n"
    (tmp_path / "other" / "ticks.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert documents(Recording(tmp_path / "other")) == expected


def test_text_that_is_no_utf8_is_one_broken_row(tmp_path: Path) -> None:
    text = b"event_ts,symbol,last,source\n2018-02-05T21:00:00Z,VIX,20,caf\xe9\n2018-02-05T21:01:00Z,VIX,20,x\n"
    (tmp_path / "ticks.csv").write_bytes(text)
    items = list(Recording(tmp_path).items())
    assert [type(item) for item in items] == [Single, TickColumns]
    (tmp_path / "ticks.csv").write_bytes(b"\xff\xfe" + text)
    with pytest.raises(UserError, match="UTF-8"):
        Recording(tmp_path)


def test_rows_are_the_same_however_the_file_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = minute_ticks(400).splitlines()
    lines[99] = "2018-02-05T15:38:00Z,VIX,x"
    directory = write(tmp_path, ticks="\n".join(lines))
    expected = documents(Recording(directory))
    for size in (1, 7, 100, 5000):
        monkeypatch.setattr("processors.feeds.csv_ticks.CHUNK", size)
        assert documents(Recording(directory)) == expected


def test_a_file_that_is_one_endless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.feeds.csv_ticks.LONGEST_LINE", 1000)
    monkeypatch.setattr("processors.feeds.csv_ticks.CHUNK", 512)
    recording = Recording(write(tmp_path, ticks="event_ts,symbol,last\n" + "x" * 5000))
    with pytest.raises(UserError, match="longer than 1000 bytes"):
        list(recording.items())


def test_releases_and_portfolios_come_in_their_places(tmp_path: Path) -> None:
    releases = RELEASES + (
        "2018-02-05T14:02:00Z,CPI_CORE_MOM,2018-01,0.3,0.2\n"
        "2018-02-05T14:05:00Z,FOMC_MINUTES,2018-01-31,,\n"
        "not a time,CPI_CORE_MOM,2018-01,0.3,0.2\n"
    )
    portfolios = (
        '{"portfolio_id":"a","as_of":"2018-02-05T14:02:00Z","mv":1000000}\n'
        "this is no JSON\n"
        '{"portfolio_id":"b","as_of":"2018-02-05T18:00:00Z","mv":1000000}\n'
    )
    directory = write(tmp_path, ticks=minute_ticks(10), releases=releases, portfolios=portfolios)
    for block_size in (1, 3, 4096):
        found = documents(Recording(directory), block_size)
        names = [d.get("symbol") or d.get("series_id") or d.get("portfolio_id") or d.get("raw") for d in found]
        vix = ["VIX"]
        assert names == [
            *vix * 2,
            "CPI_CORE_MOM",
            "VIX",
            "a",
            "this is no JSON",
            *vix * 2,
            "FOMC_MINUTES",
            "CPI_CORE_MOM",
            *vix * 5,
            "b",
        ]
        assert found[2]["actual"] == "0.3"
        assert "actual" not in found[8]


def test_unsorted_rows_stay_in_their_order_and_the_merge_takes_the_running_maximum(tmp_path: Path) -> None:
    ticks = (
        "event_ts,symbol,last\n2018-02-05T15:00:00Z,VIX,20\n2018-02-05T14:00:00Z,VIX,19\n2018-02-05T16:00:00Z,VIX,21\n"
    )
    releases = RELEASES + "2018-02-05T14:30:00Z,CPI_CORE_MOM,2018-01,0.3,0.2\n2018-02-05T15:30:00Z,PPI,2018-01,1,1\n"
    found = documents(Recording(write(tmp_path, ticks=ticks, releases=releases)))
    assert [d.get("last", d.get("series_id")) for d in found] == ["CPI_CORE_MOM", "20", "19", "PPI", "21"]


def test_rows_that_will_be_refused_do_not_move_time(tmp_path: Path) -> None:
    ticks = "event_ts,symbol,last\n2018-03-05T15:00:00Z,NOSUCH,20\n2018-02-05T15:00:00Z,VIX,20\n"
    releases = RELEASES + "2018-02-10T14:30:00Z,CPI_CORE_MOM,2018-01,0.3,0.2\n"
    found = documents(Recording(write(tmp_path, ticks=ticks, releases=releases)))
    assert [d.get("symbol", d.get("series_id")) for d in found] == ["NOSUCH", "VIX", "CPI_CORE_MOM"]


def test_columns_are_of_one_market_and_name_only_what_they_use(tmp_path: Path) -> None:
    ticks = (
        "event_ts,symbol,last,market\n"
        "2018-02-05T15:00:00Z,VIX,20,US\n2018-02-05T15:00:01Z,SPX,2700,US\n2018-02-05T15:00:02Z,VIX,20,EU\n"
    )
    items = [item for item in Recording(write(tmp_path, ticks=ticks)).items() if isinstance(item, TickColumns)]
    assert [(item.market, item.symbols) for item in items] == [("US", ("VIX", "SPX")), ("EU", ("VIX",))]


@pytest.mark.parametrize("block_size", [0, 65_537])
def test_a_block_size_that_is_not_possible(tmp_path: Path, block_size: int) -> None:
    with pytest.raises(UserError, match="1 to 65536"):
        Recording(write(tmp_path, ticks=CLEAN)).items(block_size)


def test_identity_is_of_the_content(tmp_path: Path) -> None:
    first = Recording(write(tmp_path / "a", ticks=minute_ticks(20)))
    same = Recording(write(tmp_path / "b", ticks=minute_ticks(20)))
    other = Recording(write(tmp_path / "c", ticks=minute_ticks(21)))
    assert first.identity() == same.identity() != other.identity()


_CELLS = {
    "event_ts": st.sampled_from(["2018-02-05T21:00:00Z", "2018-02-05T21:00:00.5+02:00", "2018-02-05", "", "x"]),
    "symbol": st.sampled_from(["VIX", "SPX", "", "NOSUCH"]),
    "last": st.sampled_from(["20", " 20.5", "1e2", "", "NaN", "nan", "inf", "x", "1_0", "+3", "-0"]),
    "official": st.sampled_from(["true", "FALSE", "0", "1", "", "yes"]),
    "seq": st.sampled_from(["", "0", "17", "-1", "1.5", "007"]),
    "source": st.sampled_from(["", "cboe", "b@d"]),
}


@given(st.lists(st.fixed_dictionaries(_CELLS), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_both_readers_of_a_csv_file_accept_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    directory = tmp_path_factory.mktemp("both")
    header = ",".join(_CELLS) + "\n"
    data = "".join(",".join(row[name] for name in _CELLS) + "\n" for row in rows)
    (directory / "ticks.csv").write_text(header + data)
    reader = CsvTicks(directory / "ticks.csv")
    alone = list(reader._one_by_one(data.encode()))
    whole = reader._whole(data.encode())
    if whole is None:
        return
    assert len(alone) == 1
    other = alone[0]
    assert not isinstance(other, BrokenRow)
    assert whole.event_ts.tolist() == other.event_ts.tolist()
    assert [whole.symbols[i] for i in whole.symbol] == [other.symbols[i] for i in other.symbol]
    assert [whole.sources[i] for i in whole.source] == [other.sources[i] for i in other.source]
    assert whole.seq.tolist() == other.seq.tolist()
    assert whole.official.tolist() == other.official.tolist()
    assert str(whole.values["last"].tolist()) == str(other.values["last"].tolist())
