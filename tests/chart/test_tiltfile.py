"""The Tiltfile builds, deploys and shows what it should."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import starlark
import yaml
from typer.testing import CliRunner

from activation_cli.main import app
from tests.support.dockerfile import read_dockerfile
from tests.support.helm import CHART, Chart
from tests.support.manifests import Manifest, identity, of_kind, one
from tests.support.observability import STACK, read_stack
from tests.support.skaffold import nested, read_config, release
from tests.support.tiltfile import TILTFILE, Evaluation

ROOT: Final = TILTFILE.parent
DOCKERFILE: Final = read_dockerfile(ROOT / "Dockerfile")
SERVICES: Final = ["gateway", "worker", "handler"]
WORKLOADS: Final = {"Deployment", "StatefulSet", "Job"}

# As little as the Tiltfile can work with: a Secret that is kept, one that is not, and the job.
RENDERED: Final = """
apiVersion: v1
kind: Secret
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
---
apiVersion: v1
kind: Secret
metadata: {name: lost}
---
apiVersion: batch/v1
kind: Job
metadata: {name: activation-migration-0a1b2c3d}
"""


@pytest.fixture
def tilt() -> Evaluation:
    """`tilt up`."""
    return Evaluation(RENDERED).run()


@pytest.fixture
def observed() -> Evaluation:
    """`tilt up -- --observability`."""
    read_stack()  # or there is nothing to evaluate
    return Evaluation(RENDERED, flags=frozenset({"observability"})).run()


@pytest.fixture
def whole(whole_chart: Chart) -> list[Manifest]:
    """What the Tiltfile deploys of the real chart, without the pods of `helm test`."""
    render = whole_chart.render(preset="dev")
    tests = [each for each in render.manifests if "helm.sh/hook" in annotations(each)]
    applied = Evaluation(render.text).run().applied
    return [each for each in applied if identity(each) not in map(identity, tests)]


def annotations(manifest: Manifest) -> dict[str, str]:
    """The annotations of an object."""
    return dict(manifest["metadata"].get("annotations") or {})


def template_command(tilt: Evaluation) -> list[str]:
    """The one call of `helm template`."""
    (command,) = [words for words in tilt.ran if words[:2] == ["helm", "template"]]
    return command


def option(command: list[str], name: str) -> str:
    """The value behind an option."""
    return command[command.index(name) + 1]


def rules(tilt: Evaluation, step: str) -> list[Any]:
    """The arguments of a live update's steps with this name, which are the same for all images."""
    (steps,) = {
        repr(image.live_update): image.live_update for image in tilt.images.values()
    }.values()
    return [argument for name, argument in steps if name == step]


def test_a_name_that_tilt_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation knows functions and parameters of Tilt alone."""
    broken = TILTFILE.read_text().replace("stdin=", "input=")
    monkeypatch.setattr(Path, "read_text", lambda _: broken)

    with pytest.raises(starlark.StarlarkError):
        Evaluation(RENDERED).run()


@pytest.mark.parametrize(
    ("environment", "context"),
    [({}, "kind-activation"), ({"KIND_CLUSTER": "other"}, "kind-other")],
)
def test_kind_cluster_is_allowed(environment: dict[str, str], context: str) -> None:
    """That of `make up`, or the one named outside."""
    tilt = Evaluation(RENDERED, environment=environment).run()

    assert tilt.contexts == [context]


def test_images_are_those_that_reload(tilt: Evaluation) -> None:
    """The same three, from the same targets, as `skaffold dev` builds."""
    built = {name: (image.context, image.target) for name, image in tilt.images.items()}
    skaffold = read_config("dev")["build"]["artifacts"]

    assert built == {each["image"]: (".", each["docker"]["target"]) for each in skaffold}
    assert {target for _, target in built.values()} <= set(DOCKERFILE.stages)


def test_packages_go_where_the_dev_images_have_them(tilt: Evaluation) -> None:
    """Below the working directory of their stage."""
    assert rules(tilt, "sync") == [["services", DOCKERFILE.last("dev", "WORKDIR") + "/services"]]


def test_what_a_running_pod_cannot_take_makes_a_new_image(tilt: Evaluation) -> None:
    """The dependencies and programs of each package."""
    (paths,) = rules(tilt, "fall_back_on")

    assert set(paths) == {
        str(path.relative_to(ROOT)) for path in ROOT.glob("services/*/pyproject.toml")
    }


def test_an_edit_does_not_run_the_migration_again(tilt: Evaluation) -> None:
    """Its image is that of the gateway, but its pod cannot be written to."""
    modes = {name: each.trigger_mode for name, each in tilt.resources.items()}

    assert modes.pop("migration") == modes.pop("activation") == "manual"
    assert set(modes.values()) == {"auto"}


def test_chart_is_rendered_with_the_passwords_in_the_cluster(tilt: Evaluation) -> None:
    """The cluster is asked, so an evaluation does not make new ones."""
    command = template_command(tilt)

    assert command[2:4] == ["activation", str(CHART.relative_to(ROOT))]
    assert option(command, "--kube-context") == "kind-of-test"
    assert option(command, "--namespace") == release(read_config())["namespace"]
    assert [option(command, "--values")] == release(read_config())["valuesFiles"]
    assert {"--dry-run=server", "--is-upgrade", "--skip-tests"} <= set(command)
    assert tilt.watched == [command[3]]


def test_helm_understands_the_command(tilt: Evaluation, whole_chart: Chart) -> None:
    """But for the cluster, which is not there."""
    if not shutil.which("helm"):
        pytest.skip("helm is not installed")
    command = [word for word in template_command(tilt) if word != "--dry-run=server"]
    command[3] = str(whole_chart.folder)

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert {each["kind"] for each in yaml.safe_load_all(done.stdout) if each} >= WORKLOADS


def test_chart_takes_the_values(tilt: Evaluation, chart: Chart) -> None:
    """The strict schema knows them, and they make every service writable, as reloading needs."""
    pairs = dict(pair.split("=") for pair in option(template_command(tilt), "--set").split(","))
    values = nested({path: yaml.safe_load(value) for path, value in pairs.items()})

    render = chart.render(values, preset="dev")

    assert {
        each["metadata"]["name"]: container["securityContext"]["readOnlyRootFilesystem"]
        for each in of_kind(render.manifests, "Deployment")
        for container in each["spec"]["template"]["spec"]["containers"]
    } == {f"activation-{service}": False for service in SERVICES}


@pytest.mark.parametrize(
    ("present", "fetched"),
    [(frozenset[str](), True), (frozenset({"charts/activation/charts"}), False)],
)
def test_dependencies_are_fetched_when_they_are_missing(
    present: frozenset[str], fetched: bool
) -> None:
    """And not at each evaluation."""
    tilt = Evaluation(RENDERED, present=present).run()

    assert (["helm", "dependency", "build", "charts/activation"] in tilt.ran) == fetched


def test_what_helm_keeps_is_not_tilts(tilt: Evaluation) -> None:
    """`tilt down` would delete the passwords of data that stay."""
    assert set(map(identity, tilt.outside)) == {"Namespace/activation", "Secret/kept"}
    assert not {"Secret/kept", "Namespace/activation"} & set(map(identity, tilt.applied))
    assert "Secret/lost" in map(identity, tilt.applied)


def test_helm_goes_on_with_what_is_kept(tilt: Evaluation) -> None:
    """It takes over an object only with the marks of the release that it installs."""
    kept = annotations(one(tilt.outside, "Secret/kept"))

    assert kept["meta.helm.sh/release-name"] == release(read_config())["name"]
    assert kept["meta.helm.sh/release-namespace"] == release(read_config())["namespace"]


@pytest.mark.parametrize("subcommand", ["down", "alpha tiltfile-result"])
def test_only_a_deployment_touches_the_cluster(subcommand: str) -> None:
    """Tilt evaluates the file also to learn what there is."""
    assert Evaluation(RENDERED, subcommand=subcommand).run().outside == []


def test_every_workload_has_its_place(whole_chart: Chart, whole: list[Manifest]) -> None:
    """Each is a resource with a label, and no resource means a workload that is not there."""
    tilt = Evaluation(whole_chart.render(preset="dev").text).run()
    workloads = {each["metadata"]["name"] for each in whole if each["kind"] in WORKLOADS}

    placed = {each.workload for each in tilt.resources.values() if each.workload}

    assert placed == workloads
    assert all(len(each.labels) == 1 for each in tilt.resources.values())


def test_scaling_waits_for_keda(whole_chart: Chart, whole: list[Manifest]) -> None:
    """The cluster refuses KEDA's kinds before KEDA is there."""
    tilt = Evaluation(whole_chart.render(preset="dev").text).run()
    of_keda = {
        f"{each['metadata']['name']}:{each['kind'].lower()}"
        for each in whole
        if each["apiVersion"].startswith("keda.sh/")
    }
    scaling = tilt.resources["autoscaling"]

    assert of_keda
    assert set(scaling.objects) == of_keda
    assert scaling.resource_deps == ["keda"]


def test_keda_comes_by_the_script_that_skaffold_uses(tilt: Evaluation) -> None:
    """One version, in one place; into the cluster that Tilt talks to."""
    (hook,) = read_config()["deploy"]["helm"]["hooks"]["before"]
    script, context = tilt.resources["keda"].command

    assert f"exec {script} " in hook["host"]["command"][-1]
    assert context == "kind-of-test"


def test_forwarded_ports_are_those_of_skaffold(tilt: Evaluation, observed: Evaluation) -> None:
    """The API and RabbitMQ's management, and what shows the stack, at the same addresses."""
    for evaluation, profiles in ((tilt, ()), (observed, ("observability",))):
        forwards = {
            name: (each.port_forwards["local"], each.port_forwards["container"])
            for name, each in evaluation.resources.items()
            if each.port_forwards
        }
        assert forwards == {
            each["resourceName"]: (each["localPort"], each["port"])
            for each in read_config(*profiles)["portForward"]
        }


@pytest.mark.parametrize("name", ["activation-gateway", "activation-rabbitmq"])
def test_forwarded_ports_exist(name: str, tilt: Evaluation, whole: list[Manifest]) -> None:
    """Tilt forwards to the container, not to the Service."""
    (workload,) = [
        each for each in whole if each["kind"] in WORKLOADS and each["metadata"]["name"] == name
    ]
    ports = {
        port["containerPort"]
        for container in workload["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", [])
    }

    assert tilt.resources[name].port_forwards["container"] in ports


def test_observability_is_brought_when_it_is_asked_for(
    tilt: Evaluation, observed: Evaluation
) -> None:
    """All objects of the stack, its Deployments in a group, and the chart told of it."""
    stack = read_stack()
    placed = {name for name, each in observed.resources.items() if each.labels == ["observability"]}

    assert not set(map(identity, stack)) & set(map(identity, tilt.applied))
    assert set(map(identity, stack)) <= set(map(identity, observed.applied))
    assert placed == {each["metadata"]["name"] for each in of_kind(stack, "Deployment")}
    assert f"{STACK}/values.yaml" not in template_command(tilt)
    assert template_command(observed)[-1] == f"{STACK}/values.yaml"  # the last one wins


@pytest.mark.parametrize(("subcommand", "at_once"), [("up", False), ("ci", True), ("down", False)])
def test_an_activation_is_the_test_of_tilt_ci(subcommand: str, at_once: bool) -> None:
    """In `tilt up` it waits for a click."""
    trial = Evaluation(RENDERED, subcommand=subcommand).run().resources["activation"]

    assert trial.auto_init == at_once
    assert trial.trigger_mode == "manual"
    assert set(trial.resource_deps) == {"activation-gateway", "activation-worker", "autoscaling"}


def test_the_activation_is_carried_out_in_the_gateway(tilt: Evaluation) -> None:
    """The command line understands the words, and waits for the end."""
    command = tilt.resources["activation"].command
    kubectl, ours = command[: command.index("--")], command[command.index("--") + 1 :]

    # --help at the end: read, and not carried out.
    read = CliRunner().invoke(app, [*ours[1:], "--help"])

    assert option(kubectl, "--context") == "kind-of-test"
    assert option(kubectl, "exec") == "deploy/activation-gateway"
    assert ours[0] == "activation"
    assert read.exit_code == 0
    assert "--wait" in ours
