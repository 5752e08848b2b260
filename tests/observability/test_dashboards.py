"""The committed dashboards and rules: complete, in step, and of metrics that exist."""

import importlib
import re
import subprocess
import sys
from typing import Final

import pytest
from prometheus_client import REGISTRY

from tests.support import dashboards
from tests.support.dashboards import RULES, RUNBOOKS, Query, Row, metrics_of, panels

DATASOURCES: Final = {
    "prometheus": {"type": "prometheus", "uid": "${datasource}"},
    "jaeger": {"type": "jaeger", "uid": "${jaeger}"},
}
# RabbitMQ 3.10 and 4.3, /metrics and /metrics/detailed; two families of the latter count the same,
# of which each version has one.
RABBITMQ: Final = {
    "rabbitmq_alarms_free_disk_space_watermark",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_connections",
    "rabbitmq_detailed_channel_messages_acked_total",
    "rabbitmq_detailed_channel_messages_confirmed_total",
    "rabbitmq_detailed_channel_messages_delivered_ack_total",
    "rabbitmq_detailed_channel_messages_published_total",
    "rabbitmq_detailed_channel_messages_redelivered_total",
    "rabbitmq_detailed_queue_consumers",
    "rabbitmq_detailed_queue_messages",
    "rabbitmq_detailed_queue_messages_acked_total",
    "rabbitmq_detailed_queue_messages_delivered_ack_total",
    "rabbitmq_detailed_queue_messages_ready",
    "rabbitmq_detailed_queue_messages_redelivered_total",
    "rabbitmq_detailed_queue_messages_unacked",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_disk_space_available_limit_bytes",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_resident_memory_limit_bytes",
}
# KEDA, pkg/metricscollector/prommetrics.go.
KEDA: Final = {
    "keda_scaled_object_paused",
    "keda_scaler_detail_errors_total",
    "keda_scaler_metrics_value",
}
PROMETHEUS: Final = {"ALERTS", "up"}

SHOWN: Final = [*dashboards.panel_queries(), *dashboards.annotation_queries()]
RULES_ONLY: Final = [*dashboards.records(), *dashboards.alerts()]
ALL: Final = [*SHOWN, *RULES_ONLY]
PANELS: Final = [(board, panel) for board in dashboards.dashboards() for panel in panels(board)]
PANEL_NAMES: Final = [f"{board['uid']} / {panel['title']}" for board, panel in PANELS]
ALERTS: Final = [rule for rule in dashboards.rules() if "alert" in rule]


@pytest.fixture(scope="session")
def ours() -> set[str]:
    """The series that gateway and worker expose, by their own definitions."""
    for service in ("gateway", "worker"):
        importlib.import_module(f"activation_{service}.metrics")
    families = list(REGISTRY.collect())
    return {
        name
        for family in families
        for name in (
            [f"{family.name}_{end}" for end in ("bucket", "count", "sum")]
            if family.type == "histogram"
            else [f"{family.name}_total"]
            if family.type == "counter"
            else [f"{family.name}_info"]
            if family.type == "info"
            else [family.name]
        )
    }


def test_what_is_committed_is_in_step() -> None:
    """`make generate` was run after the last change."""
    check = [sys.executable, "-m", "observability.generate", "--check"]

    done = subprocess.run(check, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_prometheus_accepts_the_rules() -> None:
    """Syntax, templates and duplicates, by Prometheus' own tool."""
    check = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(RULES)]

    done = subprocess.run(check, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboards_have_addresses_of_their_own() -> None:
    """Each uid stands once, and no two panels of a dashboard have the same id."""
    boards = dashboards.dashboards()

    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids), board["uid"]


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=PANEL_NAMES)
def test_panel_explains_itself(board: Row, panel: Row) -> None:
    """It says in words what it shows, in a unit, from a data source that can be chosen."""
    assert len(panel["description"].split()) >= 3
    if panel["type"] == "text":
        return
    assert panel["fieldConfig"]["defaults"]["unit"]
    for source in [panel["datasource"], *(one["datasource"] for one in panel["targets"])]:
        assert source == DATASOURCES[source["type"]]
    names = {variable["name"] for variable in board["templating"]["list"]}
    assert panel["datasource"]["uid"].strip("${}") in names


@pytest.mark.parametrize("board", dashboards.dashboards(), ids=lambda board: str(board["uid"]))
def test_dashboard_leads_to_the_others(board: Row) -> None:
    """Its links keep the time and the variables, and find each other by a tag."""
    (link,) = board["links"]

    assert set(link["tags"]) <= set(board["tags"])
    assert link["includeVars"]
    assert link["keepTime"]


def test_links_to_dashboards_lead_somewhere() -> None:
    """Each address within a dashboard names one that there is."""
    uids = {str(board["uid"]) for board in dashboards.dashboards()}
    text = "".join(path.read_text() for path in dashboards.OUTPUT.glob("dashboards/*.json"))
    named = set(re.findall(r'"/d/([\w-]+)', text))

    assert named
    assert named <= uids


@pytest.mark.parametrize("query", ALL, ids=lambda query: query.place)
def test_query_asks_for_metrics_that_exist(query: Query, ours: set[str]) -> None:
    """Of the services, RabbitMQ, KEDA and Prometheus, or recorded by a rule."""
    recorded = {rule["record"] for rule in dashboards.rules() if "record" in rule}

    assert metrics_of(query.expr)
    assert metrics_of(query.expr) - ours - recorded - RABBITMQ - KEDA - PROMETHEUS == set()


@pytest.mark.parametrize("query", SHOWN, ids=lambda query: query.place)
def test_dashboard_looks_at_one_installation(query: Query) -> None:
    """Each series in it is chosen by the namespace."""
    selectors = [
        selector
        for name in metrics_of(query.expr)
        for selector in re.findall(rf"(?<![\w:]){name}\b(?![\w:])(.?)", query.expr)
    ]

    assert set(selectors) == {"{"}
    assert query.expr.count('namespace="$namespace"') == len(selectors)


@pytest.mark.parametrize("query", RULES_ONLY, ids=lambda query: query.place)
def test_rule_has_a_result_for_each_installation(query: Query) -> None:
    """No aggregation loses the namespace."""
    kept = re.findall(r"\b(?:sum|max|min|avg|count) by \(([^)]*)\)", query.expr)

    assert all("namespace" in labels for labels in kept)
    assert not re.search(r"\b(sum|max|min|avg|count)\s*\(", query.expr)


def test_every_recorded_series_is_used() -> None:
    """By a panel, an alert or another rule."""
    used = set().union(*(metrics_of(query.expr) for query in ALL))

    assert {rule["record"] for rule in dashboards.rules() if "record" in rule} <= used


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels']}")
def test_alert_says_what_is_wrong_and_what_to_do(rule: Row) -> None:
    """Whom it calls, what the customer feels, the number, and the page."""
    notes = rule["annotations"]

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert re.search("[Cc]ustomer|[Aa]ctivations", notes["summary"])
    assert "{{" in notes["description"]
    assert notes["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """And nothing else lies between them but their list."""
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}

    assert pages == {rule["alert"] for rule in ALERTS}
