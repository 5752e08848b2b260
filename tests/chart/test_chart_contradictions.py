"""Values that cannot go together stop the install, with a sentence that says what to do."""

from typing import Final

import pytest

from tests.support.helm import EXTERNAL_BROKER, OWN_SECRETS, Chart, HelmError, Values

CONTRADICTIONS: Final[dict[str, tuple[Values, str]]] = {
    "no handler": ({"handler": {"enabled": False}}, "handler.url is missing"),
    "two handlers": ({"handler": {"url": "https://a.example.com"}}, "set handler.enabled=false"),
    "two autoscalers": (
        {"worker": {"autoscaling": {"enabled": True}}},
        "keda.enabled and worker.autoscaling.enabled are both true",
    ),
    "no broker": (
        {"rabbitmq": {"enabled": False}, "keda": {"enabled": False}},
        "broker.existingSecret is missing",
    ),
    "no way for KEDA": (
        {"rabbitmq": {"enabled": False}, "broker": {"existingSecret": "my-broker"}},
        "broker.managementUrl is missing",
    ),
    "two brokers": (
        {"broker": {"managementUrl": "http://rabbitmq.example.com:15672"}},
        "set rabbitmq.enabled=false",
    ),
    "no database": ({"postgres": {"enabled": False}}, "database.existingSecret is missing"),
    "a Secret that RabbitMQ does not read": (
        {"broker": {"existingSecret": "my-broker"}},
        'rabbitmq.auth.existingSecret .* must be "my-broker"',
    ),
    "a Secret without RabbitMQ's users": (
        {**OWN_SECRETS, "rabbitmq": {"auth": {"existingSecret": "my-broker"}}},
        'rabbitmq.definitions.existingSecret must be "my-broker"',
    ),
    "a Secret that PostgreSQL does not read": (
        {"database": {"existingSecret": "my-database"}},
        'postgres.auth.existingSecret .* must be "my-database"',
    ),
    "a password that PostgreSQL does not read": (
        {**OWN_SECRETS, "postgres": {"customUser": {"existingSecret": "my-database"}}},
        "postgres.auth.existingSecret",
    ),
    "more at least than at most": (
        {"keda": {"minReplicas": 30}},
        "keda.minReplicas is above keda.maxReplicas",
    ),
    "more gateways at least than at most": (
        {"gateway": {"autoscaling": {"enabled": True, "minReplicas": 11}}},
        "gateway.autoscaling.minReplicas is above",
    ),
    "more workers at least than at most": (
        {
            "keda": {"enabled": False},
            "worker": {"autoscaling": {"enabled": True, "minReplicas": 11}},
        },
        "worker.autoscaling.minReplicas is above",
    ),
    "tokens for anybody": (
        {"gateway": {"oidc": {"issuer": "https://a.example.com"}}},
        "gateway.oidc.audience is missing",
    ),
    "tokens of nobody": (
        {"gateway": {"oidc": {"audience": "us"}}},
        "gateway.oidc.issuer is missing",
    ),
    "keys of nobody": (
        {"gateway": {"oidc": {"jwksUrl": "https://a.example.com"}}},
        "gateway.oidc.issuer is missing",
    ),
    "a burst of no rate": (
        {"gateway": {"oidc": {"burst": 5}}},
        "gateway.oidc.burst needs gateway.oidc.ratePerSecond",
    ),
    "tokens that others can make": (
        {"gateway": {"oidc": {"issuer": "http://a.example.com", "audience": "us"}}},
        "gateway.oidc.allowHttp=true",
    ),
    "metrics that nobody may read": (
        {
            "monitoring": {"podMonitors": {"enabled": True}},
            "networkPolicy": {"metricsFrom": []},
        },
        "networkPolicy.metricsFrom is empty",
    ),
    "no time to leave": (
        {"gateway": {"drainDelaySeconds": 25}},
        "gateway.terminationGracePeriodSeconds must be at least",
    ),
}


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradiction_is_refused(chart: Chart, values: Values, sentence: str) -> None:
    """Nothing is rendered, and the message names the values."""
    with pytest.raises(HelmError, match=sentence):
        chart.render(values)


def test_preset_for_production_asks_for_the_handler(chart: Chart) -> None:
    """Without a provisioning system of its own, production is not installed."""
    with pytest.raises(HelmError, match=r"handler\.url is missing"):
        chart.render({"handler": {"url": ""}}, preset="production")


@pytest.mark.parametrize("dependency", ["rabbitmq", "postgres"])
def test_release_name_too_long_for_a_dependency_is_refused(chart: Chart, dependency: str) -> None:
    """A name that would leave its pods unmade is refused at once; another one can be given."""
    release = 44 * "r"
    others = {"rabbitmq": "postgres", "postgres": "rabbitmq"}
    other = {others[dependency]: {"fullnameOverride": "short"}}

    with pytest.raises(HelmError, match=rf"too long.*{dependency}\.fullnameOverride"):
        chart.render(other, release=release)

    named = chart.render(other, {dependency: {"fullnameOverride": "brief"}}, release=release)
    assert named.manifests


def test_broker_elsewhere_needs_no_management_without_keda(chart: Chart) -> None:
    """Only KEDA reads the management API."""
    values: Values = {**EXTERNAL_BROKER, "broker": {"existingSecret": "my-broker"}}

    assert chart.render(values, {"keda": {"enabled": False}}).manifests


def test_missing_keda_is_named(chart: Chart) -> None:
    """In a cluster that does not know its kinds, the message says what to do."""
    with pytest.raises(HelmError, match=r"KEDA is not in this cluster: .*keda\.enabled=false"):
        chart.render(kinds=("apps/v1/Deployment",))

    without = chart.render({"keda": {"enabled": False}}, kinds=("apps/v1/Deployment",))
    found = chart.render(kinds=("apps/v1/Deployment", "keda.sh/v1alpha1/ScaledObject"))
    assert without.manifests
    assert found.manifests


@pytest.mark.parametrize(
    ("value", "kind"), [("podMonitors", "PodMonitor"), ("rules", "PrometheusRule")]
)
def test_missing_operator_is_named(chart: Chart, value: str, kind: str) -> None:
    """Without the Prometheus operator the message names the value that asks for it."""
    on: Values = {"keda": {"enabled": False}, "monitoring": {value: {"enabled": True}}}
    known = ("apps/v1/Deployment", f"monitoring.coreos.com/v1/{kind}")

    with pytest.raises(HelmError, match=rf"{kind} is not in this cluster: .*monitoring\.{value}"):
        chart.render(on, kinds=("apps/v1/Deployment",))

    assert chart.render(on, kinds=known).manifests
