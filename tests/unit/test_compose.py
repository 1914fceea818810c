"""The deployment files: well formed, safe by default, and about topics, commands and metrics that exist.

``tests/data/compose-spec-subset.json`` is not the published schema of the Compose Specification but the part of it that
our file uses, written after it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from processors.alerter import METRICS as ALERTER_METRICS
from processors.config import fields, load, variable
from processors.hedger import METRICS as HEDGER_METRICS
from processors.market import METRICS as MARKET_METRICS
from processors.stream.metrics import STREAM_METRICS
from topics.catalog import PROCESSORS

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
RULES = yaml.safe_load((ROOT / "ops/prometheus/rules.yml").read_text())
SCRAPES = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())
DASHBOARD = json.loads((ROOT / "ops/grafana/dashboards/alvh.json").read_text())
METRICS = {m.name: m for m in (*STREAM_METRICS, *MARKET_METRICS, *HEDGER_METRICS, *ALERTER_METRICS)}

RULE_EXPRESSIONS = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
PANEL_EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


# Compose


def test_the_file_is_a_compose_file() -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec-subset.json").read_text())
    Draft7Validator.check_schema(schema)
    errors = [f"{e.json_path}: {e.message}" for e in Draft7Validator(schema).iter_errors(COMPOSE)]
    assert errors == []


def test_it_runs_every_processor_and_prepares_the_topics_first() -> None:
    assert OURS.keys() == {"topics", *PROCESSORS}
    assert OURS["topics"]["command"] == ["topics", "apply"]
    for name in PROCESSORS:
        assert OURS[name]["command"] == ["run", name]
        assert OURS[name]["depends_on"]["topics"]["condition"] == "service_completed_successfully"
        assert OURS[name]["restart"] == "unless-stopped"


def test_what_a_service_depends_on_is_there() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_images_are_pinned_and_name_no_registry() -> None:
    for name, service in SERVICES.items():
        image, _, tag = service["image"].rpartition(":")
        assert re.search(r"\d+\.\d+", tag), name
        assert "." not in image.split("/")[0], f"{name} names a registry"


def test_every_port_is_bound_to_loopback_and_none_twice() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)


def test_services_that_stay_have_a_health_check_and_are_restarted() -> None:
    for name, service in SERVICES.items():
        if name != "topics":
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["restart"] == "unless-stopped", name


def test_our_services_have_no_rights() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_secret_is_in_the_files() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search(r"(?i)password|secret|token", name) or not value
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"(?im)^\s*(arg|env).*(password|secret|token)", text)


def test_the_environment_is_settings_that_load(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {variable(key) for key, _ in fields()}
    for service in OURS.values():
        assert set(service["environment"]) <= known
        for name, value in service["environment"].items():
            monkeypatch.setenv(name, value)
    settings = load()
    assert settings.log == "kafka://kafka:9092"
    assert settings.partitions == 4


def test_volumes_that_are_used_are_declared_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
                assert mount.endswith(":ro")
            else:
                assert source in COMPOSE["volumes"]


def test_the_tested_kafka_is_the_deployed_one() -> None:
    pom = (ROOT / "tests/integration/kafka/pom.xml").read_text()
    tested = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)</version>", pom)
    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"


# Dockerfile


def test_the_image_is_built_in_stages_from_a_pinned_base_and_runs_without_rights() -> None:
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"(?m)^FROM (\S+)", text)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    assert re.search(r"(?m)^USER (?!0|root)", text)
    assert "HEALTHCHECK" in text
    assert "/healthz" in text
    assert 'ENTRYPOINT ["alvh"]' in text


def test_the_image_is_built_from_files_that_the_builder_gets() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"(?m)^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text())
    for line in copied:
        for source in line.split()[:-1]:
            assert f"!{source}" in ignored
            assert (ROOT / source).exists()


# Prometheus and Grafana


def test_prometheus_scrapes_every_processor_on_its_port() -> None:
    (scrape,) = SCRAPES["scrape_configs"]
    assert scrape["job_name"] == "alvh"
    assert set(scrape["static_configs"][0]["targets"]) == {f"{name}:9464" for name in PROCESSORS}
    assert SCRAPES["rule_files"] == ["rules.yml"]


def named(expression: str) -> set[str]:
    """Metrics of ours that an expression uses, as they are declared."""
    names = set(re.findall(r"\balvh_\w+", expression))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


@pytest.mark.parametrize("expression", [*RULE_EXPRESSIONS, *PANEL_EXPRESSIONS])
def test_expressions_use_metrics_and_labels_that_exist(expression: str) -> None:
    names = named(expression)
    assert names or expression.startswith("up{")
    assert names <= set(METRICS)
    labels = {"processor", "instance", "job", "le"}.union(*(METRICS[name].labels for name in names))
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in group.split(",")} <= labels
    for selector in re.findall(r"\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*=", selector)) <= labels
    for call in re.findall(r"\b(?:rate|increase)\((alvh_\w+)", expression):
        assert call.endswith(("_total", "_bucket", "_count", "_sum"))


def test_every_rule_says_what_it_means_and_what_to_look_at() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}


def test_words_of_rules_use_labels_that_the_expression_keeps() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
            kept = re.findall(r"\b(?:sum|max|min) by \(([^)]*)\)", rule["expr"])
            if kept:
                assert used <= {label.strip() for label in kept[0].split(",")} - {"le"}, rule["alert"]


def test_the_dashboard_asks_the_provisioned_source_and_every_panel_is_described() -> None:
    source = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())
    uid = source["datasources"][0]["uid"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == uid
        assert panel["description"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
