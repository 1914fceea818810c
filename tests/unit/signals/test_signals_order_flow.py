import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals_support import generated, recorded, through_json

from processors.signals.order_flow import OrderFlow, OrderFlowValue, Top

SECOND = 10**9
MINUTE = 60 * SECOND
NAN = math.nan

Quote = tuple[int, float, float, float, float]
"""Time, bid, bid size, ask, ask size."""


def columns(quotes: list[Quote]) -> list[np.ndarray]:
    ts = np.array([quote[0] for quote in quotes], dtype=np.int64)
    return [ts, *(np.array([quote[i] for quote in quotes], dtype=float) for i in range(1, 5))]


def fed(flow: OrderFlow, quotes: list[Quote], trades: list[int] | None = None) -> OrderFlow:
    flow.add(*columns(quotes), None if trades is None else np.array(trades, dtype=np.int64))
    return flow


def made_quotes(n: int, seed: int, step_ns: int = 2 * SECOND) -> list[Quote]:
    """A book that moves by ticks, with sizes that are no whole numbers, one-sided updates and repeated times."""
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.integers(0, step_ns, n) * (rng.random(n) < 0.8)) + 7 * MINUTE
    mid = 18 + 0.05 * np.cumsum(rng.integers(-1, 2, n))
    table = np.column_stack([mid - 0.05, rng.gamma(2, 7, n), mid + 0.05, rng.gamma(2, 7, n)])
    one_sided = rng.random(n)
    table[one_sided < 0.2, :2] = NAN
    table[one_sided > 0.8, 2:] = NAN
    return [(int(t), *row) for t, row in zip(ts, table.tolist(), strict=True)]


def made_trades(quotes: list[Quote], n: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(quotes[0][0], quotes[-1][0] + 1, n)).tolist()


def row_by_row(quotes: list[Quote], trades: list[int], bucket_ns: int) -> dict[int, OrderFlowValue]:
    """The definition in one plain loop: by bucket, what it holds; buckets without a comparison are absent."""
    ofi: dict[int, float] = {}
    depth: dict[int, float] = {}
    counted: dict[int, int] = {}
    book: list[float | None] = [None] * 4
    for ts, *shown in quotes:
        if all(math.isnan(x) for x in shown):
            continue
        before = list(book)
        book = [old if math.isnan(new) else new for old, new in zip(book, shown, strict=True)]
        if None in book:
            continue
        k = ts // bucket_ns
        counted[k] = counted.get(k, 0) + 1
        depth[k] = depth.get(k, 0.0) + (book[1] + book[3])
        if None in before:
            continue
        bought = (book[1] if book[0] >= before[0] else 0.0) - (before[1] if book[0] <= before[0] else 0.0)
        sold = (book[3] if book[2] <= before[2] else 0.0) - (before[3] if book[2] >= before[2] else 0.0)
        ofi[k] = ofi.get(k, 0.0) + (bought - sold)
    found = {}
    for k in ofi:
        traded = sum(k * bucket_ns <= ts < (k + 1) * bucket_ns for ts in trades)
        ratio = counted[k] / traded if traded else None
        found[k] = OrderFlowValue(ofi[k], counted[k], traded, ratio, depth[k] / counted[k])
    return found


def by_bucket(quotes: list[Quote], trades: list[int], bucket_ns: int) -> dict[int, OrderFlowValue]:
    """What an `OrderFlow` says at the end of each bucket, fed bucket by bucket."""
    flow, found = OrderFlow(bucket_ns), {}
    ends = [ts // bucket_ns for ts in [quotes[0][0], quotes[-1][0], *trades]]
    for k in range(min(ends), max(ends) + 1):
        fed(
            flow,
            [quote for quote in quotes if quote[0] // bucket_ns == k],
            [ts for ts in trades if ts // bucket_ns == k],
        )
        value = flow.close((k + 1) * bucket_ns)
        assert flow.close((k + 2) * bucket_ns - 1) == value
        assert flow.close((k + 2) * bucket_ns) is None
        if value is not None:
            found[k] = value
    return found


def in_blocks(quotes: list[Quote], trades: list[int], ends: list[int]) -> OrderFlow:
    """Fed in the order of time, quotes before trades of one moment, cut into blocks after the rows in `ends`."""
    rows = sorted([(quote[0], 0, i) for i, quote in enumerate(quotes)] + [(ts, 1, i) for i, ts in enumerate(trades)])
    flow = OrderFlow()
    for first, end in zip([0, *ends], [*ends, len(rows)], strict=True):
        block = rows[first:end]
        flow = OrderFlow.restore(through_json(flow.snapshot()))
        fed(flow, [quotes[i] for _, kind, i in block if kind == 0], [ts for ts, kind, _ in block if kind == 1])
    return flow


def test_the_worked_example() -> None:
    flow = OrderFlow()
    quotes: list[Quote] = [
        (0, 10.0, 5.0, 11.0, 4.0),  # opens the book
        (1, 10.0, 8.0, 11.0, 4.0),  # bid equal: +8 - 5; ask equal: -4 + 4      -> +3
        (2, 10.5, 2.0, 11.0, 4.0),  # bid up: +2; ask equal: 0                  -> +2
        (3, 10.0, 8.0, 10.5, 1.0),  # bid down: -2; ask down: -1                -> -3
        (4, 10.0, 8.0, 11.0, 6.0),  # bid equal: 0; ask up: +1                  -> +1
    ]
    fed(flow, quotes, [2, 3])
    # 3 + 2 - 3 + 1 = 3; depths 9, 12, 6, 9, 14; five quotes on two trades.
    assert flow.close(MINUTE) == OrderFlowValue(3.0, 5, 2, 2.5, 10.0)
    assert flow.top == Top(4, 10.0, 8.0, 11.0, 6.0)


def test_a_side_that_an_update_does_not_show_stays_as_it_was() -> None:
    flow = OrderFlow()
    fed(flow, [(0, 10.0, 5.0, NAN, NAN), (1, 10.0, 6.0, NAN, NAN)])
    assert flow.top is None
    assert flow.close(MINUTE) is None
    # Now both sides are known; then only the ask, then only the size of the bid.
    fed(flow, [(2, NAN, NAN, 11.0, 4.0), (3, NAN, NAN, 11.0, 7.0), (4, NAN, 9.0, NAN, NAN)])
    # -7 + 4 = -3, then +9 - 6 = 3; depths 10, 13, 16.
    assert flow.close(MINUTE) == OrderFlowValue(0.0, 3, 0, None, 13.0)
    assert flow.top == Top(4, 10.0, 9.0, 11.0, 7.0)


def test_a_quote_is_compared_with_the_one_before_it_across_buckets() -> None:
    flow = OrderFlow()
    fed(flow, [(0, 10.0, 5.0, 11.0, 4.0), (MINUTE, 10.0, 8.0, 11.0, 4.0)])
    assert flow.close(MINUTE) is None  # the opening quote alone says nothing
    assert flow.close(2 * MINUTE) == OrderFlowValue(3.0, 1, 0, None, 12.0)


def test_a_bucket_holds_its_start_and_not_its_end() -> None:
    flow = OrderFlow()
    fed(flow, [(0, 10.0, 5.0, 11.0, 4.0), (MINUTE - 1, 10.0, 6.0, 11.0, 4.0), (MINUTE, 10.0, 8.0, 11.0, 4.0)])
    assert flow.close(MINUTE).ofi == 1.0
    assert flow.close(2 * MINUTE).ofi == 2.0


def test_only_the_newest_finished_bucket_is_given() -> None:
    flow = OrderFlow()
    assert flow.close(MINUTE) is None
    fed(flow, [(0, 10.0, 5.0, 11.0, 4.0), (1, 10.0, 6.0, 11.0, 4.0)])
    assert flow.close(MINUTE - 1) is None
    value = flow.close(MINUTE)
    assert value is not None
    # A running bucket changes nothing about the one before it.
    fed(flow, [(MINUTE + 1, 10.0, 9.0, 11.0, 4.0)])
    assert flow.close(MINUTE + 1) == flow.close(2 * MINUTE - 1) == value
    assert flow.close(2 * MINUTE).ofi == 3.0
    assert flow.close(3 * MINUTE) is None


def test_a_bucket_with_trades_alone_has_no_value() -> None:
    flow = OrderFlow()
    fed(flow, [(0, 10.0, 5.0, 11.0, 4.0), (1, 10.0, 6.0, 11.0, 4.0)], [MINUTE])
    assert flow.close(2 * MINUTE) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bucket_ns", [MINUTE, 7 * SECOND])
def test_every_bucket_equals_the_row_by_row_definition_to_the_bit(seed: int, bucket_ns: int) -> None:
    quotes = made_quotes(700, seed)
    trades = made_trades(quotes, 60, seed)
    expected = row_by_row(quotes, trades, bucket_ns)
    assert len(expected) > 5
    assert by_bucket(quotes, trades, bucket_ns) == expected


@pytest.mark.parametrize("seed", range(3))
def test_the_bits_do_not_depend_on_the_blocks(seed: int) -> None:
    quotes = made_quotes(3000, seed, step_ns=SECOND // 4)
    trades = made_trades(quotes, 300, seed)
    n = len(quotes) + len(trades)
    whole = in_blocks(quotes, trades, []).snapshot()
    assert whole["last"] is not None
    ragged = np.sort(np.random.default_rng(seed).integers(0, n, 40)).tolist()
    for ends in (list(range(1, n)), list(range(7, n, 7)), list(range(1000, n, 1000)), ragged):
        assert in_blocks(quotes, trades, ends).snapshot() == whole


@generated
@given(data=st.data())
def test_any_book_in_any_blocks_equals_the_row_by_row_definition(data: st.DataObject) -> None:
    price = st.sampled_from([NAN, 9.95, 10.0, 10.05])
    size = st.one_of(st.just(NAN), st.floats(0, 1e6))
    rows = data.draw(st.lists(st.tuples(st.integers(0, 40), price, size, price, size), min_size=1, max_size=30))
    times = np.cumsum([row[0] for row in rows]).tolist()
    quotes: list[Quote] = [(t * SECOND, *row[1:]) for t, row in zip(times, rows, strict=True)]
    trades = sorted(data.draw(st.lists(st.integers(0, quotes[-1][0]), max_size=8)))
    ends = sorted(data.draw(st.lists(st.integers(0, len(quotes) + len(trades)), max_size=5)))
    flow = in_blocks(quotes, trades, ends)
    assert flow.snapshot() == in_blocks(quotes, trades, []).snapshot()
    after = (quotes[-1][0] // MINUTE + 1) * MINUTE
    assert flow.close(after) == row_by_row(quotes, trades, MINUTE).get(after // MINUTE - 1)


def test_what_comes_later_changes_nothing_before_it() -> None:
    quotes = made_quotes(500, seed=8)
    trades = made_trades(quotes, 40, seed=8)
    cut = quotes[300][0] // MINUTE * MINUTE
    early = [quote for quote in quotes if quote[0] < cut]
    later: list[Quote] = [(ts, bid, 2 * bid_size, ask, 5.0) for ts, bid, bid_size, ask, _ in quotes if ts >= cut]
    before = {k: v for k, v in by_bucket(quotes, trades, MINUTE).items() if k < cut // MINUTE}
    assert {k: v for k, v in by_bucket(early + later, trades, MINUTE).items() if k < cut // MINUTE} == before
    assert len(before) > 2


def test_a_million_rows_add_up_exactly() -> None:
    # Whole sizes: every partial sum is exact, so the telescoped and the streamed sum must agree to the bit.
    n = 1_000_000
    rng = np.random.default_rng(9)
    ts = np.arange(n, dtype=np.int64)
    bid_size, ask_size = rng.integers(1, 500, n).astype(float), rng.integers(1, 500, n).astype(float)
    flow = OrderFlow()
    for block in np.array_split(np.arange(n), 37):
        prices = np.full(len(block), 10.0)
        flow.add(ts[block], prices, bid_size[block], prices + 1, ask_size[block])
    value = flow.close(MINUTE)
    # With prices that stand still the contributions telescope.
    assert value.ofi == (bid_size[-1] - bid_size[0]) - (ask_size[-1] - ask_size[0])
    assert value.depth == float((bid_size + ask_size).astype(int).sum()) / n
    assert value.quotes == n


def test_memory_does_not_grow_with_the_rows() -> None:
    flow = fed(OrderFlow(), made_quotes(5000, seed=1))
    assert flow.snapshot().keys() == OrderFlow().snapshot().keys()
    assert len(str(flow.snapshot())) < 600


def recorded_futures_quotes() -> list[Quote]:
    """Every update of the E-mini front contract. The record has no sizes: they are drawn."""
    frame = recorded("options/es_option_ticks_20240404.csv.gz")
    frame = frame[frame["symbol"] == "ESM4"]
    ts = pd.to_datetime(frame["ts_recv"], utc=True, format="ISO8601").dt.as_unit("ns").astype("int64").tolist()
    sizes = np.random.default_rng(4).gamma(2, 10, (len(ts), 2)).tolist()
    return [
        (t, bid, bid_size, ask, ask_size)
        for t, bid, ask, (bid_size, ask_size) in zip(ts, frame["bid_px"], frame["ask_px"], sizes, strict=True)
    ]


def recorded_fund_quotes() -> list[Quote]:
    """The last quote of each minute of six days of SPY, with its sizes."""
    frame = recorded("intraday/spy_1min_quote_201310.csv")
    start = pd.to_datetime(frame["time_et"]).dt.tz_localize("America/New_York").dt.as_unit("ns").astype("int64")
    names = ["bid_close", "bid_size", "ask_close", "ask_size"]
    last = (start + MINUTE - 1).tolist()
    return [(t, *row) for t, row in zip(last, frame[names].to_numpy(float).tolist(), strict=True)]


@pytest.mark.data
@pytest.mark.parametrize(
    ("quotes_of", "bucket_ns", "buckets"),
    [
        (recorded_futures_quotes, SECOND, 80),
        (recorded_futures_quotes, MINUTE, 2),
        (recorded_fund_quotes, 5 * MINUTE, 900),
    ],
)
def test_it_equals_pandas_on_recorded_quotes(
    quotes_of: Callable[[], list[Quote]], bucket_ns: int, buckets: int
) -> None:
    quotes = quotes_of()
    frame = pd.DataFrame(quotes, columns=["ts", "b", "qb", "a", "qa"])
    then = frame.shift(1)
    frame["e"] = (
        (frame.b >= then.b) * frame.qb
        - (frame.b <= then.b) * then.qb.fillna(0)
        - (frame.a <= then.a) * frame.qa
        + (frame.a >= then.a) * then.qa.fillna(0)
    )
    frame["depth"] = frame.qb + frame.qa
    grouped = frame.groupby(frame.ts // bucket_ns).agg(ofi=("e", "sum"), quotes=("e", "size"), depth=("depth", "mean"))
    ours = pd.DataFrame.from_dict(by_bucket(quotes, [], bucket_ns), orient="index", columns=OrderFlowValue._fields)
    assert len(ours) >= buckets
    theirs = grouped.loc[ours.index]
    assert (ours["quotes"] == theirs["quotes"]).all()
    scale = frame.groupby(frame.ts // bucket_ns)["depth"].sum().loc[ours.index]
    assert float(((ours["ofi"] - theirs["ofi"]).abs() / scale).max()) < 1e-9
    assert float((ours["depth"] / theirs["depth"] - 1).abs().max()) < 1e-9


@pytest.mark.data
def test_the_bits_do_not_depend_on_the_blocks_of_recorded_quotes() -> None:
    quotes = recorded_futures_quotes()
    whole = in_blocks(quotes, [], []).snapshot()
    for size in (1, 7, 1000):
        assert in_blocks(quotes, [], list(range(size, len(quotes), size))).snapshot() == whole


def changed(position: int, column: int, value: Any) -> list[Any]:
    """Three sound quotes with one figure changed, as columns."""
    made = columns([(5, 10.0, 5.0, 11.0, 4.0), (6, 10.0, 5.0, 11.0, 4.0), (7, 10.0, 5.0, 11.0, 4.0)])
    made[column][position] = value
    return made


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (changed(1, 1, math.inf), "bid must hold finite numbers"),
        (changed(1, 2, -math.inf), "bid_size must hold finite numbers"),
        (changed(1, 3, math.inf), "ask must hold finite numbers"),
        (changed(1, 4, math.inf), "ask_size must hold finite numbers"),
        (changed(2, 2, -1.0), r"bid_size must be at least 0, got -1\.0"),
        (changed(2, 4, -1.0), r"ask_size must be at least 0, got -1\.0"),
        (changed(1, 0, 4), "ts must never fall: 4 ns comes after 5 ns"),
        (changed(0, 0, 2), "ts must never fall: 2 ns comes after 3 ns"),
        ([*changed(0, 0, 5), np.array([9, 8])], "trade_ts must never fall: 8 ns comes after 9 ns"),
        ([*changed(0, 0, 5), np.array([2])], "trade_ts must never fall: 2 ns comes after 3 ns"),
        ([*changed(0, 0, 5), np.array([6.5])], "trade_ts must be one column of integers"),
        ([*changed(0, 0, 5)[:4], np.ones(2)], r"ask_size must have the shape of ts, \(3,\), got \(2,\)"),
    ],
)
def test_impossible_rows_are_refused_by_name_and_leave_no_trace(rows: list[Any], words: str) -> None:
    flow = fed(OrderFlow(), [(1, 10.0, 5.0, 11.0, 4.0), (2, 10.0, 6.0, 11.0, 4.0)], [3])
    before = flow.snapshot()
    with pytest.raises(ValueError, match=f"^{words}"):
        flow.add(*rows)
    assert flow.snapshot() == before


def test_no_rows_and_rows_that_show_nothing_change_no_value() -> None:
    flow = fed(OrderFlow(), [(1, 10.0, 5.0, 11.0, 4.0), (2, 10.0, 6.0, 11.0, 4.0)])
    before = flow.snapshot()
    fed(flow, [])
    assert flow.snapshot() == before
    fed(flow, [(3, NAN, NAN, NAN, NAN)])
    assert flow.snapshot() == {**before, "ts": 3}


def test_the_rows_given_are_not_written_to() -> None:
    rows = columns(made_quotes(50, seed=3))
    kept = [column.copy() for column in rows]
    for column in rows:
        column.flags.writeable = False
    OrderFlow().add(*rows)
    for column, copy in zip(rows, kept, strict=True):
        assert np.array_equal(column, copy, equal_nan=True)


def test_a_snapshot_with_a_key_missing_or_of_the_wrong_type_is_refused_by_name() -> None:
    flow = fed(OrderFlow(), made_quotes(200, seed=6))
    snapshot = through_json(flow.snapshot())
    assert OrderFlow.restore(snapshot).snapshot() == flow.snapshot()
    for key in snapshot:
        with pytest.raises(ValueError, match=key):
            OrderFlow.restore({k: v for k, v in snapshot.items() if k != key})
        with pytest.raises(ValueError, match=key):
            OrderFlow.restore({**snapshot, key: "nonsense"})
    for bad in ({"events": 99999}, {"trades": -1}, {"quotes": "x"}, {"ofi": None}):
        with pytest.raises(ValueError, match=r"running|quotes|ofi"):
            OrderFlow.restore({**snapshot, "running": {**snapshot["running"], **bad}})
    with pytest.raises(ValueError, match=r"^bucket_ns must"):
        OrderFlow(0)
