"""What the hedge has cost, session by session, from the values that snapshots state."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hedge_support import JAN_2, portfolio

from processors.hedge.drag import DragTrack
from processors.hedge.irr import HedgeDrag, HedgedSession

DAYS = [JAN_2 + timedelta(days=7 * n) for n in range(60)]


def _take(
    track: DragTrack, day: date, mv: float, hedge: float = 0.0, paid: float = 0.0, flow: float | None = None
) -> bool:
    book = portfolio(mv=mv, hedge_value=hedge, hedge_flow=paid, net_flow=flow)
    return track.snapshot_taken(book, day)


def _story(n: int) -> tuple[float, float, float, float | None]:
    return 1_000_000.0 * (1 + 0.001 * n), 5_000.0 + 70.0 * (n % 5), 300.0, None if n % 3 else 500.0


def test_only_portfolios_that_state_both_figures_have_a_drag() -> None:
    track = DragTrack()
    for book in (portfolio(), portfolio(hedge_value=1.0), portfolio(hedge_flow=1.0)):
        assert not track.snapshot_taken(book, JAN_2)
    assert track.document() == DragTrack().document()
    assert _take(track, JAN_2, 1e6)


def test_a_session_counts_once_a_later_one_is_there() -> None:
    # 100 for the portfolio, in a year 110; the hedge took 4 of it: 110 - 4 on 100, by the drag over one session.
    track = DragTrack(HedgeDrag(1))
    first, last = date(2018, 1, 2), date(2019, 1, 2)
    _take(track, first, 100.0)
    _take(track, last, 110.0, paid=4.0)
    assert track.value is None, "the second may still be reported anew"
    _take(track, last, 111.0, paid=5.0)
    _take(track, date(2019, 1, 3), 111.0)
    # 365 days: 11 % without the hedge, 6 % with it.
    assert track.value == pytest.approx(0.05, abs=1e-12)


def test_an_earlier_session_says_nothing_any_more() -> None:
    track = DragTrack(HedgeDrag(1))
    _take(track, DAYS[1], 100.0)
    assert not _take(track, DAYS[0], 90.0)
    assert track.newest == HedgedSession(DAYS[1], 100.0, 0.0, 0.0, 0.0)


def test_it_is_the_drag_of_its_sessions() -> None:
    track, drag = DragTrack(HedgeDrag(40)), HedgeDrag(40)
    for n, day in enumerate(DAYS):
        _take(track, day, *_story(n))
        if n:
            mv, hedge, paid, flow = _story(n - 1)
            drag.update(HedgedSession(DAYS[n - 1], mv, hedge, flow or 0.0, paid))
        assert track.value == drag.value
    assert track.value is not None


@pytest.mark.parametrize("cut", [0, 1, 2, 40, 41, 59])
def test_a_restart_anywhere_continues_bit_for_bit(cut: int) -> None:
    whole, track = DragTrack(HedgeDrag(40)), DragTrack(HedgeDrag(40))
    for n, day in enumerate(DAYS):
        if n == cut:
            track = DragTrack.restore(json.loads(json.dumps(track.document())))
        _take(whole, day, *_story(n))
        _take(track, day, *_story(n))
        assert track.value == whole.value
        assert track.document() == whole.document()
