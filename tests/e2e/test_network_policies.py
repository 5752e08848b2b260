"""Who may talk to whom, as the cluster's network enforces it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from string import Template
from typing import Final

import pytest
import pytest_asyncio

from tests.support.kind import KindCluster
from tests.support.kube import Kube, Manifest, condition, is_ready, name_of
from tests.support.patience import eventually
from tests.support.programs import ProgramError
from tests.support.release import Release

STRANGER_YAML: Final = Path(__file__).with_name("stranger.yaml")

# Prints, for each address, whether a TCP connection comes about.
PROBE: Final = """
import json, socket, sys
def reach(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps({address: reach(address) for address in sys.argv[1:]}))
"""
GATEWAY: Final = "activation-gateway.activation.svc:8000"
HANDLER: Final = "activation-handler.activation.svc:8080"
BROKER: Final = "activation-rabbitmq.activation.svc:5672"
MANAGEMENT: Final = "activation-rabbitmq.activation.svc:15672"
DATABASE: Final = "activation-postgres.activation.svc:5432"
STRANGER: Final = "stranger.elsewhere.svc:8080"
KUBERNETES: Final = "kubernetes.default.svc:443"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stranger(cluster: KindCluster) -> AsyncIterator[Kube]:
    """A namespace with a pod that nobody has heard of; it listens on 8080."""
    kube = await cluster.empty_namespace("elsewhere")
    manifest = Template(STRANGER_YAML.read_text())
    await kube.apply(manifest.substitute(image=f"activation-gateway:{cluster.tag}"))
    await kube.wait("condition=Ready", "pod/stranger")
    yield kube
    await kube.run("delete", "namespace", kube.namespace, "--wait=false")


async def reaches(
    kube: Kube, find_pod: Callable[[], Awaitable[Manifest]], expected: set[str]
) -> None:
    """Wait until a pod can connect to certain addresses, and to no other one.

    A policy holds soon after it is made, not at once; and the fleet may shrink by the pod that is
    asked.
    """
    everything = {GATEWAY, HANDLER, BROKER, MANAGEMENT, DATABASE, STRANGER, KUBERNETES}
    command = ("python", "-c", PROBE, *everything)

    async def as_expected() -> bool:
        pod = await find_pod()
        try:
            answer = json.loads(await kube.exec(name_of(pod), *command, limit_s=120))
        except ProgramError:
            if name_of(pod) in {name_of(one) for one in await kube.find("pods") if is_ready(one)}:
                raise
            return False
        # A pod always reaches its own node.
        on_the_server = pod["spec"]["nodeName"].endswith("control-plane")
        asked = everything - {KUBERNETES} if on_the_server else everything
        return {address for address in asked if answer[address]} == expected & asked

    await eventually(as_expected, limit_s=120, what=f"a pod reaching only {expected}")


async def test_a_stranger_reaches_the_api_and_nothing_else(
    installation: Release, stranger: Kube
) -> None:
    """Handler, broker and store are closed to pods of other namespaces."""

    async def find_pod() -> Manifest:
        return await stranger.get("pod", "stranger")

    await reaches(stranger, find_pod, {GATEWAY, STRANGER, KUBERNETES})


@pytest.mark.parametrize(
    ("component", "needed"),
    [("worker", {HANDLER, BROKER, DATABASE}), ("gateway", {GATEWAY, BROKER, DATABASE})],
)
async def test_our_pods_reach_what_they_need_and_nothing_else(
    installation: Release, stranger: Kube, component: str, needed: set[str]
) -> None:
    """No way leads to Kubernetes, to other namespaces, or from one part to all others."""

    async def find_pod() -> Manifest:
        return (await installation.wait_ready(component, 1))[0]

    await reaches(installation.kube, find_pod, needed)


async def test_keda_reaches_the_queue(installation: Release) -> None:
    """The ScaledObject is ready: the management port is open to KEDA's namespace."""

    async def is_read() -> bool:
        scaled = await installation.kube.get("scaledobject", "activation-worker")
        return condition(scaled, "Ready") == "True" and condition(scaled, "Fallback") == "False"

    await eventually(is_read, limit_s=120, what="KEDA's view of the queue")
