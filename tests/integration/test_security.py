"""A real Apache Kafka that asks who is there and what they may do: what works with the least that is listed, what is
said when something is denied, and that no secret is written anywhere.
"""

from __future__ import annotations

import argparse
import base64
import gc
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
from history import Dump, compare, create, dump, fresh_topics, outs_of, processors, publish, shown, work_off
from secure_kafka import CERTIFIED, KEY_PASSWORD, PASSWORD, USER, SecureKafka, start_secure_kafka
from stories import small_story

from processors.access import PARTS, Acl, acls
from processors.cli import main
from processors.config import Settings
from processors.errors import EXIT_USAGE, AlvhError, Denied, UserError
from processors.stream.kafka_client import TELLTALES, discreet
from processors.stream.log import Member, Out, TopicPartition
from processors.stream.memory import MemoryCluster
from processors.stream.open import open_cluster
from topics.catalog import (
    ALL_TOPICS,
    DEAD_LETTERS,
    HEDGE_REBALANCES,
    HEDGE_REGIMES,
    MARKET_TICKS,
    PORTFOLIO_SNAPSHOTS,
    REGIME_MARKS,
    REGIME_STATES,
    REGIME_TRANSITIONS,
    changelog,
)

#: The client drops the socket of a handshake that failed without closing it.
UNCLOSED = "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.kafka, pytest.mark.filterwarnings(UNCLOSED)]

STORY = outs_of(small_story(), block=None)
WRITTEN = (REGIME_STATES, REGIME_MARKS, REGIME_TRANSITIONS, HEDGE_REGIMES, DEAD_LETTERS)
SETTINGS = Settings(log="memory://unused")
MARKET = acls(["market"], SETTINGS)
PATIENCE = 60.0
DEADLINE = 8.0


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    running = start_secure_kafka(tmp_path_factory.mktemp("certificates"))
    with running.nodes:
        yield running
    gc.collect()  # here, where what the client left open is let pass


@pytest.fixture(scope="module")
def expected() -> Dump:
    return uninterrupted(STORY)


def uninterrupted(*parts: list[Out]) -> Dump:
    """What the market processor writes that is never interrupted, and reads each part when the one before is done."""
    cluster = MemoryCluster()
    create(cluster)
    for part in parts:
        publish(cluster, part)
        work_off(cluster, processors()[0])
    return dump(cluster, WRITTEN)


@pytest.fixture
def topics(secure: SecureKafka) -> None:
    """Every topic anew, with the story in it; no ACL of an earlier test."""
    fresh_topics(secure.plain)
    with closing(open_cluster(f"kafka://{secure.plain}")) as cluster:
        publish(cluster, STORY)


@contextmanager
def granted(secure: SecureKafka, found: tuple[Acl, ...], user: str = USER) -> Iterator[None]:
    """These ACLs and no others, for as long as the block lasts."""
    secure.grant(found, user)
    try:
        yield
    finally:
        secure.revoke(found, user)


def environment(secure: SecureKafka, security: dict[str, str], listener: str = "SASL_SSL") -> dict[str, str]:
    """Settings of a process."""
    given = {f"ALVH_KAFKA__{name.upper()}": value for name, value in security.items()}
    return given | {
        "ALVH_LOG": secure.url(listener),
        "ALVH_HTTP_PORT": "0",
        "ALVH_CALL_DEADLINE_SECONDS": f"{DEADLINE:g}",
        "ALVH_COMMIT_INTERVAL_SECONDS": "0.02",
    }


class Child:
    """``alvh`` as a process of its own; all that it writes goes to a file."""

    def __init__(self, folder: Path, given: dict[str, str], *words: str) -> None:
        self.lines = folder / f"{time.monotonic_ns()}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALVH_")}
        with self.lines.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "processors.cli", *words],
                env=kept | given,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
            )

    def said(self) -> str:
        return self.lines.read_text(errors="replace")

    def wait_for(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert self.process.poll() is None, f"waiting for {what}, but it ended by itself:\n{self.said()}"
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.said()}"
            time.sleep(0.05)

    def wait_for_words(self, *words: str) -> None:
        self.wait_for(f"{words}", lambda: all(each in self.said() for each in words))

    def ends(self) -> int:
        """The status with which it ends by itself."""
        return self.process.wait(PATIENCE)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def begin(given: dict[str, str], *words: str) -> Child:
        made.append(Child(tmp_path, given, *words))
        return made[-1]

    yield begin
    for child in made:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait(10)


def written(secure: SecureKafka, topics: tuple[str, ...] = WRITTEN) -> Dump:
    with closing(open_cluster(f"kafka://{secure.plain}")) as cluster:
        return dump(cluster, topics)


def finishes(secure: SecureKafka, expected: Dump, start: Callable[..., Child]) -> None:
    """Started with everything granted, it goes on, and all that was written is what was to be written."""
    with granted(secure, MARKET):
        child = start(environment(secure, secure.sasl()), "run", "market")
        total = sum(map(len, expected.values()))
        child.wait_for("all outputs", lambda: sum(map(len, written(secure).values())) >= total)
        assert child.terminate() == 0, child.said()
    verdict = compare(expected, seen := written(secure))
    assert verdict.clean, f"{verdict}\n{shown(seen)}"


# With the least that is listed


@pytest.mark.usefixtures("topics")
def test_all_processors_reach_a_rebalance_with_exactly_the_listed_acls(
    secure: SecureKafka, start: Callable[..., Child]
) -> None:
    with granted(secure, acls(["all"], SETTINGS)):
        child = start(environment(secure, secure.sasl()), "run", "all")
        child.wait_for("a rebalance", lambda: bool(written(secure, (HEDGE_REBALANCES,))[HEDGE_REBALANCES, 0]))
        assert child.terminate() == 0, child.said()
    assert len(written(secure, (REGIME_STATES,))[REGIME_STATES, 0]) == 3


def test_with_a_client_certificate_topics_are_made_fed_and_read_with_exactly_the_listed_acls(
    secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(secure, secure.mutual(), "SSL").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ticks.csv").write_text("event_ts,symbol,last\n2018-02-05T15:00:00Z,VIX,17.31\n")
    fresh_topics(secure.plain)
    drop_topics(secure)
    assert main(["feed", str(tmp_path)]) == EXIT_USAGE
    assert "access to topic" in capsys.readouterr().err
    looking = tuple(Acl("topic", topic, ("Describe", "DescribeConfigs")) for topic in ALL_TOPICS)
    with granted(secure, looking, CERTIFIED):
        assert main(["topics", "apply"]) == EXIT_USAGE
        assert "grant this user Create on topic market.ticks " in capsys.readouterr().err
    with granted(secure, acls(["admin"], SETTINGS), CERTIFIED):
        assert main(["topics", "apply"]) == 0
        capsys.readouterr()
        assert main(["topics", "plan", "--json"]) == 0
        assert {step["action"] for step in json.loads(capsys.readouterr().out)["steps"]} == {"keep"}
    with granted(secure, acls(["feed"], SETTINGS), CERTIFIED):
        assert main(["feed", str(tmp_path)]) == 0
    with granted(secure, acls(["reader"], SETTINGS), CERTIFIED):
        capsys.readouterr()
        assert main(["tail", MARKET_TICKS]) == 0
        assert "block of 1 ticks, 1 symbols" in capsys.readouterr().out
        assert main(["topics", "plan"]) == EXIT_USAGE
        assert "grant this user DescribeConfigs on topic " in capsys.readouterr().err
    assert main(["tail", MARKET_TICKS]) == EXIT_USAGE
    assert "grant this user" in capsys.readouterr().err


def drop_topics(secure: SecureKafka) -> None:
    from kafka import KafkaAdminClient

    with closing(KafkaAdminClient(bootstrap_servers=secure.plain)) as admin:
        admin.delete_topics(sorted(ALL_TOPICS))
        deadline = time.monotonic() + PATIENCE
        while set(admin.list_topics()) & set(ALL_TOPICS):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_each_way_to_give_a_password(secure: SecureKafka, mechanism: str) -> None:
    with closing(open_cluster(secure.url(), security=secure.sasl(mechanism), deadline=DEADLINE)) as cluster:
        assert cluster.topics() == {}, "known, and allowed nothing"


def test_every_topic_and_resource_of_a_processor_is_listed_once() -> None:
    for processor in processors():
        found = acls([processor.name], SETTINGS)
        by_resource = {(acl.resource, acl.name): acl.operations for acl in found}
        assert len(by_resource) == len(found)
        for given in processor.inputs:
            assert by_resource["topic", given.topic] in (("Read",), ("Read", "Write"))
        for topic in (*processor.outputs, DEAD_LETTERS):
            assert "Write" in by_resource["topic", topic]
        assert by_resource["topic", changelog(processor.name)] == ("Read", "Write")
        assert by_resource["group", f"alvh.{processor.name}"] == ("Read",)
        assert by_resource["transactional-id", f"alvh.{processor.name}."] == ("Write",)
        topics = {name for resource, name in by_resource if resource == "topic"}
        assert topics == {given.topic for given in processor.inputs} | {
            *processor.outputs,
            DEAD_LETTERS,
            changelog(processor.name),
        }
    for part in PARTS:
        assert {acl.name for acl in acls([part], SETTINGS) if acl.resource == "topic"} <= set(ALL_TOPICS)
    with pytest.raises(UserError, match=r"'broker' given; allowed: market, .*, feed, reader, requeue, admin, or all"):
        acls(["broker"], SETTINGS)


def test_the_page_on_security_lists_what_the_code_does() -> None:
    page = (Path(__file__).parents[2] / "docs/security.md").read_text()
    for part in PARTS:
        block = page.split(f"<!-- {part} -->\n```\n")[1].split("\n```")[0].splitlines()
        assert block == [acl.command("User:alvh") for acl in acls([part], SETTINGS)], part


def test_the_lines_for_kafkas_tool_say_what_the_documents_say(capsys: pytest.CaptureFixture[str]) -> None:
    tool = argparse.ArgumentParser()
    tool.add_argument("--add", action="store_true", required=True)
    tool.add_argument("--operation", action="append", required=True)
    tool.add_argument("--allow-principal", required=True)
    tool.add_argument("--resource-pattern-type", default="literal", choices=["literal", "prefixed"])
    kinds = tool.add_mutually_exclusive_group(required=True)
    for kind in ("topic", "group", "transactional-id"):
        kinds.add_argument(f"--{kind}")
    for part in PARTS:
        assert main(["topics", "acls", part, "--principal", "User:CN=a b"]) == 0
        lines = [vars(tool.parse_args(shlex.split(line))) for line in capsys.readouterr().out.splitlines()]
        assert main(["topics", "acls", part, "--principal", "User:CN=a b", "--json"]) == 0
        documents = json.loads(capsys.readouterr().out)
        for line, document in zip(lines, documents, strict=True):
            assert line["allow_principal"] == document["principal"] == "User:CN=a b"
            assert line[document["resource"].replace("-", "_")] == document["name"]
            assert line["resource_pattern_type"] == document["pattern"]
            assert line["operation"] == document["operations"]


# Who is there


@pytest.mark.parametrize(
    ("listener", "change", "words"),
    [
        ("SASL_SSL", {"sasl_plain_password": "wrong"}, "does not know this user or its password"),
        ("SASL_SSL", {"sasl_mechanism": "PLAIN", "sasl_plain_password": "wrong"}, "does not know this user"),
        ("SASL_SSL", {"ssl_cafile": "other-ca.pem"}, "self-signed certificate in certificate chain|unable to get"),
        ("SASL_SSL", {"ssl_cafile": "nowhere.pem"}, r"kafka\.ssl_cafile .*nowhere\.pem: No such file"),
        ("EXPIRED", {}, "certificate has expired"),
        ("EXPIRED", {"sasl_mechanism": "PLAIN"}, "certificate has expired"),
        ("ELSEWHERE", {}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_start_that_is_refused_says_why_at_once(
    secure: SecureKafka, listener: str, change: dict[str, str], words: str
) -> None:
    files = {name: secure.file(value) for name, value in change.items() if name.startswith("ssl_")}
    with pytest.raises(UserError, match=words) as caught:  # the deadline is so long that waiting would be seen
        open_cluster(secure.url(listener), security=secure.sasl() | change | files, deadline=40.0)
    assert len(str(caught.value).splitlines()) == 1
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ssl_password": "wrong"}, r"kafka\.ssl_keyfile .*ALVH_KAFKA__SSL_PASSWORD"),
        ({"ssl_password": ""}, r"kafka\.ssl_keyfile .*ALVH_KAFKA__SSL_PASSWORD"),
        ({"ssl_certfile": "", "ssl_keyfile": ""}, r"TLS failed: .*that the broker trusts kafka\.ssl_certfile"),
    ],
)
def test_a_certificate_that_is_refused_says_why_at_once(
    secure: SecureKafka, change: dict[str, str], words: str
) -> None:
    security = {name: value for name, value in (secure.mutual() | change).items() if value}
    with pytest.raises(UserError, match=words):
        open_cluster(secure.url("SSL"), security=security, deadline=40.0)


def test_tls_where_there_is_none_and_none_where_there_is_are_not_waited_for_beyond_the_deadline(
    secure: SecureKafka,
) -> None:
    for url, security in ((f"kafka://{secure.plain}", secure.sasl()), (secure.url(), {})):
        with pytest.raises(AlvhError, match=r"kafka\.security_protocol"):
            open_cluster(url, security=security, deadline=2.0)


def test_a_wrong_password_ends_the_process_with_one_line(
    secure: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(secure, secure.sasl(password="wrong-s3cret-1")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for words in (["run", "market"], ["topics", "plan"], ["tail", REGIME_STATES]):
        assert main(words) == EXIT_USAGE
        (line,) = capsys.readouterr().err.splitlines()
        assert "does not know this user or its password" in line
        assert "wrong-s3cret-1" not in line


# What they may do


def without(resource: str, name: str, operation: str) -> tuple[Acl, ...]:
    """The ACLs of the market processor but for one operation on one resource."""
    found = []
    for acl in MARKET:
        if (acl.resource, acl.name) == (resource, name):
            assert operation in acl.operations
            left = tuple(each for each in acl.operations if each != operation)
            acl = Acl(acl.resource, acl.name, left, acl.prefixed)
        found.append(acl)
    return tuple(acl for acl in found if acl.operations)


DENIED = [
    ("topic", MARKET_TICKS, "Read", "access to topic market.ticks is denied; grant this user "),
    ("topic", HEDGE_REGIMES, "Write", "access to topic hedge.regimes is denied; grant this user "),
    ("topic", changelog("market"), "Read", "grant this user Read on topic alvh.market.changelog"),
    ("topic", changelog("market"), "Write", "grant this user Write on topic alvh.market.changelog"),
    ("group", "alvh.market", "Read", "grant this user Read on group alvh.market"),
    ("transactional-id", "alvh.market.", "Write", "grant this user Write on transactional id alvh.market.0"),
]


@pytest.mark.parametrize(("resource", "name", "operation", "words"), DENIED)
@pytest.mark.usefixtures("topics")
def test_an_acl_that_is_missing_is_named_and_nothing_is_half_written(
    secure: SecureKafka,
    expected: Dump,
    start: Callable[..., Child],
    resource: str,
    name: str,
    operation: str,
    words: str,
) -> None:
    with granted(secure, without(resource, name, operation)):
        child = start(environment(secure, secure.sasl()), "run", "market")
        assert child.ends() == EXIT_USAGE, child.said()
    said = child.said()
    assert words in said, said
    assert "Traceback" not in said
    assert sum("CRITICAL" in line or line.startswith("alvh:") for line in said.splitlines()) == 1, said
    finishes(secure, expected, start)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (Acl("topic", HEDGE_REGIMES, ("Write",)), "grant this user Write on topic hedge.regimes"),
        (Acl("topic", MARKET_TICKS, ("Read",)), "topic market.ticks"),
        (Acl("group", "alvh.market", ("Read",)), "grant this user Read on group alvh.market"),
        (Acl("transactional-id", "alvh.market.", ("Write",), prefixed=True), "transactional id alvh.market.0"),
    ],
)
def test_an_acl_taken_away_ends_it_and_given_back_it_goes_on(
    secure: SecureKafka, start: Callable[..., Child], lost: Acl, words: str
) -> None:
    fresh_topics(secure.plain)
    half = len(STORY) // 2
    before, after = uninterrupted(STORY[:half]), uninterrupted(STORY[:half], STORY[half:])
    assert 0 < len(before[HEDGE_REGIMES, 0]) < len(after[HEDGE_REGIMES, 0])
    with closing(open_cluster(f"kafka://{secure.plain}")) as cluster:
        publish(cluster, STORY[:half])
        with granted(secure, MARKET):
            child = start(environment(secure, secure.sasl()), "run", "market")
            child.wait_for("the first half", lambda: written(secure) == before)
            secure.revoke([lost])
            publish(cluster, STORY[half:])
            assert child.ends() == EXIT_USAGE, child.said()
            assert words in child.said(), child.said()
            secure.grant([lost])
        assert written(secure) == before
    finishes(secure, after, start)


# Secrets


def forms(secret: str) -> set[bytes]:
    """How a secret could be written."""
    raw = secret.encode()
    pairs = (raw, f"\0{USER}\0{secret}".encode(), f"{USER}\0{USER}\0{secret}".encode())
    texts = {secret, repr(secret)[1:-1], repr(raw)[2:-1], json.dumps(secret)[1:-1], urllib.parse.quote(secret, "")}
    texts |= {base64.b64encode(pair).decode() for pair in pairs}
    texts |= {base64.urlsafe_b64encode(pair).decode() for pair in pairs}
    texts |= {raw.hex(), secret[: len(secret) * 3 // 4]}
    return {text.encode() for text in texts}


def found_in(text: bytes) -> set[bytes]:
    return {form for secret in (PASSWORD, KEY_PASSWORD) for form in forms(secret) if form in text}


@pytest.mark.usefixtures("topics")
def test_a_process_shows_no_secret_and_listens_on_loopback_alone(
    secure: SecureKafka, start: Callable[..., Child], tmp_path: Path
) -> None:
    security = secure.sasl("PLAIN") | {name: v for name, v in secure.mutual().items() if name.startswith("ssl_")}
    given = environment(secure, security)
    with granted(secure, MARKET):
        child = start(given, "--log-level", "debug", "run", "market")
        child.wait_for_words("market is running", "health pages on ")
        child.wait_for("a regime", lambda: bool(written(secure)[HEDGE_REGIMES, 0]))
        process = psutil.Process(child.process.pid)
        listening = {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        shown = [" ".join(process.cmdline())]
        url = child.said().partition("health pages on ")[2].split()[0]
        for page in ("metrics", "healthz", "readyz"):
            with urllib.request.urlopen(f"{url}/{page}", timeout=10) as answer:
                shown.append(answer.read().decode())
        secure.revoke([Acl("topic", MARKET_TICKS, ("Read",))])  # so that it ends by an error
        assert child.ends() == EXIT_USAGE
        secure.grant([Acl("topic", MARKET_TICKS, ("Read",))])
    for words in (["config"], ["config", "--json"], ["--log-level", "debug", "topics", "plan"]):
        other = start(given, *words)
        other.ends()
        shown.append(other.said())
    wrong = start(given | {"ALVH_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512", "ALVH_PARTITIONS": "x"}, "run", "all")
    assert wrong.ends() == EXIT_USAGE
    shown += [child.said(), wrong.said()]
    assert "alvh_" in "".join(shown)
    assert "********" in "".join(shown)
    for text in shown:
        assert not found_in(text.encode()), text


def test_the_clients_own_loggers_show_no_secret_even_at_debug(secure: SecureKafka, tmp_path: Path) -> None:
    """Lines as the client makes them, before the formatters of this program, which hide secrets too."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(logging.Formatter().format(record))  # type: ignore[method-assign]
    client = logging.getLogger("kafka")
    level = client.level
    client.addHandler(handler)
    client.setLevel(logging.DEBUG)
    try:
        fresh_topics(secure.plain)
        with granted(secure, MARKET):
            for security in (secure.sasl("PLAIN"), secure.sasl()):
                use(secure, security)
            with pytest.raises(Denied) as caught:
                use(secure, secure.sasl("PLAIN") | {"sasl_plain_username": PASSWORD[::-1]})
            lines += traceback.format_exception(caught.value)
            told = "\n".join(lines).encode()
            assert len(lines) > 100
            assert b"TransactionManager" in told or b"transaction" in told
            assert not found_in(told)
            for name in TELLTALES:  # without the filter the search finds it: it is not blind
                lines.clear()
                logging.getLogger(name).removeFilter(discreet)
                try:
                    use(secure, secure.sasl("PLAIN"))
                finally:
                    logging.getLogger(name).addFilter(discreet)
                assert found_in("\n".join(lines).encode()), name
    finally:
        client.removeHandler(handler)
        client.setLevel(level)


def use(secure: SecureKafka, security: dict[str, str]) -> None:
    """All that a processor asks of a log."""
    with closing(open_cluster(secure.url(), security=security, deadline=DEADLINE)) as cluster:
        log = cluster.member(Member("alvh.market", "0", (MARKET_TICKS,)))
        try:
            deadline = time.monotonic() + PATIENCE
            while not log.poll(0.1).partitions:
                assert time.monotonic() < deadline
            log.seek(TopicPartition(MARKET_TICKS, 0), 0)
            log.poll(0.1)
            log.send(Out(REGIME_STATES, b"US", b"{}"))
            log.commit({TopicPartition(MARKET_TICKS, 0): 0})
        finally:
            log.end()


def test_a_search_for_a_secret_finds_it_in_every_form() -> None:
    for form in forms(PASSWORD):
        assert found_in(b"before " + form + b" after")
    assert not found_in(b"before ******** after " + PORTFOLIO_SNAPSHOTS.encode())
