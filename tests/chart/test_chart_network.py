"""NetworkPolicies: which connections they let through, out of all that could be tried."""

from typing import Final

import pytest

from tests.support.helm import (
    EXTERNAL_BROKER,
    EXTERNAL_DATABASE,
    NAMESPACE,
    PRESETS,
    Chart,
    Values,
)
from tests.support.manifests import Manifest, PodTemplate, of_kind, pod_templates
from tests.support.network_policies import Endpoint, allows, chosen_by

Connection = tuple[str, str, int]  # from, to, port

OUTSIDE: Final = {
    "neighbour": Endpoint(NAMESPACE, {"app": "another"}, {"http": 8080}),
    "stranger": Endpoint("default", {"app": "another"}, {"http": 8080}),
    "keda": Endpoint("keda", {"app": "keda-operator"}),
    "prometheus": Endpoint("monitoring", {"app": "prometheus"}),
    "collector": Endpoint("telemetry", {"app": "collector"}, {"otlp": 4318}),
    "dns": Endpoint("kube-system", {"k8s-app": "kube-dns"}, {"dns-tcp": 53}),
    "world": Endpoint(None, {}, {"https": 443, "amqps": 5671}),
}
PODS: Final = ["gateway", "worker", "handler", "migration", "test", "rabbitmq", "postgres"]
EDGE: Final = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}]


def endpoint(pod: PodTemplate) -> Endpoint:
    ports = [port for container in pod.containers for port in container.get("ports", [])]
    return Endpoint(NAMESPACE, pod.labels, {port["name"]: port["containerPort"] for port in ports})


def endpoints(manifests: list[Manifest]) -> dict[str, Endpoint]:
    """Return the pods of the release by what they are, and some others."""
    pods = {
        pod.labels.get(
            "app.kubernetes.io/component", pod.labels["app.kubernetes.io/name"]
        ): endpoint(pod)
        for pod in pod_templates(manifests)
    }
    return {**pods, **OUTSIDE}


def connections(chart: Chart, *overlays: Values, preset: str = "default") -> set[Connection]:
    """Return every connection that has an end in the release and is let through."""
    manifests = chart.render(*overlays, preset=preset).manifests
    policies = of_kind(manifests, "NetworkPolicy")
    ends = endpoints(manifests)
    return {
        (source, target, port)
        for source, start in ends.items()
        for target, end in ends.items()
        for port in end.ports.values()
        if not {source, target} <= OUTSIDE.keys()
        if allows(policies, start, end, port)
    }


def to(target: str, port: int, *sources: str) -> set[Connection]:
    return {(source, target, port) for source in sources}


NAMES: Final = to("dns", 53, *PODS)
EXPECTED: Final = {
    *NAMES,
    *to("gateway", 8000, "test", *OUTSIDE),
    *to("gateway", 9000, "prometheus"),
    *to("worker", 9001, "prometheus"),
    *to("handler", 8080, "worker"),
    *to("rabbitmq", 5672, "gateway", "worker", "rabbitmq"),
    *to("rabbitmq", 15672, "keda", "rabbitmq"),
    *to("rabbitmq", 15692, "prometheus", "rabbitmq"),
    *to("rabbitmq", 4369, "rabbitmq"),
    *to("rabbitmq", 25672, "rabbitmq"),
    *to("postgres", 5432, "gateway", "worker", "migration"),
    *to("world", 443, "test"),  # Kubernetes' API, for the ScaledObject
}


def test_only_the_flows_of_the_system_are_let_through(whole_chart: Chart) -> None:
    """Of all connections between the pods, their neighbours and the world, no other works."""
    assert connections(whole_chart) == EXPECTED


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_every_pod_is_under_a_policy(whole_chart: Chart, preset: str, direction: str) -> None:
    """A pod that none chooses would be open to everything."""
    manifests = whole_chart.render(preset=preset).manifests
    policies = of_kind(manifests, "NetworkPolicy")

    open_pods = [
        pod.owner
        for pod in pod_templates(manifests)
        if not chosen_by(policies, endpoint(pod), direction)
    ]

    assert open_pods == []


def test_without_keda_nobody_but_the_broker_reaches_its_management(whole_chart: Chart) -> None:
    """The way in is closed with what needed it."""
    allowed = connections(whole_chart, {"keda": {"enabled": False}})

    assert EXPECTED - allowed >= to("rabbitmq", 15672, "keda")
    assert allowed <= EXPECTED


def test_callers_of_the_api_can_be_named(whole_chart: Chart) -> None:
    """Then nobody else gets in, but for `helm test`."""
    allowed = connections(whole_chart, {"networkPolicy": {"gatewayFrom": EDGE}})

    assert {source for source, target, port in allowed if (target, port) == ("gateway", 8000)} == {
        "stranger",
        "test",
    }


def test_metrics_can_be_closed(whole_chart: Chart) -> None:
    """Without a reader named, nobody reads them."""
    allowed = connections(whole_chart, {"networkPolicy": {"metricsFrom": []}})

    assert EXPECTED - allowed == {
        connection for connection in EXPECTED if connection[0] == "prometheus"
    } - to("gateway", 8000, "prometheus")


def test_real_handler_is_reached_by_the_worker_alone(whole_chart: Chart) -> None:
    """In production only the worker goes out to the world, besides the test."""
    allowed = connections(whole_chart, preset="production")

    assert {source for source, target, _ in allowed if target == "world"} == {"worker", "test"}


def test_issuer_of_tokens_is_reached_by_the_gateway_alone(chart: Chart) -> None:
    """It fetches the issuer's keys."""
    oidc = {"issuer": "https://issuer.example.com", "audience": "us"}
    allowed = connections(chart, {"gateway": {"oidc": oidc}})

    assert {source for source, target, _ in allowed if target == "world"} == {"gateway", "test"}


def test_servers_elsewhere_are_reached_by_those_that_need_them(chart: Chart) -> None:
    """The migration only needs the database."""
    broker = connections(chart, EXTERNAL_BROKER)
    database = connections(chart, EXTERNAL_DATABASE)

    assert to("world", 5671, "gateway", "worker") <= broker
    assert not to("world", 5671, "migration", "handler") & broker
    assert to("world", 443, "gateway", "worker", "migration") <= database
    assert not to("world", 443, "handler") & database


def test_the_collector_is_reached_by_those_that_record_spans(whole_chart: Chart) -> None:
    """By the port of its address, and by nobody while none is named."""
    tracing = {"endpoint": "http://collector.telemetry.svc:4318"}

    allowed = connections(whole_chart, {"tracing": tracing})

    assert allowed - EXPECTED == to("collector", 4318, "gateway", "worker", "handler")


def test_the_collector_can_be_named(whole_chart: Chart) -> None:
    """Then nothing else is reached on its port."""
    tracing = {"endpoint": "https://collector.telemetry.svc", "to": EDGE}

    assert connections(whole_chart, {"tracing": tracing}) == EXPECTED


def test_ways_out_can_be_narrowed(chart: Chart) -> None:
    """With rules of one's own, those to the whole world are gone."""
    rules = [{"to": EDGE, "ports": [{"port": 8080}]}]
    allowed = connections(chart, EXTERNAL_BROKER, {"networkPolicy": {"extraEgress": rules}})

    assert to("stranger", 8080, "gateway", "worker") <= allowed
    assert not {source for source, target, _ in allowed if target == "world"} & {
        "gateway",
        "worker",
    }


def test_policies_can_be_left_out(chart: Chart) -> None:
    """For clusters that have their own way."""
    manifests = chart.render({"networkPolicy": {"enabled": False}}).manifests

    assert of_kind(manifests, "NetworkPolicy") == []
