"""`alvh signals`: the catalogue as a table and as JSON, and what a log has of a market's signals."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors import signals_report
from processors.cli import EXIT_INTERRUPTED, main
from processors.errors import EXIT_USAGE, UserError
from processors.feeds.topics import create_topics
from processors.signals.catalogue import CATALOGUE, NEEDS
from processors.signals_report import Observed, document, newest, observe, series_in_force
from processors.stream.log import Cluster, Out, Record, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.sqlite import SqliteCluster
from topics.calibration import Calibration, SignalRules
from topics.catalog import REGIME_MARKS, REGIME_STATES, changelog
from topics.codec import JSON_HEADERS
from topics.examples import EXAMPLES
from topics.regime import Regime
from topics.times import HOUR, MINUTE, parse_ts

CLOSE = parse_ts("2018-02-05T21:15:00Z")
STATE = changelog("market")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty working directory, no setting in the environment, and log lines where they went before."""
    for name in list(os.environ):
        if name.upper().startswith("ALVH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    loggers = [logging.getLogger(name) for name in (None, "alvh", "kafka")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


# A log by hand


def regime(ts: int = CLOSE, kind: str = "close", market: str = "US", **features: float | bool | str) -> Regime:
    example = EXAMPLES[Regime]
    assert isinstance(example, Regime)
    changed = {"event_ts": ts, "kind": kind, "market": market, "features": features}
    return example.model_copy(update={**changed, "calibration_digest": Calibration().digest()})


def out_of(found: Regime) -> Out:
    topic = REGIME_STATES if found.kind == "close" else REGIME_MARKS
    return Out(topic, found.market.encode(), found.canonical(), JSON_HEADERS)


def state(key: str, saved: Mapping[str, Any], partition: int | None = None) -> Out:
    return Out(STATE, key.encode(), json.dumps(saved).encode(), partition=partition)


def market_state(
    time: int = CLOSE, board: Mapping[str, int] | None = None, books: Sequence[str] = (), **depths: int
) -> dict[str, Any]:
    rows = {symbol: [ts, {}, {}] for symbol, ts in (board or {}).items()}
    stated = {symbol: [ts, 1e6, None] for symbol, ts in depths.items()}
    return {"time": time, "prices": {"board": rows, "books": {symbol: {} for symbol in books}}, "depths": stated}


def secondary_state(seen: Mapping[str, Sequence[Any]], blocks: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {"seen": dict(seen), "onchain": {"blocks": dict(blocks)}}


def log(*outs: Out, partitions: int = 1, cluster: Cluster | None = None) -> Cluster:
    made = cluster or MemoryCluster()
    create_topics(made, partitions)
    made.publish(outs)
    return made


def signals(found: Observed) -> dict[str, tuple[Any, str, float | None]]:
    """Value, state and age by feature."""
    series = series_in_force(SignalRules())
    rows = {name: found.signal(name, series) for name in NEEDS}
    return {name: (row.value, row.state, row.age) for name, row in rows.items()}


# The catalogue alone


def test_its_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "alvh signals --log kafka://broker:9092 --market US --json" in shown
    assert all(option in shown for option in ("--log", "--market", "--json"))


def test_the_table_has_every_concept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals"]) == 0
    shown = capsys.readouterr()
    words = shown.out.replace("\n", "")
    for concept in CATALOGUE:
        assert f"┃{concept.number} " in words or f"│{concept.number} " in words, concept.number
    for text in ("FOMC minutes", "advance_decline", "-1.5", "CPI_CORE_MOM", "signals.macd", "Wilder (1978)", "rsi14"):
        assert text in words
    assert shown.err == ""
    assert list(Path().iterdir()) == []


def test_json_has_the_whole_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert list(given) == ["concepts"]
    assert [concept["number"] for concept in given["concepts"]] == list(range(1, 64))
    macd = given["concepts"][33]
    assert macd["words"] == "MACD crossovers on the VIX index itself"
    assert macd["features"][0] == {"name": "macd"}
    assert given["concepts"][13]["weights"] == {"advance_decline": -1.5, "divergence": 1.0}
    assert given["concepts"][4]["weights"] == {"ratio": 0.25, "vvix": 0.1}


def test_series_and_weights_are_those_of_the_calibration_in_force(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calibration = json.loads(Calibration().canonical())
    calibration["regime"]["signals"]["cpi"] = "CPI_MOM"
    calibration["regime"]["modifier"]["weights"] = {"cpi": 2.0}
    Path("other.json").write_text(json.dumps(calibration))
    Path("alvh.toml").write_text('calibration = "other.json"\n')
    assert main(["signals", "--json"]) == 0
    concepts = json.loads(capsys.readouterr().out)["concepts"]
    assert concepts[10]["inputs"] == ["CPI_MOM"]
    assert concepts[10]["weights"] == {"cpi": 2.0}
    assert concepts[11]["weights"] == {"ppi": 0.0}


# With a log


def test_a_signal_is_ready_warms_up_waits_for_an_event_or_lacks_an_input() -> None:
    hour = CLOSE - HOUR
    board = {"VIX": CLOSE, "SPX": hour, "VX/2018-02-14": hour, "VX/2018-03-21": CLOSE - MINUTE}
    seen = {"CPI_CORE_MOM": [hour, "release"], "GDPNOW": [hour, "release"], "chain ethereum": [hour, "flow"]}
    found = observe(
        log(
            out_of(regime(vix=37.32, macd_signal=1.5, spx=2648.94)),
            state("market/US", market_state(board=board)),
            state("secondary/US", secondary_state(seen, {"pool ethereum WETH-USDC": [7, hour]})),
        ),
        "US",
    )
    shown = signals(found)
    assert shown["vix"] == (37.32, "ready", 0.0)
    assert shown["spx"] == (2648.94, "ready", 3600.0)
    assert shown["rsi14"] == (None, "warming up", 3600.0)
    assert shown["macd_cross"] == (None, "no event", 0.0)
    assert shown["macd_hist"] == (None, "warming up", 0.0)
    assert shown["ratio"] == (None, "no input", None)
    assert shown["vx1"] == (None, "warming up", 60.0)
    assert shown["implied_minus_realised"] == (None, "warming up", 3600.0)
    assert shown["cpi_z"] == (None, "warming up", 3600.0)
    assert shown["ppi_z"] == (None, "no input", None)
    assert shown["gdp_z"] == (None, "warming up", 3600.0)
    assert shown["gdp_revision"] == (None, "no input", None)
    assert shown["amm_depth_z"] == (None, "warming up", 3600.0)
    assert shown["governance_stress"] == (None, "no event", 3600.0)
    assert shown["peg_bps"] == (None, "no input", None)
    assert shown["ofi"] == (None, "no input", None)
    assert found.signal("ratio", {}).missing == ("VIX3M",)
    assert found.signal("ppi_z", series_in_force(SignalRules(ppi="PPI_X"))).missing == ("PPI_X",)
    assert found.signal("gdp_z", series_in_force(SignalRules(gdp="G", nowcast="N"))).missing == ("G|N",)
    assert found.notes == ()


def test_a_crossover_cannot_be_seen_before_the_macd_is_there() -> None:
    found = observe(log(out_of(regime(vix=20.0)), state("market/US", market_state(board={"VIX": CLOSE}))), "US")
    assert signals(found)["macd_cross"][1] == "warming up"


def test_books_depths_options_cross_sections_and_offerings_count_as_inputs() -> None:
    quoted = base64.b64encode(np.array([CLOSE - HOUR, CLOSE - MINUTE], dtype="<i8").tobytes()).decode()
    front = "VX/2018-03-21"
    seen = {"ipo": [CLOSE - HOUR, "flow"], "cross-section SPX": [CLOSE, "flow"]}
    found = observe(
        log(
            out_of(regime(vix=20.0)),
            state("market/US", market_state(CLOSE, {front: CLOSE - MINUTE}, [front], **{front: CLOSE - 2 * MINUTE})),
            state("secondary/US", secondary_state(seen, {})),
            state("strip/US/ETH/2018-03-30", {"ts": quoted}),
            state("strip/US/SPXW/2018-03-30", {"ts": quoted}),
            state("strip/EU/VIX/2018-03-21", {"ts": quoted}),
        ),
        "US",
    )
    minute = CLOSE - MINUTE
    assert found.came["VX quotes"] == minute
    assert found.came["VX depth"] == CLOSE - 2 * MINUTE
    assert found.came["coin options"] == found.came["SPX options"] == minute
    assert "VIX options" not in found.came
    assert signals(found)["ipo_z"] == (None, "warming up", 3600.0)
    assert signals(found)["dispersion"] == (None, "warming up", 0.0)
    assert signals(found)["ido_z"] == (None, "no input", None)


def test_the_later_of_close_and_mark_has_the_values_and_the_close_of_the_same_instant() -> None:
    close, later = regime(vix=20.0), regime(CLOSE + MINUTE, "mark", vix=21.0)
    earlier, same = regime(CLOSE - MINUTE, "mark", vix=19.0), regime(CLOSE, "mark", vix=22.0)
    moments = state("market/US", market_state(CLOSE))
    for outs, value in (((close, later), 21.0), ((close, earlier), 20.0), ((close, same), 20.0), ((later,), 21.0)):
        found = observe(log(*map(out_of, outs), moments), "US")
        assert signals(found)["vix"][0] == value
        assert found.time == max(CLOSE, *(one.event_ts for one in outs if one.event_ts >= CLOSE), CLOSE)


def test_ages_are_in_event_time_from_the_markets_newest_moment() -> None:
    moments = state("market/US", market_state(CLOSE + HOUR, {"VIX": CLOSE}))
    found = observe(log(out_of(regime(vix=20.0)), moments), "US")
    assert found.time == CLOSE + HOUR
    assert signals(found)["vix"] == (20.0, "ready", 3600.0)


def test_the_newest_state_of_a_key_counts_and_one_that_was_removed_does_not() -> None:
    found = observe(
        log(
            out_of(regime(vix=20.0)),
            state("market/US", market_state(CLOSE, {"VIX": CLOSE - HOUR})),
            state("secondary/US", secondary_state({"ipo": [CLOSE, "flow"]}, {})),
            state("market/US", market_state(CLOSE, {"VIX": CLOSE})),
            Out(STATE, b"secondary/US", None),
        ),
        "US",
    )
    assert found.came == {"VIX": CLOSE}


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_record_far_from_the_end_is_found_among_those_of_others(kind: str, partitions: int, tmp_path: Path) -> None:
    cluster: Cluster = MemoryCluster() if kind == "memory" else SqliteCluster(str(tmp_path / "log.sqlite"))
    create_topics(cluster, partitions)
    others = [Out(REGIME_MARKS, b"EU", b"%d" % i, partition=i % partitions) for i in range(700)]
    cluster.publish([Out(REGIME_MARKS, b"US", b"old"), Out(REGIME_MARKS, b"US", b"new"), *others])
    found = newest(cluster, REGIME_MARKS, partitions, b"US")
    assert found is not None
    assert found.value == b"new"
    assert (newest(cluster, REGIME_MARKS, partitions, b"EU") or found).value != b"new"
    assert newest(cluster, REGIME_MARKS, partitions, b"JP") is None
    cluster.close()


def test_what_a_record_says_does_not_depend_on_how_many_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = log(*(Out(REGIME_MARKS, b"A" if i % 7 else b"B", b"%d" % i) for i in range(40)))
    expected = {key: max(i for i in range(40) if bool(i % 7) == (key == b"A")) for key in (b"A", b"B")}
    for size in (1, 2, 3, 64):
        monkeypatch.setattr(signals_report, "_WINDOW", size)
        for key, value in expected.items():
            found = newest(cluster, REGIME_MARKS, 1, key)
            assert found is not None
            assert found.value == b"%d" % value


def test_looking_changes_nothing_and_joins_no_group() -> None:
    class ReadOnly:
        """Nothing but topics, ends and reading."""

        def __init__(self, cluster: Cluster) -> None:
            self._cluster = cluster

        def topics(self, names: Iterable[str] | None = None) -> dict[str, int]:
            return self._cluster.topics(names)

        def end_offset(self, tp: TopicPartition) -> int:
            return self._cluster.end_offset(tp)

        def read(self, tp: TopicPartition, start: int = 0) -> Iterator[Record]:
            return self._cluster.read(tp, start)

    cluster = log(out_of(regime(vix=20.0)), state("market/US", market_state()))
    assert observe(ReadOnly(cluster), "US") == observe(cluster, "US")  # type: ignore[arg-type]


# What may be wrong with a log


def test_a_log_without_the_topics_is_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"no topic regime\.states, regime\.marks, alvh\.market\.changelog"):
        observe(MemoryCluster(), "US")


def test_an_empty_log_is_shown_with_a_note() -> None:
    found = observe(log(), "US")
    assert "written nothing" in found.notes[0]
    assert {state for _, state, _ in signals(found).values()} == {"no input"}
    assert document(Calibration(), found)["market"]["regime"] is None


def test_another_market_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="nothing of market 'JP'; it has EU, US"):
        observe(log(state("market/US", market_state()), state("market/EU", market_state())), "JP")


def test_a_market_without_a_session_is_shown_with_its_inputs_and_a_note() -> None:
    found = observe(log(state("market/US", market_state(CLOSE, {"VIX": CLOSE - HOUR}))), "US")
    assert signals(found)["vix"] == (None, "warming up", 3600.0)
    assert "no session of US is committed" in found.notes[0]


@pytest.mark.parametrize(
    "saved",
    [{"time": CLOSE}, market_state() | {"time": "x"}, market_state(CLOSE, {"?": 1}), [1]],
)
def test_a_state_of_another_form_leaves_the_values_and_a_note(saved: Any) -> None:
    found = observe(log(out_of(regime(vix=20.0)), state("market/US", saved)), "US")
    assert signals(found)["vix"] == (20.0, "ready", None)
    assert "another version" in found.notes[0]


def test_regimes_without_a_state_have_values_and_a_note() -> None:
    found = observe(log(out_of(regime(vix=20.0))), "US")
    assert signals(found)["vix"] == (20.0, "ready", None)
    assert "keeps no state" in found.notes[0]


def test_a_regime_that_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"newest record of US in regime\.states cannot be read"):
        observe(log(Out(REGIME_STATES, b"US", b"{}", JSON_HEADERS)), "US")


def test_a_regime_of_another_calibration_is_named_and_unknown_features_are_shown() -> None:
    other = regime(vix=20.0, brand_new=1.5).model_copy(update={"calibration_digest": "sha256:" + "0" * 64})
    given = document(Calibration(), observe(log(out_of(other), state("market/US", market_state())), "US"))
    assert given["market"]["others"] == {"brand_new": 1.5}
    assert given["market"]["notes"] == ["the regime was decided with another calibration than the one in force here"]


# The command over a file


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of a SQLite log with a close and the market's state."""
    cluster = SqliteCluster(str(tmp_path / "desk.sqlite"))
    seen = {"CPI_CORE_MOM": [CLOSE - 50 * HOUR, "release"]}
    log(
        out_of(regime(vix=37.32, inverted=True, brand_new="[red]word")),
        state("market/US", market_state(board={"VIX": CLOSE, "VIX3M": CLOSE - 90 * MINUTE})),
        state("secondary/US", secondary_state(seen, {})),
        cluster=cluster,
    )
    cluster.close()
    return f"sqlite://{tmp_path / 'desk.sqlite'}"


def test_a_file_is_shown_as_a_table(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals", "--log", file]) == 0
    shown = capsys.readouterr()
    lines = [line.split() for line in shown.out.splitlines()]
    assert "signals of US, close of 2018-02-05T21:15:00Z, high" in shown.out
    cells = {line[3]: line[5:] for line in lines if len(line) > 5 and line[0] == "│"}
    assert cells["vix"][0] == "37.32"
    assert cells["vix"][2] == "ready"
    assert cells["inverted"][0] == "yes"
    assert "2.1 d" in " ".join(cells["cpi_z"])
    assert "1.5 h" in " ".join(cells["ratio"])
    assert "no input" in " ".join(cells["ad_z"])
    assert "ADVN, DECN" in " ".join(cells["ad_z"])
    assert "[red]word" in shown.out
    assert shown.err == ""


def test_a_file_is_shown_as_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals", "--log", file, "--market", "US", "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["market"]["event_ts"] == "2018-02-05T21:15:00Z"
    assert given["market"]["regime"]["state"] == "high"
    assert given["market"]["notes"] == []
    cpi = given["concepts"][10]["features"]
    assert cpi == [{"name": "cpi_z", "value": None, "state": "warming up", "age_seconds": 180000.0, "missing": []}]
    breadth = {feature["name"]: feature for feature in given["concepts"][13]["features"]}
    assert breadth["ad_divergence"]["missing"] == ["ADVN", "DECN", "SPX"]


def test_another_market_ends_with_status_2_and_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signals", "--log", file, "--market", "JP"]) == EXIT_USAGE
    assert capsys.readouterr().err == "alvh: this log has nothing of market 'JP'; it has US\n"


def test_notes_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = SqliteCluster(str(tmp_path / "empty.sqlite"))
    log(cluster=cluster)
    cluster.close()
    assert main(["signals", "--log", f"sqlite://{tmp_path / 'empty.sqlite'}"]) == 0
    shown = capsys.readouterr()
    assert "signals of US" in shown.out
    assert shown.err.startswith("alvh: the market processor has written nothing here yet")


def test_ctrl_c_ends_it_in_silence(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Observed:
        raise KeyboardInterrupt

    monkeypatch.setattr(signals_report, "observe", interrupted)
    assert main(["signals", "--log", file]) == EXIT_INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.kafka
def test_a_broker_is_read_as_a_file_is(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    from kafka_broker import start_kafka

    from processors.stream.kafka import KafkaCluster

    assert main(["signals", "--log", file, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    with start_kafka() as nodes:
        url = f"kafka://{nodes.bootstrap}"
        assert main(["signals", "--log", url]) == EXIT_USAGE
        assert "this log has no topic regime.states" in capsys.readouterr().err
        source, cluster = SqliteCluster(file.removeprefix("sqlite://")), KafkaCluster([nodes.bootstrap])
        create_topics(cluster, 3)
        others = [Out(REGIME_MARKS, b"EU", b"{}", partition=number % 3) for number in range(300)]
        copied = [
            Out(topic, record.key, record.value, record.headers)
            for topic in (REGIME_STATES, STATE)
            for record in source.read(TopicPartition(topic, 0))
        ]
        cluster.publish([*copied, *others])
        source.close()
        cluster.close()
        assert main(["signals", "--log", url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == expected
        assert main(["signals", "--log", url, "--market", "JP"]) == EXIT_USAGE
        assert "it has US" in capsys.readouterr().err


# The real processor


def test_what_the_market_processor_leaves_behind_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from datetime import date

    from processors.feeds.feed import feed
    from processors.feeds.history import write_history
    from processors.market import Market
    from processors.stream.log import Member
    from processors.stream.metrics import Metrics
    from processors.stream.runner import Runner

    recording = write_history(tmp_path / "in", date(2017, 12, 1), date(2018, 2, 9))
    (recording / "releases.csv").write_text(
        "release_ts,series_id,ref_period,actual,consensus\n2018-02-08T13:30:00Z,CPI_CORE_MOM,2018-01,0.3,0.2\n"
    )
    cluster = SqliteCluster(str(tmp_path / "real.sqlite"))
    create_topics(cluster)
    feed(recording, cluster)
    market = Market(Calibration())
    member = cluster.member(Member("alvh.market", "0", tuple(given.topic for given in market.inputs)))
    runner = Runner(member, market, Metrics("market", market.metrics))
    runner.drain(exhausted=True)
    runner.close()
    cluster.close()
    assert main(["signals", "--log", f"sqlite://{tmp_path / 'real.sqlite'}", "--json"]) == 0
    shown = capsys.readouterr()
    given = json.loads(shown.out)
    assert given["market"]["regime"]["session_date"] == "2018-02-09"
    assert given["market"]["notes"] == []
    assert given["market"]["others"] == {}
    features = {feature["name"]: feature for concept in given["concepts"] for feature in concept["features"]}
    assert features["vix"]["state"] == features["vx1"]["state"] == features["rv21"]["state"] == "ready"
    assert features["vix"]["age_seconds"] == pytest.approx(0, abs=HOUR)
    assert features["cpi_z"]["state"] == "warming up"
    assert features["cpi_z"]["age_seconds"] > 86_400
    assert features["vvix"]["state"] == "no input"
    assert features["ad_z"]["missing"] == ["ADVN", "DECN"]
