"""State by name that is seldom looked at: few bytes each, made an object where one is asked for and not before."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from processors.errors import StateMismatch
from topics.message import canonical_json

T = TypeVar("T")

#: What the documents have in common, the most frequent last; it is part of no byte that leaves the process.
_COMMON: Final = (
    b'{"beta":{"covariance":0.0,"half_life":63.0,"market":0.0,"markets":[],"minimum":126,"ols":252,"portfolio":0.0,'
    b'"portfolios":[],"seen":0,"variance":0.0,"weight":0.0},"values":{"20'
    b'"drag":{"closes":[{"flow":0.0,"hedge":0.0,"hedge_flow":0.0,"mv":0.0,"session_date":"20"sessions":252},"newest":'
    b'"engine_on":true,"engine_ready":true,"engine_session":"20"capital":{"cost":"month":"20"entered_high":"20'
    b'"l3_on":true,"levered":0."legs":"sha256:"steps":{"L1":{"advised":{"goes":[],"h":"held":{"key":"outside":false,'
    b'"session_date":"20"watches":{"alert":false,"break_even":,"cash":"cost_debt":"cost_equity":"debt_value":'
    b'"equity_value":"hedge_value":"hedge_flow":"margin_req":"net_flow":"policy":"promoter","seq":"source":'
    b'"fills":"modelled","tax_rate":0."market":"EU","state":"high","state":"low","state":"elevated",'
    b'{"memory":{"content":"sha256:0123456789abcdef","positions":[["VXM/20","VX/2018-0-1",1,"L1",1'
    b'],["VIX/2018-0-1/C/3",1,"TT",0],["VIX/2019-1/C/2",-1,"L3",0.],["VIX/2017-0-2/C/",1,"L2",1.'
    b']],"premiums":[["20-0-10],["2018-1-2],["2017-0-3]],"state":"moderate","targets":[0.1,0.2,0.0,0.0,0.6]},'
    b'"portfolio":{"as_of":"2018-01-01T21:00:00Z","beta":0.9,"fills":"assumed","mv":"1000000.00"},"version":4}'
)


class AtRest(Generic[T]):
    """Values of one kind by name, each as its document: the one that the changelog keeps, deflated.

    A value that is looked at is made from its document, also where it was set a moment ago. So it is the same with a
    restart in between and without one, and one that is changed has to be set again.

    Args:
        kind: the first part of their keys in the changelog.
        version: that of the documents which are written.
        document: a value as JSON values.
        read: a name and such a document as a value; ValueError, TypeError, KeyError or AttributeError when it is none.
    """

    def __init__(
        self,
        kind: str,
        version: int,
        document: Callable[[T], Mapping[str, Any]],
        read: Callable[[str, Mapping[str, Any]], T],
    ) -> None:
        self._kind, self._version, self._document, self._read = kind, version, document, read
        self._kept: dict[str, bytes] = {}
        self._changed: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __getitem__(self, name: str) -> T:
        """The value of a name. StateMismatch when what was restored turns out to be none."""
        document = json.loads(_inflated(self._kept[name]))
        try:
            return self._read(name, document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StateMismatch(
                f"the state of {self._key(name)!r} cannot be read: {error}. It was written by another version; run "
                "that one, or reset the group and its changelog to compute it anew."
            ) from error

    def get(self, name: str) -> T | None:
        """The value of a name; None without one."""
        return self[name] if name in self._kept else None

    def __setitem__(self, name: str, value: T) -> None:
        saved = canonical_json({"version": self._version, **self._document(value)})
        kept = _deflated(saved)
        if self._kept.get(name) != kept:
            self._kept[name], self._changed[name] = kept, saved

    def restore(self, name: str, saved: bytes) -> None:
        """Take a value back as its document in bytes, without looking into it."""
        self._kept[name] = _deflated(saved)

    def changed(self) -> dict[bytes, bytes]:
        """The documents of what has changed since the last call, by their keys in the changelog, sorted by name."""
        changed = {self._key(name): saved for name, saved in sorted(self._changed.items())}
        self._changed.clear()
        return changed

    def _key(self, name: str) -> bytes:
        return f"{self._kind}/{name}".encode()


def _deflated(saved: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_COMMON)
    return deflate.compress(saved) + deflate.flush()


def _inflated(kept: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS, _COMMON).decompress(kept)
