"""What the chart tells the Prometheus operator and Grafana."""

import json
from typing import Any, Final

import pytest
import yaml

from tests.support.dashboards import OUTPUT, RULES
from tests.support.helm import EXTERNAL_BROKER, Chart, Values
from tests.support.manifests import Manifest, identity, matches, of_kind, one, pod_templates

MONITORS: Final[Values] = {"monitoring": {"podMonitors": {"enabled": True}}}
ALERTS: Final[Values] = {"monitoring": {"rules": {"enabled": True}}}
DASHBOARDS: Final[Values] = {"monitoring": {"dashboards": {"enabled": True}}}


def endpoints(monitor: Manifest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = monitor["spec"]["podMetricsEndpoints"]
    return found


def relabelled(endpoint: dict[str, Any]) -> dict[str, str]:
    return {rule["targetLabel"]: rule["replacement"] for rule in endpoint["relabelings"]}


def rules(chart: Chart, *overlays: Values) -> list[dict[str, Any]]:
    manifests = chart.render(ALERTS, *overlays).manifests
    groups = one(manifests, "PrometheusRule/activation-rules")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_nothing_of_it_is_there_by_default(chart: Chart) -> None:
    """A cluster without the operator takes the chart."""
    manifests = chart.render().manifests

    assert of_kind(manifests, "PodMonitor", "PrometheusRule") == []
    assert not [one for one in map(identity, manifests) if "dashboard" in one]


def test_monitors_find_pods_by_ports_that_they_have(whole_chart: Chart) -> None:
    """Gateway, worker and RabbitMQ, each under the name that rules and dashboards look for."""
    manifests = whole_chart.render(MONITORS).manifests
    pods = list(pod_templates(manifests))

    jobs = set()
    for monitor in of_kind(manifests, "PodMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        (pod,) = [pod for pod in pods if matches(selector, pod.labels)]
        ports = {port["name"] for one in pod.containers for port in one.get("ports", [])}
        for endpoint in endpoints(monitor):
            assert endpoint["port"] in ports
            assert endpoint["interval"] == "30s"
            jobs.add((endpoint["path"], relabelled(endpoint)["job"]))

    assert jobs == {
        ("/metrics", "activation-gateway"),
        ("/metrics", "activation-worker"),
        ("/metrics", "activation-rabbitmq"),
        ("/metrics/detailed", "activation-rabbitmq"),
    }


def test_targets_of_one_pod_are_told_apart(whole_chart: Chart) -> None:
    """Else the `up` of RabbitMQ's two pages would be one series."""
    manifests = whole_chart.render(MONITORS).manifests

    plain, detailed = endpoints(one(manifests, "PodMonitor/activation-broker"))

    assert "endpoint" not in relabelled(plain)
    assert relabelled(detailed)["endpoint"] == "detailed"
    assert "queue_coarse_metrics" in detailed["params"]["family"]


@pytest.mark.parametrize("values", [EXTERNAL_BROKER, {"rabbitmq": {"metrics": {"enabled": False}}}])
def test_rabbitmq_elsewhere_or_without_metrics_is_not_asked(chart: Chart, values: Values) -> None:
    """Only the gateways and workers are."""
    manifests = chart.render(MONITORS, values).manifests

    assert set(map(identity, of_kind(manifests, "PodMonitor"))) == {
        "PodMonitor/activation-gateway",
        "PodMonitor/activation-worker",
    }


def test_rules_are_those_that_are_tested(chart: Chart) -> None:
    """Word for word, with the defaults."""
    groups = yaml.safe_load(RULES.read_text())["groups"]

    assert rules(chart) == [rule for group in groups for rule in group["rules"]]


def test_rules_watch_the_queue_of_this_installation(chart: Chart) -> None:
    """Another name of the queue stands in each expression that names it, whatever it holds."""
    name = 'a "queue": #1'
    found = rules(chart, {"broker": {"taskQueue": name}})

    named = [rule["expr"] for rule in found if "queue=" in rule["expr"]]
    assert named
    assert all('queue="a \\"queue\\": #1"' in expr for expr in named)
    assert all("activation.tasks" not in expr for expr in named)


def test_alerts_lead_to_the_runbooks_that_are_named(chart: Chart) -> None:
    """Below the address that is given, with or without a slash at its end."""
    base = "https://example.com/runbooks"
    values: Values = {"monitoring": {"rules": {"runbookUrl": f"{base}/"}}}

    alerts = [rule for rule in rules(chart, values) if "alert" in rule]

    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{base}/{alert['alert']}.md"


def test_dashboards_are_the_committed_ones(chart: Chart) -> None:
    """One ConfigMap each, with the label and the annotations that the sidecar looks for."""
    folder: Values = {"monitoring": {"dashboards": {"annotations": {"grafana_folder": "Access"}}}}
    manifests = chart.render(DASHBOARDS, folder).manifests
    found = [
        manifest
        for manifest in of_kind(manifests, "ConfigMap")
        if manifest["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]

    shown = {name: json.loads(text) for one in found for name, text in one["data"].items()}

    assert shown == {
        path.name: json.loads(path.read_text()) for path in OUTPUT.glob("dashboards/*.json")
    }
    assert all(one["metadata"]["annotations"] == {"grafana_folder": "Access"} for one in found)


def test_labels_of_ones_own_take_no_label_away(chart: Chart) -> None:
    """The operator's selector finds the objects, and so does everything else."""
    values: Values = {
        "monitoring": {"rules": {"labels": {"release": "prometheus", "helm.sh/chart": "x"}}}
    }
    labels = one(chart.render(ALERTS, values).manifests, "PrometheusRule/activation-rules")[
        "metadata"
    ]["labels"]

    assert labels["release"] == "prometheus"
    assert labels["helm.sh/chart"].startswith("activation-")
    assert labels["app.kubernetes.io/name"] == "activation"
