"""The page about metrics, the dashboard and the alerts name metrics and labels that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailsluice.metrics.catalogue import CATALOGUE, Kind, Metric
from mailsluice.reports.progress import Cause

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deployments" / "grafana" / "mailsluice.json").read_text()
)
ALERTS: dict[str, Any] = yaml.safe_load(
    (ROOT / "deployments" / "prometheus" / "alerts.yaml").read_text()
)
SAMPLES = {name: metric for metric in CATALOGUE.values() for name in metric.sample_names}
FROM_PROMETHEUS = {"instance", "job"}

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(variable["definition"] for variable in DASHBOARD["templating"]["list"][1:]),
    *(rule["expr"] for rule in RULES),
    *re.findall(r"`([^`]*mailsluice_[^`]*[({=][^`]*)`", PAGE),
]


def metrics_in(expression: str) -> list[Metric]:
    """The metrics of an expression. Raises KeyError for a name that does not exist."""
    return [SAMPLES[name] for name in re.findall(r"\bmailsluice_\w+", expression)]


def labels_in(expression: str) -> set[str]:
    """The labels that an expression chooses by, or groups by."""
    chosen = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression)
    grouped = re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression)
    asked = re.findall(r"label_values\(\w+, (\w+)\)", expression)
    return {*chosen, *asked, *(name.strip() for group in grouped for name in group.split(","))}


def test_the_page_has_the_table_of_all_metrics() -> None:
    _, found, rest = PAGE.partition("| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n")
    assert found
    rows = []
    for metric in CATALOGUE.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    assert rest.partition("\n\n")[0].split("\n") == rows


def test_names_follow_the_conventions_of_prometheus() -> None:
    for metric in CATALOGUE.values():
        assert re.fullmatch(r"mailsluice_[a-z_]+[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert metric.help.endswith(".")
        assert not {"le", "quantile", *FROM_PROMETHEUS} & {*metric.labels}
        assert list(metric.bounds) == sorted(metric.bounds)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_name_metrics_and_labels_that_exist(expression: str) -> None:
    metrics = metrics_in(expression)
    known = {label for metric in metrics for label in metric.labels} | FROM_PROMETHEUS
    is_histogram = any(metric.kind is Kind.HISTOGRAM for metric in metrics)
    assert metrics or expression == "vector(0)"
    assert labels_in(expression) <= known | ({"le"} if is_histogram else set())
    assert expression.count("(") == expression.count(")")
    for causes in re.findall(r'cause=~?"([^"]*)"', expression):
        assert {*causes.split("|")} <= {cause.name.lower() for cause in Cause}
    for metric in metrics:  # a counter says nothing by itself
        if metric.kind is not Kind.GAUGE and "label_values" not in expression:
            assert re.search(rf"(rate|increase)\({metric.name}(_bucket)?[{{\[]", expression)


def test_every_metric_but_the_version_is_on_the_dashboard() -> None:
    shown = {
        metric.name
        for panel in PANELS
        for target in panel["targets"]
        for metric in metrics_in(target["expr"])
    }
    assert {*CATALOGUE} - shown == {"mailsluice_build_info"}


def test_the_dashboard_is_one_that_grafana_provisions() -> None:
    """Provisioning asks for a title and no id; panels need ids, places and targets of their own."""
    assert DASHBOARD["id"] is None
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len({*ids}) == len(ids)
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells  # no panel covers another one
        cells |= own
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        names = [target["refId"] for target in panel["targets"]]
        assert names
        assert len({*names}) == len(names)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = {*re.findall(r"\$\{?(\w+)", json.dumps(PANELS))} - {"__rate_interval"}
    assert used <= variables


def test_legends_and_summaries_name_labels_that_their_expressions_leave() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            left = left_by(target["expr"])
            assert {*re.findall(r"{{(\w+)}}", target["legendFormat"])} <= left, panel["title"]
    for rule in RULES:
        named = {*re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))}
        assert named <= left_by(rule["expr"]), rule["alert"]


def left_by(expression: str) -> set[str]:
    """The labels of an expression's result."""
    if grouped := re.findall(r"\bby \(([^)]*)\)", expression):
        return {name.strip() for name in grouped[-1].split(",")} - {"le"}
    return {label for metric in metrics_in(expression) for label in metric.labels}


def test_alerts_have_what_prometheus_and_people_need() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert {"alert", "expr", "labels", "annotations"} <= {*rule} <= {
            "alert", "expr", "for", "labels", "annotations"
        }  # fmt: skip
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
