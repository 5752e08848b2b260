"""k8s/observability: what it runs, and that the chart and it know of each other."""

import re
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.chart.test_chart_network import endpoint
from tests.support.dashboards import OUTPUT
from tests.support.helm import Chart
from tests.support.kubernetes_schema import schema_problems
from tests.support.manifests import (
    Manifest,
    PodTemplate,
    identity,
    matches,
    of_kind,
    one,
    pod_templates,
    references,
)
from tests.support.network_policies import Endpoint, allows
from tests.support.observability import NAMESPACE, PORTS, read_file, read_stack, stack_values
from tests.support.pod_security import violations

PARTS: Final = {"otel-collector", "jaeger", "prometheus", "grafana"}
CLUSTER_WIDE: Final = {"Namespace", "ClusterRole", "ClusterRoleBinding"}


@pytest.fixture(scope="module")
def stack() -> list[Manifest]:
    return read_stack()


@pytest.fixture(scope="module")
def pods(stack: list[Manifest]) -> dict[str, PodTemplate]:
    """The pods of the stack, by the name of their Deployment."""
    return {pod.owner.removeprefix("Deployment/"): pod for pod in pod_templates(stack)}


def service_ports(stack: list[Manifest], name: str) -> set[int]:
    """The ports of a Service of the stack."""
    return {port["port"] for port in one(stack, f"Service/{name}")["spec"]["ports"]}


def address(url: str) -> tuple[str, int]:
    """Host and port; a URL without a scheme is one, too."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    return str(parts.hostname), int(parts.port or 0)


def test_kubernetes_accepts_every_object(stack: list[Manifest]) -> None:
    """And all of them are in the one namespace."""
    outside = {each["kind"] for each in stack if "namespace" not in each["metadata"]}

    assert [problem for each in stack for problem in schema_problems(each, "1.34")] == []
    assert outside == CLUSTER_WIDE


def test_pods_are_restricted_and_small(pods: dict[str, PodTemplate]) -> None:
    """As the namespace enforces it; and nothing is written but to volumes."""
    assert pods.keys() == PARTS
    for pod in pods.values():
        [container] = pod.containers
        assert violations(pod.spec, pod.annotations) == []
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert {"readinessProbe", "livenessProbe"} <= container.keys()


def test_namespace_enforces_the_restrictions(stack: list[Manifest]) -> None:
    """A pod that breaks them is not let in."""
    labels = one(stack, f"Namespace/{NAMESPACE}")["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_are_pinned(pods: dict[str, PodTemplate]) -> None:
    """To one release each."""
    images = [container["image"] for pod in pods.values() for container in pod.containers]

    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_pods_mount_what_is_there(stack: list[Manifest], pods: dict[str, PodTemplate]) -> None:
    """Each ConfigMap by the name that a change of its content gives it."""
    there = set(map(identity, stack))

    for pod in pods.values():
        assert {name for name, _ in references(pod.spec)} <= there


@pytest.mark.parametrize("name", sorted(PARTS))
def test_services_lead_to_their_pods(
    stack: list[Manifest], pods: dict[str, PodTemplate], name: str
) -> None:
    """By labels that only these pods have, to ports that they open."""
    spec = one(stack, f"Service/{name}")["spec"]
    chosen = {each for each, pod in pods.items() if matches(spec["selector"], pod.labels)}
    opened = {port["name"] for port in pods[name].containers[0]["ports"]}

    assert chosen == {name}
    assert {port["targetPort"] for port in spec["ports"]} <= opened


def test_only_prometheus_may_ask_kubernetes(
    stack: list[Manifest], pods: dict[str, PodTemplate]
) -> None:
    """And it may look for pods, nothing else."""
    tokens = {
        name for name, pod in pods.items() if pod.spec.get("automountServiceAccountToken", True)
    }
    [role] = of_kind(stack, "ClusterRole")

    assert tokens == {"prometheus"}
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    ]


def test_spans_go_from_the_chart_to_the_collector_to_jaeger(stack: list[Manifest]) -> None:
    """Each names a Service and a port of the next one."""
    collector = read_file("collector.yaml")
    host, port = address(stack_values()["tracing"]["endpoint"])
    jaeger = collector["exporters"]["otlp_grpc/jaeger"]["endpoint"]

    assert host == f"otel-collector.{NAMESPACE}.svc"
    assert port in service_ports(stack, "otel-collector")
    assert address(jaeger)[1] in service_ports(stack, address(jaeger)[0])


def test_grafana_finds_its_data_sources(stack: list[Manifest]) -> None:
    """At Services of the stack, and each links to another that is there."""
    sources = {each["uid"]: each for each in read_file("datasources.yaml")["datasources"]}
    exemplars = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    metrics = sources["jaeger"]["jsonData"]["tracesToMetrics"]

    for uid, each in sources.items():
        assert address(each["url"]) == (uid, PORTS[uid])
        assert PORTS[uid] in service_ports(stack, uid)
    assert {each["datasourceUid"] for each in exemplars} == {"jaeger"}
    assert metrics["datasourceUid"] == "prometheus"


def mounted(pod: PodTemplate, config_map: str) -> PurePosixPath:
    """Where a pod has the files of a ConfigMap, whose name ends in a hash of its content."""
    [volume] = [
        each["name"]
        for each in pod.spec["volumes"]
        if each.get("configMap", {}).get("name", "").startswith(config_map)
    ]
    [mount] = [each for each in pod.containers[0]["volumeMounts"] if each["name"] == volume]
    return PurePosixPath(mount["mountPath"])


def test_prometheus_reads_the_rules_of_the_chart(pods: dict[str, PodTemplate]) -> None:
    """All files of the folder in which they are mounted."""
    folder = mounted(pods["prometheus"], "activation-rules")

    assert read_file("prometheus.yaml")["rule_files"] == [str(folder / "*.yaml")]


def test_grafana_shows_the_dashboards_of_the_chart(
    stack: list[Manifest], pods: dict[str, PodTemplate]
) -> None:
    """All of them, and the first is its front page."""
    folder = mounted(pods["grafana"], "activation-dashboards")
    [provider] = read_file("dashboards.yaml")["providers"]
    variables = {each["name"]: each["value"] for each in pods["grafana"].containers[0]["env"]}
    home = PurePosixPath(variables["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    files = {file for each in of_kind(stack, "ConfigMap") for file in each["data"]}

    assert provider["options"]["path"] == str(folder) == str(home.parent)
    assert home.name in files
    assert files >= {path.name for path in OUTPUT.glob("dashboards/*.json")}


def test_policies_let_through_spans_and_scrapes_and_nothing_else(
    whole_chart: Chart, pods: dict[str, PodTemplate]
) -> None:
    """Of all connections between a release that was told of the stack, and the stack."""
    manifests = whole_chart.render(stack_values(), preset="dev").manifests
    policies = of_kind(manifests, "NetworkPolicy")
    ours = {
        pod.labels.get(
            "app.kubernetes.io/component", pod.labels["app.kubernetes.io/name"]
        ): endpoint(pod)
        for pod in pod_templates(manifests)
    }
    theirs = {
        name: Endpoint(NAMESPACE, pod.labels, endpoint(pod).ports) for name, pod in pods.items()
    }
    ends = ours | theirs

    through = {
        (source, target, port)
        for source, start in ends.items()
        for target, end in ends.items()
        for port in end.ports.values()
        if (source in ours) != (target in ours) and allows(policies, start, end, port)
    }

    # The API is open to everybody, as are PostgreSQL's answers: it has no policy for what leaves.
    asked = {(name, "gateway", 8000) for name in theirs}
    spans = {(name, "otel-collector", 4318) for name in ("gateway", "worker", "handler")}
    scrapes = {("prometheus", "gateway", 9000), ("prometheus", "worker", 9001)}
    scrapes |= {("prometheus", "rabbitmq", 15692)}
    free = {one for one in through if one[0] == "postgres"}
    assert through - free == asked | spans | scrapes
