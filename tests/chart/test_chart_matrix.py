"""What holds for every object and every pod, however the chart is installed."""

import re
from collections import Counter
from typing import Final, NamedTuple

import pytest
import yaml

from tests.support import helm
from tests.support.helm import Chart, Render, Values
from tests.support.kubernetes_schema import schema_problems
from tests.support.manifests import (
    identity,
    matches,
    of_kind,
    pod_templates,
    references,
)
from tests.support.pod_security import violations

ABOUT: Final = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
# The oldest that the chart allows, and the newest that is known.
KUBERNETES: Final = [ABOUT["kubeVersion"].removeprefix(">=").removesuffix(".0-0"), "1.37"]
# Kinds that Kubernetes gets from KEDA and from the Prometheus operator: their fields are in
# test_chart_scaling and test_chart_monitoring.
CUSTOM: Final = {"ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"}
# Their names stand in no label and in no address: Kubernetes allows 253 characters.
LONG_NAMED: Final = {"ConfigMap", "Secret", "Role", "RoleBinding"}
LABEL: Final = re.compile(r"([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

# Made by others: the names are in the values below.
GIVEN: Final = {"my-broker", "my-database", "payments", "default"}
SCHEDULING: Final[Values] = {
    "extraEnv": [{"name": "ACTIVATION_STORE_TIMEOUT_S", "value": "4"}],
    "podAnnotations": {"example.com/owner": "team"},
    "podLabels": {"example.com/cost": "42", "app.kubernetes.io/part-of": "provisioning"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "important",
}
PEERS: Final = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}]
SWITCHES: Final[dict[str, Values]] = {
    "as it is": {},
    "keda off": {"keda": {"enabled": False}},
    "workers to nothing": {"keda": {"minReplicas": 0}},
    "workers by cpu": {"keda": {"enabled": False}, "worker": {"autoscaling": {"enabled": True}}},
    "gateway by cpu": {"gateway": {"autoscaling": {"enabled": True}}},
    "broker elsewhere": helm.EXTERNAL_BROKER,
    "database elsewhere": helm.EXTERNAL_DATABASE,
    "both elsewhere": {**helm.EXTERNAL_BROKER, **helm.EXTERNAL_DATABASE},
    "own secrets": helm.OWN_SECRETS,
    "handler elsewhere": {"handler": {"enabled": False, "url": "http://10.1.2.3:8080/v2"}},
    "mock handler": {"handler": {"enabled": True, "url": ""}},
    "no policies": {"networkPolicy": {"enabled": False}},
    "narrow policies": {
        "networkPolicy": {"gatewayFrom": PEERS, "metricsFrom": [], "extraEgress": [{"to": PEERS}]}
    },
    "ingress": {
        "gateway": {"ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls"}}
    },
    "node port": {"gateway": {"service": {"type": "NodePort", "nodePort": 30080}}},
    "no account": {"serviceAccount": {"create": False}},
    "own account": {"serviceAccount": {"create": False, "name": "payments"}},
    "no migration": {"migration": {"enabled": False}},
    "no rbac": {"tests": {"rbac": False}},
    "monitoring": {
        "monitoring": {
            "podMonitors": {"enabled": True, "labels": {"release": "prometheus"}},
            "rules": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Activation"}},
        }
    },
    "one of each": {"gateway": {"replicas": 1}, "worker": {"replicas": 1}},
    "labels": {
        "commonLabels": {
            "team": "access",
            "app.kubernetes.io/part-of": "provisioning",
            "app.kubernetes.io/component": "nothing-else",
        }
    },
    "images": {
        "image": {"registry": "registry.example.com:5000/team/", "pullSecrets": ["pull"]},
        "gateway": {"image": {"digest": f"sha256:{64 * 'a'}"}},
        "worker": {"image": {"tag": "1.2.3_rc.1"}},
    },
    "scheduling": dict.fromkeys(("gateway", "worker", "handler"), SCHEDULING),
    "names": {"nameOverride": "act", "fullnameOverride": "switch-on"},
    "long names": {"nameOverride": 40 * "n", "fullnameOverride": 63 * "f"},
}
RELEASES: Final = ["a", "prod", "activation-2", 53 * "r", "activation" + 43 * "x"]


class Case(NamedTuple):
    """One way to install the chart."""

    chart: str  # the fixture
    preset: str
    values: Values
    release: str


CASES: Final = {
    **{
        f"{preset}, {switch}": Case("chart", preset, values, "activation")
        for preset in helm.PRESETS
        for switch, values in SWITCHES.items()
    },
    **{
        f"release {release[:12]}": Case("chart", "default", SWITCHES["both elsewhere"], release)
        for release in RELEASES
    },
    **{
        f"whole {preset}, {switch}": Case("whole_chart", preset, SWITCHES[switch], "activation")
        for preset in helm.PRESETS
        for switch in ("as it is", "own secrets", "keda off", "monitoring")
    },
    **{
        f"whole, release {release[:12]}": Case("whole_chart", "production", {}, release)
        for release in (*RELEASES[:3], 43 * "r")
    },
}


@pytest.fixture(scope="session", params=CASES.values(), ids=list(CASES))
def render(request: pytest.FixtureRequest) -> Render:
    case: Case = request.param
    chart: Chart = request.getfixturevalue(case.chart)
    return chart.render(case.values, preset=case.preset, release=case.release)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(render: Render, version: str) -> None:
    """Each object fits the schema of the oldest and of the newest Kubernetes."""
    known = [manifest for manifest in render.manifests if manifest["kind"] not in CUSTOM]

    assert [problem for manifest in known for problem in schema_problems(manifest, version)] == []


def test_no_object_stands_twice(render: Render) -> None:
    """Each kind and name is rendered once."""
    counted = Counter(map(identity, render.manifests))

    assert [name for name, times in counted.items() if times > 1] == []


def test_names_and_labels_are_valid(render: Render) -> None:
    """At most 63 characters, also where Kubernetes puts an end of its own behind them."""
    names = [one["metadata"]["name"] for one in render.manifests if one["kind"] not in LONG_NAMED]
    # Of a StatefulSet's name Kubernetes makes a label, with a hash of up to ten characters.
    sets = of_kind(render.manifests, "StatefulSet")
    names += [f"{one['metadata']['name']}-{10 * 'h'}" for one in sets]
    metadata = [
        *(manifest["metadata"] for manifest in render.manifests),
        *(pod.metadata for pod in pod_templates(render.manifests)),
    ]
    labels = [value for one in metadata for value in one.get("labels", {}).values()]

    assert [name for name in names if not NAME.fullmatch(name)] == []
    assert [label for label in labels if not LABEL.fullmatch(label)] == []


def test_everything_is_in_the_namespace_of_the_release(render: Render) -> None:
    """No object goes to another namespace, or to none."""
    namespaces = {manifest["metadata"].get("namespace") for manifest in render.manifests}

    assert namespaces == {helm.NAMESPACE}


def test_pods_pass_pod_security_restricted(render: Render) -> None:
    """Those of RabbitMQ and PostgreSQL too."""
    faults = {
        pod.owner: violations(pod.spec, pod.annotations) for pod in pod_templates(render.manifests)
    }

    assert faults
    assert {owner: found for owner, found in faults.items() if found} == {}


def test_containers_say_what_they_need(render: Render) -> None:
    """Each asks for CPU and memory, and has a limit of memory."""
    for pod in pod_templates(render.manifests):
        for container in pod.containers:
            resources = container.get("resources", {})

            assert {"cpu", "memory"} <= resources.get("requests", {}).keys(), (pod.owner, container)
            assert "memory" in resources.get("limits", {}), (pod.owner, container)


def test_images_name_a_version(render: Render) -> None:
    """A tag that is not `latest`, or a digest."""
    for pod in pod_templates(render.manifests):
        for container in pod.containers:
            image = container["image"].rpartition("/")[2]
            _, _, version = image.partition("@" if "@" in image else ":")

            assert version not in {"", "latest"}, (pod.owner, image)


def test_selectors_choose_their_own_pods_alone(render: Render) -> None:
    """What a workload, a Service or a budget selects are its pods, and no others."""
    pods = list(pod_templates(render.manifests))
    for manifest in of_kind(render.manifests, "Deployment", "StatefulSet"):
        selector = manifest["spec"]["selector"]["matchLabels"]
        chosen = [pod.owner for pod in pods if matches(selector, pod.labels)]

        assert chosen == [identity(manifest)]
    for manifest in of_kind(render.manifests, "Service", "PodDisruptionBudget"):
        selector = manifest["spec"]["selector"]
        labels = selector.get("matchLabels", selector)

        assert sum(matches(labels, pod.labels) for pod in pods) == 1, identity(manifest)


def test_what_pods_refer_to_is_there(render: Render) -> None:
    """ConfigMaps, Secrets with their keys and accounts are rendered, or named in a value."""
    there = {identity(manifest): manifest for manifest in render.manifests}
    for pod in pod_templates(render.manifests):
        for name, key in [
            (f"ServiceAccount/{pod.spec['serviceAccountName']}", None),
            *references(pod.spec),
        ]:
            if name.partition("/")[2] in GIVEN:
                continue

            assert name in there, pod.owner
            assert key is None or key in there[name]["stringData"], (pod.owner, name)
