"""Who decides on the number of pods, and by what."""

from typing import Any, Final

import pytest

from tests.support.helm import EXTERNAL_BROKER, PRESETS, Chart, Values
from tests.support.manifests import Manifest, identity, of_kind, one

NO_KEDA: Final[Values] = {"keda": {"enabled": False}}
BY_CPU: Final[Values] = {**NO_KEDA, "worker": {"autoscaling": {"enabled": True}}}


def trigger(manifests: list[Manifest]) -> dict[str, Any]:
    (found,) = one(manifests, "ScaledObject/activation-worker")["spec"]["triggers"]
    return dict(found)


def replicas(manifests: list[Manifest], name: str) -> int | None:
    spec = one(manifests, f"Deployment/activation-{name}")["spec"]
    return None if "replicas" not in spec else int(spec["replicas"])


@pytest.mark.parametrize(
    ("values", "gateways", "workers", "scalers"),
    [
        ({}, 2, None, {"ScaledObject/activation-worker"}),
        (NO_KEDA, 2, 2, set()),
        ({**NO_KEDA, "worker": {"replicas": 7}}, 2, 7, set()),
        (BY_CPU, 2, None, {"HorizontalPodAutoscaler/activation-worker"}),
        (
            {"gateway": {"autoscaling": {"enabled": True}}},
            None,
            None,
            {"HorizontalPodAutoscaler/activation-gateway", "ScaledObject/activation-worker"},
        ),
    ],
    ids=["keda", "fixed", "fixed at 7", "workers by cpu", "gateway by cpu"],
)
def test_number_of_pods_is_decided_in_one_place(
    chart: Chart, values: Values, gateways: int | None, workers: int | None, scalers: set[str]
) -> None:
    """`replicas` is absent where an autoscaler owns it: each upgrade would set it back."""
    manifests = chart.render(values).manifests

    assert (replicas(manifests, "gateway"), replicas(manifests, "worker")) == (gateways, workers)
    assert (
        set(map(identity, of_kind(manifests, "ScaledObject", "HorizontalPodAutoscaler"))) == scalers
    )


def test_autoscalers_name_what_they_scale(chart: Chart) -> None:
    """The Deployment of their target is rendered."""
    both: Values = {**BY_CPU, "gateway": {"autoscaling": {"enabled": True}}}
    manifests = [*chart.render().manifests, *chart.render(both).manifests]
    deployments = set(map(identity, of_kind(manifests, "Deployment")))

    targets = {
        f"Deployment/{scaler['spec']['scaleTargetRef']['name']}"
        for scaler in of_kind(manifests, "ScaledObject", "HorizontalPodAutoscaler")
    }

    assert targets == {"Deployment/activation-worker", "Deployment/activation-gateway"}
    assert targets <= deployments


@pytest.mark.parametrize("preset", PRESETS)
def test_wanted_workers_are_unfinished_tasks_by_concurrency(chart: Chart, preset: str) -> None:
    """KEDA divides by what one worker really takes, and counts running tasks as work."""
    manifests = chart.render(preset=preset).manifests
    metadata = trigger(manifests)["metadata"]
    settings = one(manifests, "ConfigMap/activation-worker")["data"]

    assert metadata["value"] == settings["ACTIVATION_CONCURRENCY"]
    assert metadata["queueName"] == settings["ACTIVATION_TASK_QUEUE"]
    assert metadata["protocol"] == "http"
    assert metadata["mode"] == "QueueLength"
    assert metadata["excludeUnacknowledged"] == "false"


def test_worker_concurrency_moves_all_that_depends_on_it(chart: Chart) -> None:
    """One value sets the calls in flight and KEDA's target."""
    manifests = chart.render({"worker": {"concurrency": 7}}).manifests

    assert trigger(manifests)["metadata"]["value"] == "7"
    assert one(manifests, "ConfigMap/activation-worker")["data"]["ACTIVATION_CONCURRENCY"] == "7"


def test_scaled_object_has_no_field_that_keda_would_drop(chart: Chart) -> None:
    """Its fields are those of the KEDA documentation: a typo here would be ignored."""
    spec = one(chart.render().manifests, "ScaledObject/activation-worker")["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]

    assert spec.keys() == {
        "scaleTargetRef",
        "minReplicaCount",
        "maxReplicaCount",
        "pollingInterval",
        "cooldownPeriod",
        "fallback",
        "advanced",
        "triggers",
    }
    assert spec["fallback"].keys() == {"failureThreshold", "replicas", "behavior"}
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert behavior.keys() == {"scaleUp", "scaleDown"}
    assert trigger(chart.render().manifests).keys() == {
        "type",
        "name",
        "metricType",
        "authenticationRef",
        "metadata",
    }


def test_keda_gets_its_password_from_a_secret(chart: Chart) -> None:
    """The trigger itself names no user, and the host holds none."""
    manifests = chart.render().manifests
    name = trigger(manifests)["authenticationRef"]["name"]
    found = one(manifests, f"TriggerAuthentication/{name}")["spec"]["secretTargetRef"]

    assert {(item["parameter"], item["name"], item["key"]) for item in found} == {
        ("username", "activation-broker", "monitor-username"),
        ("password", "activation-broker", "monitor-password"),
    }
    assert trigger(manifests)["metadata"]["host"] == (
        "http://activation-rabbitmq.telecom.svc:15672/"
    )


def test_keda_reads_a_queue_elsewhere(chart: Chart) -> None:
    """With an external RabbitMQ it asks there, with the user of the given Secret."""
    manifests = chart.render(EXTERNAL_BROKER).manifests
    name = trigger(manifests)["authenticationRef"]["name"]
    found = one(manifests, f"TriggerAuthentication/{name}")["spec"]["secretTargetRef"]

    assert trigger(manifests)["metadata"]["host"] == "http://rabbitmq.example.com:15672"
    assert {item["name"] for item in found} == {"my-broker"}


def test_nothing_of_keda_is_left_without_it(chart: Chart) -> None:
    """A cluster that does not know its kinds takes the chart."""
    manifests = chart.render(NO_KEDA).manifests

    assert {found["apiVersion"] for found in manifests if "keda" in found["apiVersion"]} == set()
