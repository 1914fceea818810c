"""Settings: where they come from, who wins, and what is said of wrong ones."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from processors.config import HIDDEN, Settings, allowed, fields, load, load_calibration, variable
from processors.errors import ConfigError
from processors.logs import JsonFormatter, TextFormatter, without_secrets
from topics.calibration import Calibration


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working directory, and no setting in the environment."""
    for name in list(os.environ):
        if name.upper().startswith("ALVH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "alvh.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def complaint(text: str = "", **given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(text), given)
    return str(caught.value)


# Where values come from


def test_defaults_are_a_working_deployment() -> None:
    settings = load()
    assert settings.log == "sqlite://alvh.sqlite"
    assert settings.http_host == "127.0.0.1"
    assert settings.partitions == 1
    assert settings.security is None
    assert {source.origin for source in settings.sources()} == {"default"}
    assert settings.load_calibration() == Calibration()


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = "[kafka]\nsecurity_protocol = 'SSL'\nssl_cafile = 'ca.pem'\n"
    path = write(f"partitions = 2\nreplication_factor = 3\nhttp_port = 1\n{kafka}")
    monkeypatch.setenv("ALVH_PARTITIONS", "4")
    monkeypatch.setenv("ALVH_HTTP_PORT", "5")
    monkeypatch.setenv("ALVH_KAFKA__SSL_CAFILE", "other.pem")
    settings = load(path, {"http_port": "6", "log": None})
    assert (settings.http_port, settings.partitions, settings.replication_factor) == (6, 4, 3)
    assert settings.kafka.ssl_cafile == Path("other.pem")
    origins = {source.key: source.origin for source in settings.sources()}
    assert origins["http_port"] == "command line"
    assert origins["partitions"] == "environment ALVH_PARTITIONS"
    assert origins["kafka.ssl_cafile"] == "environment ALVH_KAFKA__SSL_CAFILE"
    assert origins["replication_factor"] == "file alvh.toml"
    assert origins["log"] == "default"


def test_the_environment_and_the_file_join_within_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[kafka]\nsecurity_protocol = 'sasl_ssl'\nsasl_mechanism = 'plain'\nsasl_plain_username = 'desk'\n")
    monkeypatch.setenv("ALVH_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    monkeypatch.setenv("ALVH_LOG", "kafka://b:9092")
    assert load().security == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "desk",
        "sasl_plain_password": "hunter2",
    }


def test_the_file_is_the_one_named_or_the_one_of_the_environment_or_alvh_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    write("partitions = 2")
    write("partitions = 3", "b.toml")
    write("partitions = 4", "c.toml")
    assert load().partitions == 2
    monkeypatch.setenv("ALVH_CONFIG", "b.toml")
    assert load().partitions == 3
    assert load(Path("c.toml")).partitions == 4


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_CALIBRATION", "")
    monkeypatch.setenv("ALVH_PARTITIONS", "")
    settings = load(write("partitions = 3"))
    assert settings.calibration is None
    assert settings.partitions == 3
    assert settings.was_default("calibration")
    assert not settings.was_default("partitions")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().partitions = 2  # type: ignore[misc]


@pytest.mark.parametrize(("key", "info"), list(fields()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_setting_says_what_it_is_and_what_it_may_be(key: str, info: Any) -> None:
    assert info.description
    assert allowed(info)
    assert variable(key).startswith("ALVH_")
    assert "seconds" in info.description or not key.endswith("_seconds")


# What is said of wrong ones


def test_a_wrong_value_names_key_origin_value_and_what_is_allowed() -> None:
    words = complaint("partitions = 0")
    assert words.startswith("partitions (file alvh.toml): 0 cannot be used; allowed is a whole number, 1 to 1024")
    assert "partitions of every topic" in words


def test_all_wrong_values_are_told_at_once() -> None:
    lines = complaint("partitions = 0\nlog_level = 'loud'\n", http_port="99999").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["partitions", "http_port", "log_level"]
    assert "(command line): '99999'" in lines[1]
    assert "debug, info, warning, error" in lines[2]


def test_a_wrong_value_of_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_LATE_SECONDS", "soon")
    assert "late_seconds (environment ALVH_LATE_SECONDS): 'soon' cannot be used" in complaint()


@pytest.mark.parametrize(
    "line",
    [
        "partitions = true",
        "late_seconds = 1.5",
        "commit_interval_seconds = nan",
        "commit_interval_seconds = -0.1",
        "instance = 'a b'",
        "instance = ''",
        "log_format = 'xml'",
        "log = 'http://x'",
        "log = 'sqlite://'",
        "log = 'kafka://broker'",
        "log = 'kafka://a:1,b'",
        "http_host = ''",
        "calibration = 3",
        "watchdog_seconds = 5",
        "kafka = 3",
        "[log]\nx = 1",
        "[kafka]\nsecurity_protocol = 'TLS'",
        "[kafka]\nsecurity_protocol = 'SASL_SSL'",
        "[kafka]\nssl_certfile = 'a.pem'",
        "[kafka]\nsecurity_protocol = 'SSL'\nssl_certfile = 'a.pem'",
        "[kafka]\nsasl_mechanism = 'PLAIN'",
        "[kafka]\npassword_in_clear = 3",
    ],
)
def test_what_cannot_be_used_is_refused(line: str) -> None:
    words = complaint(line)
    assert not any(word in words for word in ("pydantic", "Value error", "type="))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partition = 2", "did you mean partitions?"),
        ("[kafka]\nsasl_mechanisms = 'PLAIN'", "did you mean kafka.sasl_mechanism?"),
        ("colour = 'red'", "the settings are log, partitions"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(text: str, words: str) -> None:
    told = complaint(text)
    assert "is no setting" in told
    assert words in told


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_PARTITION", "4")
    with pytest.raises(ConfigError, match="ALVH_PARTITION is no setting; did you mean ALVH_PARTITIONS"):
        load()


def test_variables_of_the_tests_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALVH_DATA", "ALVH_REQUIRE_KAFKA", "ALVH_KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.setenv(name, "1")
    assert load().partitions == 1


@pytest.mark.parametrize("text", ["partitions = ", "= 2", "[kafka", "\x00"])
def test_a_file_that_is_no_toml_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"alvh\.toml is no TOML file"):
        load(write(text))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load(Path("nowhere.toml"))


# Secrets


def test_a_secret_in_the_file_is_refused_and_not_repeated() -> None:
    words = complaint("[kafka]\nsasl_plain_password = 'hunter2'")
    assert "ALVH_KAFKA__SASL_PLAIN_PASSWORD" in words
    assert "environment only" in words
    assert "hunter2" not in words


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    words = complaint(log="kafka://desk:hunter2@b:9092")
    assert "a URL holds no user or password" in words
    assert "hunter2" not in words


def test_secrets_are_hidden_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    settings = load(given={"log": "kafka://b:9092"})
    shown = {source.key: source.value for source in settings.sources()}
    assert shown["kafka.sasl_plain_password"] == HIDDEN
    for text in (repr(settings), str(settings), str(settings.sources()), settings.model_dump_json()):
        assert "hunter2" not in text


def test_a_secret_is_not_in_errors_about_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    assert "hunter2" not in complaint("partitions = 0\n[kafka]\nsecurity_protocol = 'SASL_SSL'")


def test_security_is_for_kafka_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_KAFKA__SECURITY_PROTOCOL", "ssl")
    monkeypatch.setenv("ALVH_KAFKA__SSL_CAFILE", "ca.pem")
    assert load().security is None
    assert load(given={"log": "kafka://b:1"}).security == {"security_protocol": "SSL", "ssl_cafile": "ca.pem"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssl_cafile = 'ca.pem'", "PLAINTEXT encrypts nothing; set SSL"),
        ("ssl_keyfile = 'key.pem'\nssl_certfile = 'certificate.pem'", "PLAINTEXT encrypts nothing"),
        ("security_protocol = 'SSL'\nsasl_mechanism = 'PLAIN'", "SSL uses no sasl_mechanism"),
        ("security_protocol = 'SASL_PLAINTEXT'\nsasl_mechanism = 'PLAIN'", "password_in_clear = true"),
    ],
)
def test_what_looks_secure_and_is_not_is_refused(text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    complained = complaint(f"[kafka]\n{text}\nsasl_plain_username = 'desk'")
    assert words in complained
    assert "hunter2" not in complained


def test_plain_in_clear_text_and_scram_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALVH_KAFKA__SASL_PLAIN_PASSWORD", "hunter2")
    text = "log = 'kafka://b:1'\n[kafka]\nsecurity_protocol = 'SASL_PLAINTEXT'\nsasl_plain_username = 'desk'\n"
    for line in ("sasl_mechanism = 'PLAIN'\npassword_in_clear = true", "sasl_mechanism = 'SCRAM-SHA-512'"):
        security = load(write(f"{text}{line}")).security
        assert security is not None
        assert security["security_protocol"] == "SASL_PLAINTEXT"
        assert "password_in_clear" not in security, "it is no setting of the client"


@pytest.mark.parametrize(
    "text",
    [
        "kafka://desk:hunter2@broker:9092",
        "sasl_plain_password=hunter2",
        "{'sasl_plain_password': 'hunter2'}",
        '{"password": "hunter2", "x": 1}',
        "token: hunter2",
    ],
)
def test_log_lines_hold_no_secrets(text: str) -> None:
    record = logging.makeLogRecord({"msg": text, "name": "alvh", "levelname": "INFO", "levelno": 20})
    for shown in (without_secrets(text), TextFormatter().format(record), JsonFormatter().format(record)):
        assert "hunter2" not in shown
        assert "*****" in shown


def test_log_lines_in_json_are_one_object_with_a_utc_time() -> None:
    record = logging.makeLogRecord(
        {"msg": "a %s", "args": ("b",), "levelname": "INFO", "created": 0.5, "partition": 3, "name": "alvh.x"}
    )
    assert json.loads(JsonFormatter().format(record)) == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "info",
        "logger": "alvh.x",
        "message": "a b",
        "partition": 3,
    }
    assert TextFormatter().format(record) == "1970-01-01T00:00:00.500Z INFO alvh.x: a b"


# Calibration


def test_a_document_may_leave_out_what_stays_as_it_is() -> None:
    path = write("name = 'mine'\n[regime]\nmargin = 5\n[hedge]\nl1_low = [0.1, 0.3]\n", "c.toml")
    found = load_calibration(path)
    assert (found.name, found.regime.margin, found.hedge.l1_low) == ("mine", 5, (0.1, 0.3))
    assert found.regime.dwell == Calibration().regime.dwell
    assert found.digest() != Calibration().digest()


def test_what_config_calibration_prints_can_be_read_back() -> None:
    path = write(json.dumps(Calibration().document()), "c.json")
    settings = load(write(f"calibration = '{path}'"))
    assert settings.load_calibration() == Calibration()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.toml", "[regime]\ncuts = [3, 2, 1]", "must rise"),
        ("c.toml", "[regime]\nmargins = 1", r"regime\.margins \(file c\.toml\)"),
        ("c.toml", "[regime]\nmargin = -1", r"regime\.margin .*-1.* given: .*greater than or equal to 0"),
        ("c.toml", "[hedge]\nband = nan", "c.toml"),
        ("c.json", '{"schema_version": 2}', "schema_version"),
        ("c.json", "{", "no JSON document"),
        ("c.json", "[]", "calibration"),
        ("c.toml", "x", "no TOML document"),
        ("c.yaml", "x", r"neither \.json nor \.toml"),
    ],
)
def test_a_wrong_document_names_place_value_and_rule(name: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_calibration(write(text, name))


def test_a_document_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.json"):
        load(write("calibration = 'nowhere.json'")).load_calibration()


def test_settings_made_without_loading_are_the_defaults_too() -> None:
    assert Settings().sources() == load().sources()
