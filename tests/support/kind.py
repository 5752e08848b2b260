"""A kind cluster for tests: two nodes, KEDA, and the images as they are now."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from activation_cli.local.ports import LOOPBACK, free_port
from tests.support import programs
from tests.support.kube import Kube

ROOT: Final = Path(__file__).parents[2]
INSTALLATION_PORT: Final = 30080  # the NodePort of values-dev.yaml
LOAD_PORT: Final = 30081  # the one of tests/e2e/values.yaml
SERVICES: Final = ("gateway", "worker", "handler")

_SCRIPT: Final = str(ROOT / "scripts" / "cluster")
_PREPARE_S: Final = 1200.0  # all images built, on two cores
_OBSERVE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class KindCluster:
    """A cluster that is ready for the chart.

    Attributes:
        name: As kind knows it.
        kube: Its namespace `default`.
        tag: Of the images that are loaded.
    """

    name: str
    kube: Kube
    tag: str

    async def url(self, node_port: int) -> str:
        """Return where a NodePort is found on this machine."""
        mapped = await programs.run(
            "docker", "port", f"{self.name}-control-plane", f"{node_port}/tcp"
        )
        return f"http://{LOOPBACK}:{mapped.strip().rpartition(':')[2]}"

    async def empty_namespace(self, name: str) -> Kube:
        """Make a namespace; one that a run before left in a cluster that is kept goes first."""
        kube = self.kube.within(name)
        await kube.run("delete", "namespace", name, "--ignore-not-found", limit_s=180)
        await kube.make_namespace()
        return kube

    async def observe(self) -> str:
        """Bring k8s/observability up beside a release in `activation`, as `make observe` does.

        Returns:
            What it prints.
        """
        environment = {**self.kube.environment, "KIND_CLUSTER": self.name}
        return await programs.run(_SCRIPT, "observe", limit_s=_OBSERVE_S, environment=environment)

    async def tag_again(self, tag: str) -> None:
        """Load the same images under another tag."""
        images = [f"activation-{service}" for service in SERVICES]
        for image in images:
            await programs.run("docker", "tag", f"{image}:{self.tag}", f"{image}:{tag}")
        loaded = [f"{image}:{tag}" for image in images]
        await programs.run(
            "kind", "load", "docker-image", "--name", self.name, *loaded, limit_s=300
        )


async def prepare(name: str, folder: Path) -> KindCluster:
    """Make a cluster as `make up` does, or bring one up to date.

    Args:
        name: For kind.
        folder: Takes its kubeconfig, so that nobody's current context changes.
    """
    config = _write_config(folder)
    kube = Kube(folder / "kubeconfig")
    printed = await programs.run(
        _SCRIPT,
        "prepare",
        limit_s=_PREPARE_S,
        environment={
            **kube.environment,
            "KIND_CLUSTER": name,
            "KIND_CONFIG": str(config),
            "PORT": str(free_port()),
        },
    )
    # The first node is one of Kubernetes' own, which keeps others' pods away.
    node = f"node/{name}-control-plane"
    await kube.run("patch", node, "--type=merge", '--patch={"spec": {"taints": null}}')
    return KindCluster(name, kube, printed.split()[-1])


async def delete(name: str) -> None:
    """Delete a cluster, if there is one."""
    await programs.run("kind", "delete", "cluster", "--name", name, limit_s=180)


def _write_config(folder: Path) -> Path:
    """Write the description that `make up` uses, with another node and another port."""
    config = yaml.safe_load((ROOT / "k8s" / "kind-config.yaml").read_text())
    [node] = config["nodes"]
    [port] = node["extraPortMappings"]
    any_port = {"containerPort": LOAD_PORT, "hostPort": 0}
    node["extraPortMappings"].append(port | any_port)
    config["nodes"].append({"role": "worker"})
    folder.mkdir(exist_ok=True)
    file = folder / "kind-config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file
