"""The core signals of one market."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self

from processors.signals._reading import as_date, read, read_int, read_object
from processors.signals.bear_steepening import BearSteepening
from processors.signals.change import SessionChange
from processors.signals.compression import Compression
from processors.signals.curve import VxCurve
from processors.signals.inputs import SessionInputs
from processors.signals.macd import Macd
from processors.signals.realised import RealisedVolatility
from processors.signals.rsi import Rsi
from processors.signals.signals import Signals
from processors.signals.statistic import Json

SNAPSHOT_VERSION = 1


@dataclass(frozen=True, slots=True)
class PanelParameters:
    """The choices in the core signals that their names do not already fix.

    `macd_min_bars`: VIX closes before MACD may act. `steepening_sessions`: look-back of the bear steepening.
    `compression_sessions`, `compression_low_share`: trailing window and the share of it that counts as low.
    """

    macd_min_bars: int = 120
    steepening_sessions: int = 5
    compression_sessions: int = 252
    compression_low_share: float = 1 / 3


class Panel:
    """A market's whole set of core signals: `update` commits a session, `peek` looks ahead at one.

    A missing input does not advance the statistics that rest on it and makes them None for that session; the next
    session goes on from the last known close, so a return or a change then spans two sessions. An empty curve is a
    missing one.

    Sessions must be strictly ascending, for `peek` too: a session that has been committed cannot be counted again.
    A call that raises leaves the panel as it was.
    """

    __slots__ = ("_change", "_compression", "_macd", "_realised", "_rsi", "_session", "_signals", "_steepening")

    def __init__(self, parameters: PanelParameters | None = None) -> None:
        chosen = parameters or PanelParameters()
        self._session: date | None = None
        self._signals = Signals()
        self._change = SessionChange(1, relative=True)
        self._macd = Macd(min_bars=chosen.macd_min_bars)
        self._rsi = Rsi(14)
        self._realised = RealisedVolatility(21)
        self._steepening = BearSteepening(chosen.steepening_sessions)
        self._compression = Compression(chosen.compression_sessions, low_share=chosen.compression_low_share)

    @property
    def session_date(self) -> date | None:
        """The last committed session, None before the first."""
        return self._session

    @property
    def signals(self) -> Signals:
        """The values at the last committed session; all missing before the first."""
        return self._signals

    def update(self, close: SessionInputs) -> None:
        """Commit one session's official prices. ValueError unless it is after the last committed session."""
        # The committed values are exactly those a peek would have given, and nothing has moved if this raises.
        signals = self.peek(close)
        if close.vix is not None:
            self._change.update(close.vix)
            self._macd.update(close.vix)
        if close.spx is not None:
            self._rsi.update(close.spx)
            self._realised.update(close.spx)
        if close.curve:
            self._steepening.update(close.curve)
            self._compression.update(close.curve)
        self._session = close.session_date
        self._signals = signals

    def peek(self, inputs: SessionInputs) -> Signals:
        """The values if the session ended at these prices; nothing is committed."""
        if self._session is not None and inputs.session_date <= self._session:
            raise ValueError(f"session {inputs.session_date} is not after {self._session}, which is committed")
        vix, vix3m, spx = inputs.vix, inputs.vix3m, inputs.spx
        # On the empty curve everything is None, which is what a missing curve says.
        curve = inputs.curve or VxCurve(inputs.session_date, (), ())
        macd = None if vix is None else self._macd.peek(vix)
        return Signals(
            vix=vix,
            vix3m=vix3m,
            vvix=inputs.vvix,
            spx=spx,
            vix_change=None if vix is None else self._change.peek(vix),
            ratio=None if vix is None or vix3m is None else vix / vix3m,
            rv21=None if spx is None else self._realised.peek(spx),
            rsi14=None if spx is None else self._rsi.peek(spx),
            macd=None if macd is None else macd.macd,
            macd_signal=None if macd is None else macd.signal,
            macd_hist=None if macd is None else macd.hist,
            macd_cross=None if macd is None else macd.cross,
            macd_acting=macd is not None and macd.acting,
            macd_sessions_since_cross=None if macd is None else macd.sessions_since_cross,
            macd_last_cross=None if macd is None else macd.last_cross,
            vx1=curve.vx(1),
            vx2=curve.vx(2),
            slope=curve.slope,
            inverted=curve.inverted,
            roll_yield_daily=curve.roll_yield_long,
            roll_yield_annual=curve.roll_yield_long_annual,
            cm30=curve.constant_maturity(30),
            curve_range=curve.range,
            bear_steepening=self._steepening.peek(curve),
            compressed=self._compression.peek(curve),
        )

    def snapshot(self) -> dict[str, Json]:
        """The whole state as JSON-able values, a few kilobytes; `restore` continues from it bit for bit."""
        return {
            "version": SNAPSHOT_VERSION,
            "session": None if self._session is None else self._session.isoformat(),
            "signals": self._signals.as_features(),
            "vix_change": self._change.snapshot(),
            "macd": self._macd.snapshot(),
            "rsi": self._rsi.snapshot(),
            "realised": self._realised.snapshot(),
            "steepening": self._steepening.snapshot(),
            "compression": self._compression.snapshot(),
        }

    @classmethod
    def restore(cls, snapshot: Mapping[str, Json]) -> Self:
        """The panel that gave `snapshot`, parameters included.

        ValueError for another version than 1, and for a malformed snapshot.
        """
        version = read_int(snapshot, "version")
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"panel snapshots of version {version} cannot be read, only of version {SNAPSHOT_VERSION}")
        panel = cls()
        session = read(snapshot, "session")
        panel._session = None if session is None else as_date(session, "session")
        panel._signals = Signals.from_features(read_object(snapshot, "signals"))
        panel._change = SessionChange.restore(read_object(snapshot, "vix_change"))
        panel._macd = Macd.restore(read_object(snapshot, "macd"))
        panel._rsi = Rsi.restore(read_object(snapshot, "rsi"))
        panel._realised = RealisedVolatility.restore(read_object(snapshot, "realised"))
        panel._steepening = BearSteepening.restore(read_object(snapshot, "steepening"))
        panel._compression = Compression.restore(read_object(snapshot, "compression"))
        return panel
