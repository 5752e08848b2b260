"""skaffold.yaml names what is there, in words that Skaffold knows."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from activation_cli.main import app
from tests.support.dockerfile import read_dockerfile
from tests.support.helm import Chart
from tests.support.manifests import of_kind, one, pod_templates, read_manifests
from tests.support.observability import PORTS, STACK, read_stack
from tests.support.pod_security import violations
from tests.support.skaffold import (
    PROFILES,
    SKAFFOLD_YAML,
    chart_values,
    read_config,
    release,
    unknown_keys,
)

ROOT: Final = SKAFFOLD_YAML.parent
DOCKERFILE: Final = read_dockerfile(ROOT / "Dockerfile")
DEV_TARGETS: Final = ["gateway-dev", "worker-dev", "handler-dev"]
IMAGES: Final = ["activation-gateway", "activation-worker", "activation-handler"]
TAGS: Final = {image: f"tag-of-{image}" for image in IMAGES}

each_profile = pytest.mark.parametrize("profiles", PROFILES, ids="+".join)


def preset(profiles: tuple[str, ...]) -> str:
    """The preset whose file is given to Helm."""
    return Path(release(read_config(*profiles))["valuesFiles"][0]).stem.removeprefix("values-")


def programs() -> dict[str, str]:
    """The programs that our packages install, and their folders."""
    return {
        name: str(path.parent.relative_to(ROOT))
        for path in ROOT.glob("services/*/pyproject.toml")
        for name in tomllib.loads(path.read_text())["project"].get("scripts", {})
    }


def test_schema_is_the_newest_release() -> None:
    """v4beta14 is that of Skaffold 2.19 to 2.24."""
    config = read_config()

    assert (config["apiVersion"], config["kind"]) == ("skaffold/v4beta14", "Config")


@each_profile
def test_every_key_is_known(profiles: tuple[str, ...]) -> None:
    """Skaffold refuses a file with a key that its schema does not have."""
    assert list(unknown_keys(read_config(*profiles))) == []


def test_a_misspelt_key_is_found() -> None:
    """At any depth, in lists and in sections of their own."""
    config = read_config("dev")
    config["build"]["artifacts"][1]["docker"]["targt"] = "worker"
    config["deploys"] = {}

    assert set(unknown_keys(config)) == {"build.artifacts[].docker.targt", "deploys"}


@pytest.mark.skipif("SKAFFOLD_SCHEMA" not in os.environ, reason="needs the published v4beta14.json")
@each_profile
def test_published_schema_is_obeyed(profiles: tuple[str, ...]) -> None:
    """The JSON schema of Skaffold's documentation accepts the file, and each profile's effect."""
    schema = json.loads(Path(os.environ["SKAFFOLD_SCHEMA"]).read_text())

    jsonschema.validate(read_config(*profiles), schema)


def test_profiles_are_on_where_they_belong() -> None:
    """`skaffold dev` reloads and `skaffold verify` has something to do, without being asked."""
    profiles = {
        profile["name"]: [each["command"] for each in profile.get("activation", [])]
        for profile in read_config()["profiles"]
    }

    assert profiles == {"dev": ["dev"], "production": [], "observability": [], "verify": ["verify"]}


@each_profile
def test_three_images_are_built_from_targets_that_exist(profiles: tuple[str, ...]) -> None:
    """In development from those that reload, otherwise from those of a release."""
    artifacts = read_config(*profiles)["build"]["artifacts"]
    targets = [artifact["docker"]["target"] for artifact in artifacts]

    assert [artifact["image"] for artifact in artifacts] == IMAGES
    assert targets == [
        target.removesuffix("" if "dev" in profiles else "-dev") for target in DEV_TARGETS
    ]
    assert set(targets) <= set(DOCKERFILE.stages)


def test_skaffold_sees_all_that_images_are_made_of() -> None:
    """It reads COPY lines alone, and would keep an image whose mounted sources changed."""
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    context = {line.removeprefix("!") for line in ignore if line.startswith("!")}

    assert DOCKERFILE.copied() == context


@pytest.mark.parametrize("target", DEV_TARGETS)
def test_dev_image_starts_its_service_and_watches_its_packages(target: str) -> None:
    """The program is installed, the folders are there, and it is restarted for nothing else."""
    reloader, *options, command, shared, own = DOCKERFILE.entrypoint(target)
    program = command.split()[-1]

    assert reloader == "watchfiles"
    assert options == ["--filter=python"]
    assert shared == programs()["activation-migrate"] == "services/activation"
    assert own == programs()[program] == f"services/{target.removesuffix('-dev')}"


@pytest.mark.parametrize("artifact", range(3), ids=IMAGES.__getitem__)
def test_python_files_go_where_the_dev_image_has_them(artifact: int) -> None:
    """Each file of our packages is sent to its place below the working directory."""
    config = read_config("dev")["build"]["artifacts"][artifact]
    (rule,) = config["sync"]["manual"]

    assert set(ROOT.glob(rule["src"])) == set((ROOT / "services").rglob("*.py"))
    assert rule["dest"] == DOCKERFILE.last(config["docker"]["target"], "WORKDIR")
    assert "services" in DOCKERFILE.copied()


@pytest.mark.parametrize("target", DEV_TARGETS)
def test_sync_may_write_what_it_must(target: str) -> None:
    """The user that runs owns the files, because Skaffold unpacks as this user."""
    owner = DOCKERFILE.last(target, "USER")

    copies = DOCKERFILE.stages["dev"].arguments("COPY")

    assert copies
    assert all(f"--chown={owner}" in copy.split() for copy in copies)


@each_profile
def test_files_are_there(profiles: tuple[str, ...]) -> None:
    """Chart, values, and the script that brings KEDA."""
    config = read_config(*profiles)
    (hook,) = config["deploy"]["helm"]["hooks"]["before"]
    script = ROOT / hook["host"]["command"][-1].split()[1]

    assert (ROOT / release(config)["chartPath"] / "Chart.yaml").is_file()
    assert all((ROOT / path).is_file() for path in release(config)["valuesFiles"])
    assert os.access(script, os.X_OK)


@each_profile
def test_chart_takes_the_values_and_runs_the_images_built(
    profiles: tuple[str, ...], chart: Chart
) -> None:
    """The strict schema knows each value, and every pod of ours runs an image of this build."""
    config = read_config(*profiles)
    files = [yaml.safe_load((ROOT / path).read_text()) for path in release(config)["valuesFiles"]]
    values = chart_values(config, TAGS)
    render = chart.render(*files, values, {"handler": {"url": ""}}, preset=preset(profiles))

    images = {
        container["image"]
        for template in pod_templates(render.manifests)
        for container in template.containers
    }

    assert images == {f"{image}:{tag}" for image, tag in TAGS.items()}


@pytest.mark.parametrize("deployment", IMAGES)
def test_dev_pods_can_be_written_to(deployment: str, chart: Chart) -> None:
    """Their root file system is writable; nothing else of their restrictions is lifted."""
    development, released = (
        next(
            template.containers[0]["securityContext"]
            for template in pod_templates(chart.render(values, preset="dev").manifests)
            if template.owner == f"Deployment/{deployment}"
        )
        for values in (chart_values(read_config("dev"), TAGS), {})
    )

    assert released["readOnlyRootFilesystem"] is True
    assert development == released | {"readOnlyRootFilesystem": False}


def test_no_probe_restarts_a_dev_pod(chart: Chart) -> None:
    """A container that is restarted, say for an error in an edit, would lose all edits."""
    render = chart.render(chart_values(read_config("dev"), TAGS), preset="dev")

    ours = [
        one
        for one in pod_templates(render.manifests)
        if one.owner in {f"Deployment/{name}" for name in IMAGES}
    ]

    assert len(ours) == len(IMAGES)
    for template in ours:
        assert not template.containers[0].keys() & {"livenessProbe", "startupProbe"}
        assert "readinessProbe" in template.containers[0]


def test_dev_keeps_to_one_worker(chart: Chart) -> None:
    """A worker that KEDA adds would miss the edits that were synchronised before."""
    render = chart.render(chart_values(read_config("dev"), TAGS), preset="dev")

    (scaled,) = of_kind(render.manifests, "ScaledObject")

    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (1, 1)


@pytest.mark.parametrize(
    "forward", read_config()["portForward"], ids=lambda each: each["resourceName"]
)
def test_forwarded_ports_exist(forward: dict[str, Any], whole_chart: Chart) -> None:
    """Each is a port of a Service of the release; 8000 is taken in the cluster of `make up`."""
    service = one(whole_chart.render(preset="dev").manifests, f"Service/{forward['resourceName']}")

    assert forward["resourceType"] == "service"
    assert forward["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert forward["namespace"] == release(read_config())["namespace"]
    assert forward["localPort"] != 8000


def test_observability_brings_the_stack_and_tells_the_chart_of_it() -> None:
    """The same folder, and the same values on top of those of the preset, as `make observe`."""
    config = read_config("production", "observability")

    assert config["manifests"]["kustomize"]["paths"] == [STACK]
    assert release(config)["valuesFiles"] == [
        "charts/activation/values-production.yaml",
        f"{STACK}/values.yaml",
    ]


def test_observability_forwards_the_ports_for_people() -> None:
    """Each is a port of a Service of the stack, and the same on this machine."""
    added = [
        each
        for each in read_config("observability")["portForward"]
        if each not in read_config()["portForward"]
    ]

    assert {each["resourceName"]: each["localPort"] for each in added} == PORTS
    for each in added:
        service = one(read_stack(), f"Service/{each['resourceName']}")
        assert each["namespace"] == service["metadata"]["namespace"]
        assert each["port"] in [port["port"] for port in service["spec"]["ports"]]


def test_verify_asks_the_gateway_for_an_activation_and_waits(chart: Chart) -> None:
    """The command line understands the words, and the address is that of the gateway's Service."""
    (case,) = read_config("verify")["verify"]
    container = case["container"]
    (url,) = [each["value"] for each in container["env"] if each["name"] == "ACTIVATION_URL"]
    ports = one(chart.render(preset="dev").manifests, "Service/activation-gateway")["spec"]["ports"]

    # --help at the end: read, and not carried out.
    read = CliRunner().invoke(app, [*container["args"], "--help"])

    assert container["image"] in IMAGES
    assert programs()[container["command"][0]] == "services/cli"
    assert read.exit_code == 0
    assert "--wait" in container["args"]
    assert url == f"http://activation-gateway:{ports[0]['port']}"


def test_verify_waits_longer_than_its_command() -> None:
    """The command ends by itself and says why, before Skaffold kills it."""
    (case,) = read_config("verify")["verify"]

    patience = case["container"]["args"][case["container"]["args"].index("--for") + 1]

    assert int(patience.removesuffix("s")) < case["timeout"]


def test_verify_runs_beside_the_release_under_its_restrictions() -> None:
    """Same namespace, and a container of the name that Skaffold looks for."""
    (case,) = read_config("verify")["verify"]
    path = case["executionMode"]["kubernetesCluster"]["jobManifestPath"]
    (job,) = read_manifests((ROOT / path).read_text())
    (template,) = pod_templates([job])

    assert violations(template.spec) == []
    assert job["metadata"]["namespace"] == release(read_config())["namespace"]
    assert [container["name"] for container in template.containers] == [case["container"]["name"]]


def test_file_is_one_document() -> None:
    """A second one would be another configuration, which these tests do not read."""
    assert len(list(yaml.safe_load_all(SKAFFOLD_YAML.read_text()))) == 1
