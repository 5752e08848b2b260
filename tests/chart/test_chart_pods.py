"""The pods of our own parts: what they may do, how they are watched, how they leave."""

from typing import Any, Final

import pytest
from pydantic_settings import BaseSettings

from activation_gateway.settings import GatewaySettings
from activation_handler.settings import HandlerSettings
from activation_worker.settings import WorkerSettings
from tests.support.helm import OWN_SECRETS, PRESETS, Chart, Render, Values
from tests.support.manifests import (
    Manifest,
    PodTemplate,
    identity,
    of_kind,
    one,
    pod_templates,
)

SERVICES: Final[dict[str, type[BaseSettings]]] = {
    "gateway": GatewaySettings,
    "worker": WorkerSettings,
    "handler": HandlerSettings,
}
TEST_POD: Final = "Pod/activation-test"


@pytest.fixture(scope="session", params=PRESETS)
def render(request: pytest.FixtureRequest, chart: Chart) -> Render:
    return chart.render(preset=request.param)


@pytest.fixture
def pods(render: Render) -> list[PodTemplate]:
    return list(pod_templates(render.manifests))


def service(manifests: list[Manifest], name: str) -> PodTemplate:
    (pod,) = pod_templates([one(manifests, f"Deployment/activation-{name}")])
    return pod


def configmap(manifests: list[Manifest], name: str) -> dict[str, str]:
    return dict(one(manifests, f"ConfigMap/activation-{name}")["data"])


def test_pods_are_the_expected_ones(pods: list[PodTemplate]) -> None:
    """The services, the migration and the test; the mock handler is not in production."""
    owners = {
        pod.owner.rpartition("-")[0] if "migration" in pod.owner else pod.owner for pod in pods
    }

    assert owners - {"Deployment/activation-handler"} == {
        "Deployment/activation-gateway",
        "Deployment/activation-worker",
        "Job/activation-migration",
        TEST_POD,
    }


def test_nothing_can_be_written_to_the_image(pods: list[PodTemplate]) -> None:
    """Every root file system is read-only."""
    for pod in pods:
        for container in pod.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, pod.owner


def test_no_pod_has_a_token_but_the_one_that_asks_for_the_scaled_object(
    pods: list[PodTemplate],
) -> None:
    """Services have nothing to say to Kubernetes, and their environment is not filled by it."""
    with_token = [pod.owner for pod in pods if pod.spec["automountServiceAccountToken"]]

    assert with_token == [TEST_POD]
    assert all(pod.spec["enableServiceLinks"] is False for pod in pods)


def test_test_pod_may_only_read_the_scaled_object_and_its_metric(render: Render) -> None:
    """Its account is its own, and so is its role."""
    role = one(render.manifests, "Role/activation-test")
    binding = one(render.manifests, "RoleBinding/activation-test")
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}

    assert verbs <= {"get", "list"}
    assert {resource for rule in role["rules"] for resource in rule["resources"]} <= {
        "scaledobjects",
        "*",
    }
    assert [rule["apiGroups"] for rule in role["rules"] if "*" in rule["resources"]] == [
        ["external.metrics.k8s.io"]
    ]
    assert [subject["name"] for subject in binding["subjects"]] == ["activation-test"]


def test_test_pod_has_no_token_where_roles_may_not_be_made(chart: Chart) -> None:
    """Then it asks the gateway alone."""
    manifests = chart.render({"tests": {"rbac": False}}).manifests
    (pod,) = pod_templates([one(manifests, TEST_POD)])

    assert of_kind(manifests, "Role", "RoleBinding") == []
    assert pod.spec["automountServiceAccountToken"] is False


def test_services_are_watched(render: Render, pods: list[PodTemplate]) -> None:
    """Each has three probes, on a port that its container names."""
    for pod in pods:
        if not pod.owner.startswith("Deployment/"):
            continue
        (container,) = pod.spec["containers"]
        ports = {port["name"] for port in container["ports"]}
        probes = [container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]

        assert [probe["httpGet"]["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
        assert {probe["httpGet"]["port"] for probe in probes} <= ports


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", SERVICES)
def test_settings_are_read_by_the_service(
    chart: Chart, name: str, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts with what the chart tells it, and knows each variable: another does nothing."""
    mock: Values = {"handler": {"enabled": True, "url": ""}}
    told = configmap(chart.render(mock, preset=preset).manifests, name)
    for key, value in told.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("ACTIVATION_DATABASE_URL", "postgresql://u:p@h/n")
    monkeypatch.setenv("ACTIVATION_AMQP_URL", "amqp://u:p@h/")

    settings = SERVICES[name]()

    names = {key.removeprefix("ACTIVATION_").lower() for key in told}
    assert names - settings.model_fields_set == set()


def test_large_numbers_reach_the_services_as_they_are(chart: Chart) -> None:
    """A template that prints 1e+06 would stop the gateway."""
    values: Values = {
        "gateway": {
            "maxBacklog": 5_000_000,
            "maxWaitingPerEquipment": 2_000_000,
            "callerShare": 3_000_000,
            "retentionSeconds": 31_536_000,
        }
    }

    settings = configmap(chart.render(values).manifests, "gateway")

    assert settings["ACTIVATION_MAX_BACKLOG"] == "5000000"
    assert settings["ACTIVATION_MAX_WAITING_PER_EQUIPMENT"] == "2000000"
    assert settings["ACTIVATION_CALLER_SHARE"] == "3000000"
    assert settings["ACTIVATION_RETENTION_S"] == "31536000"


@pytest.mark.parametrize(
    ("preset", "share"), [("default", "1"), ("dev", "1"), ("production", "0.05")]
)
def test_production_records_a_share_of_the_traces(chart: Chart, preset: str, share: str) -> None:
    """All services draw alike, and follow the trace that a request comes with."""
    endpoint = {"tracing": {"endpoint": "http://collector.telemetry.svc:4318"}}

    manifests = chart.render(endpoint, preset=preset).manifests

    for name in ("gateway", "worker"):
        settings = configmap(manifests, name)
        assert settings["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
        assert settings["OTEL_TRACES_SAMPLER_ARG"] == share


def test_worker_has_time_to_drain(render: Render) -> None:
    """It hands back what still runs before Kubernetes kills it."""
    drain_s = float(configmap(render.manifests, "worker")["ACTIVATION_DRAIN_S"])

    assert drain_s + 10 <= service(render.manifests, "worker").spec["terminationGracePeriodSeconds"]


def test_gateway_has_time_to_leave(render: Render) -> None:
    """Its delay and the requests under way fit into the time that it is given."""
    delay_s = float(configmap(render.manifests, "gateway")["ACTIVATION_DRAIN_DELAY_S"])
    shutdown_s = GatewaySettings.model_fields["shutdown_s"].default
    grace_s = service(render.manifests, "gateway").spec["terminationGracePeriodSeconds"]

    assert delay_s + shutdown_s <= grace_s


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({"logging": {"level": "warning"}}, {"gateway", "worker", "handler"}),
        ({"retry": {"maxAttempts": 7}}, {"gateway", "worker"}),
        ({"gateway": {"maxBacklog": 5}}, {"gateway"}),
        ({"worker": {"graceSeconds": 9}}, {"worker"}),
        ({"handler": {"seconds": 9}}, {"handler"}),
        ({"keda": {"maxReplicas": 9}}, set()),
        ({"gateway": {"service": {"port": 80}}}, set()),
    ],
)
def test_new_settings_make_new_pods(chart: Chart, values: Values, changed: set[str]) -> None:
    """A ConfigMap is read once: its checksum replaces the pods that read it, and no others."""

    def checksums(*overlays: Values) -> dict[str, str]:
        manifests = chart.render(OWN_SECRETS, *overlays).manifests
        return {name: service(manifests, name).annotations["checksum/config"] for name in SERVICES}

    before, after = checksums(), checksums(values)

    assert {name for name in SERVICES if before[name] != after[name]} == changed


def test_pods_stay_when_only_the_version_of_the_chart_is_new(chart: Chart) -> None:
    """No label of a pod changes with a release, or each upgrade would replace all pods."""
    manifests = chart.render().manifests

    for name in SERVICES:
        assert not service(manifests, name).labels.keys() & {
            "helm.sh/chart",
            "app.kubernetes.io/version",
        }


def test_selectors_hold_only_what_never_changes(render: Render) -> None:
    """They cannot be changed later: name, release and part, and no label of a value."""
    for deployment in of_kind(render.manifests, "Deployment"):
        assert set(deployment["spec"]["selector"]["matchLabels"]) == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
        }


def test_labels_of_the_user_replace_ours_but_no_selector(chart: Chart) -> None:
    """Those of a part win over those of all, and neither takes a pod from its Deployment."""
    mine = {"app.kubernetes.io/part-of": "provisioning", "app.kubernetes.io/name": "stolen"}
    values: Values = {
        "commonLabels": {**mine, "team": "access"},
        "worker": {"podLabels": {"team": "field"}},
    }
    manifests = chart.render(values).manifests
    wanted: dict[str, Any] = {"app.kubernetes.io/part-of": "provisioning"}

    gateway, worker = service(manifests, "gateway").labels, service(manifests, "worker").labels

    assert wanted.items() <= gateway.items()
    assert (gateway["team"], worker["team"]) == ("access", "field")
    assert gateway["app.kubernetes.io/name"] == worker["app.kubernetes.io/name"] == "activation"


def test_pods_spread_over_nodes_and_zones(render: Render) -> None:
    """As well as it can be done, and without blocking: the loss of a node takes a part only."""
    for name in ("gateway", "worker"):
        pod = service(render.manifests, name)
        spread = pod.spec["topologySpreadConstraints"]

        assert {constraint["topologyKey"] for constraint in spread} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }
        for constraint in spread:
            assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
            assert constraint["labelSelector"]["matchLabels"].items() <= pod.labels.items()


def test_budget_never_blocks_a_drain(render: Render) -> None:
    """It says how many may leave: one that says how many must stay holds the last pod for ever."""
    budgets = of_kind(render.manifests, "PodDisruptionBudget")

    assert {identity(budget) for budget in budgets} == {
        "PodDisruptionBudget/activation-gateway",
        "PodDisruptionBudget/activation-worker",
    }
    for budget in budgets:
        assert "minAvailable" not in budget["spec"]
        assert budget["spec"]["maxUnavailable"] >= 1


def test_migration_has_a_name_of_its_own_for_each_version(chart: Chart) -> None:
    """A Job cannot be changed, so an upgrade makes another."""

    def job(*overlays: Values) -> str:
        (found,) = of_kind(chart.render(OWN_SECRETS, *overlays).manifests, "Job")
        return str(found["metadata"]["name"])

    assert job() == job()
    assert job() != job({"image": {"tag": "0.2.0"}})


def test_image_of_a_part_wins(chart: Chart) -> None:
    """Registry for all; tag for all, then of the part, then its digest."""
    digest = f"sha256:{64 * 'a'}"
    manifests = chart.render(
        {
            "image": {"registry": "registry.example.com/team", "tag": "1.0.0"},
            "worker": {"image": {"tag": "1.0.1"}},
            "handler": {"image": {"tag": "1.0.1", "digest": digest}},
        }
    ).manifests

    images = {name: service(manifests, name).spec["containers"][0]["image"] for name in SERVICES}

    assert images == {
        "gateway": "registry.example.com/team/activation-gateway:1.0.0",
        "worker": "registry.example.com/team/activation-worker:1.0.1",
        "handler": f"registry.example.com/team/activation-handler@{digest}",
    }
