"""What ``hedge.regimes`` carries is told apart, whatever names are inside."""

from __future__ import annotations

import json

import pytest

from topics.codec import JSON_HEADERS, MAX_JSON, decode_hedge_input
from topics.dead_letter import Refused
from topics.examples import EXAMPLES
from topics.message import canonical_json
from topics.option_chain import OptionChain
from topics.regime import Regime

REGIME, CHAIN = EXAMPLES[Regime].document(), EXAMPLES[OptionChain].document()


@pytest.mark.parametrize("kind", [Regime, OptionChain])
def test_each_kind_is_read_back_as_it_was(kind: type[Regime] | type[OptionChain]) -> None:
    sent = EXAMPLES[kind]
    assert decode_hedge_input(sent.canonical(), JSON_HEADERS) == sent
    loose = json.dumps(dict(reversed(sent.document().items())), indent=2).replace('":', '" \n:').encode()
    assert decode_hedge_input(loose) == sent


def test_an_empty_chain_is_a_chain() -> None:
    found = decode_hedge_input(canonical_json({**CHAIN, "expiries": []}))
    assert isinstance(found, OptionChain)
    assert found.expiries == ()


def test_names_within_a_message_do_not_take_it_for_the_other() -> None:
    named = {**REGIME, "features": {"expiries": 1, "vix": 20.0}, "sources": {"vix": "expiries", "expiries": "cboe"}}
    assert isinstance(decode_hedge_input(canonical_json(named)), Regime)
    for source in ("score_parts", "expiries"):
        assert isinstance(decode_hedge_input(canonical_json({**CHAIN, "source": source})), OptionChain)


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (None, "tombstone", "no value"),
        (b"", "not_json", "no JSON"),
        (b"\xff", "not_json", "no JSON"),
        (b'{"expiries":', "not_json", "no JSON"),
        (b'["score_parts"]', "not_json", "expected a JSON object"),
        (b"{}", "invalid", "score_parts: Field required"),
        (b'{"expiries":[]}', "invalid", "session_date: Field required"),
        (canonical_json({**CHAIN, "score_parts": {}}), "invalid", "expiries: Extra inputs"),
        (canonical_json({**REGIME, "expiries": []}), "invalid", "expiries: Extra inputs"),
        (canonical_json({**CHAIN, "schema_version": 2}), "schema_version", "knows 1"),
        (b'{"expiries":[' + b" " * MAX_JSON + b"]}", "too_large", "at most 65536"),
        (b'{"score_parts":{' + b" " * MAX_JSON + b"}}", "too_large", "at most 65536"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_neither_is_refused_with_the_reason(value: bytes | None, reason: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        decode_hedge_input(value)
    assert caught.value.reason == reason


def test_another_content_type_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        decode_hedge_input(canonical_json(CHAIN), (("content-type", b"text/plain"),))
    assert caught.value.reason == "content_type"


def test_a_chain_whose_future_is_quoted_the_wrong_way_round_is_refused() -> None:
    (expiry,) = CHAIN["expiries"]
    crossed = {**expiry, "forward_bid": "25.6", "forward_ask": "25.5"}
    with pytest.raises(Refused, match=r"bid 25\.6 is above its ask 25\.5"):
        decode_hedge_input(canonical_json({**CHAIN, "expiries": [crossed]}))
