"""A release as `make up` makes it: its own test, the contract, and what an uninstall leaves."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.support import kind
from tests.support.kind import KindCluster
from tests.support.kube import condition
from tests.support.patience import eventually
from tests.support.port_forward import PortForward
from tests.support.release import Release

DEVICE: Final = "/api/v1/equipment/cpe/"
WAIT: Final = {"Prefer": "wait=60"}

# What is there in every namespace, or comes and goes with others' objects.
NOT_OURS: Final = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
FLEETING: Final = {"events", "events.events.k8s.io", "leases.coordination.k8s.io"}


@pytest_asyncio.fixture(params=["mapped port", "port-forward"], loop_scope="session")
async def api(
    request: pytest.FixtureRequest, cluster: KindCluster, installation: Release
) -> AsyncIterator[httpx.AsyncClient]:
    """The API, by each way that leads to it from outside."""
    async with PortForward(installation.kube, "activation-gateway", 8000) as forward:
        mapped = await cluster.url(kind.INSTALLATION_PORT)
        url = mapped if request.param == "mapped port" else forward.url
        async with httpx.AsyncClient(base_url=url, timeout=90, trust_env=False) as api:
            await reachable(api)
            yield api


async def reachable(api: httpx.AsyncClient) -> None:
    """Wait for the way to pods that are ready: each node learns of them a moment later."""

    async def answers() -> bool:
        try:
            return (await api.get("/readyz")).is_success
        except httpx.TransportError:
            return False

    await eventually(answers, limit_s=30, what=f"an answer at {api.base_url}")


async def test_a_fresh_release_passes_its_own_test(installation: Release) -> None:
    """`helm test` makes an activation and sees that KEDA reads the queue."""
    printed = await installation.test()

    scaled = await installation.kube.get("scaledobject", "activation-worker")
    assert "done:" in printed
    assert "KEDA reads" in printed
    assert condition(scaled, "Ready") == "True"


async def test_the_contract_holds(api: httpx.AsyncClient) -> None:
    """A task is accepted, runs, ends; what fails and what is not there are told apart."""
    posted = await api.post(f"{DEVICE}CONTRACT1", json={"timeoutInSeconds": 60, "parameters": {}})
    task = f"{DEVICE}CONTRACT1/task/{posted.json()['taskId']}"
    running = await api.get(task)
    failing = (await api.post(f"{DEVICE}DEV500001", json={})).json()["taskId"]
    unknown = (await api.post(f"{DEVICE}DEV404001", json={})).json()["taskId"]

    done = await api.get(task, headers=WAIT)
    failed = await api.get(f"{DEVICE}DEV500001/task/{failing}", headers=WAIT)
    no_device = await api.get(f"{DEVICE}DEV404001/task/{unknown}", headers=WAIT)
    no_task = await api.get(f"{DEVICE}CONTRACT1/task/{uuid4()}")

    assert posted.json().keys() == {"code", "taskId"}
    assert (running.status_code, running.content) == (204, b"")
    assert done.json().items() >= {"code": 200, "message": "Completed"}.items()
    assert failed.json()["message"] == "Internal provisioning exception"
    assert no_device.json()["message"] == "The requested equipment is not found"
    assert no_task.json()["message"] == "The requested task is not found"
    assert [answer.status_code for answer in (posted, done, failed, no_device, no_task)] == [
        *(200, 200, 500, 404, 404)
    ]


async def test_the_page_for_people_is_served(api: httpx.AsyncClient) -> None:
    """`/docs` and the file that it needs come from the cluster itself."""
    page = await api.get("/docs")
    script = await api.get("/docs/assets/swagger-ui-bundle.js")

    assert (page.status_code, script.status_code) == (200, 200)


async def test_a_reinstall_goes_on_with_what_an_uninstall_left(
    cluster: KindCluster, installation: Release
) -> None:
    """Only volumes and Secrets stay, and they hold all that is needed."""
    url = await cluster.url(kind.INSTALLATION_PORT)
    async with httpx.AsyncClient(base_url=url, timeout=90, trust_env=False) as api:
        posted = await api.post(f"{DEVICE}REINSTALL1", json={"parameters": {"vlan": 7}})
        task = f"{DEVICE}REINSTALL1/task/{posted.json()['taskId']}"
        before = await api.get(task, headers=WAIT)

        await installation.uninstall()
        left = await everything(installation)
        await installation.install()

        await reachable(api)
        after = await api.get(task, headers=WAIT)
        again = await api.post(f"{DEVICE}REINSTALL1", json={})
        done = await api.get(f"{DEVICE}REINSTALL1/task/{again.json()['taskId']}", headers=WAIT)

    assert left == {
        "persistentvolumeclaim/data-activation-postgres-0",
        "persistentvolumeclaim/data-activation-rabbitmq-0",
        "secret/activation-broker",
        "secret/activation-database",
    }
    assert (before.status_code, after.json()) == (200, before.json())
    assert done.status_code == 200


async def everything(release: Release) -> set[str]:
    """Return all objects of the release's namespace, whatever made them."""
    listed = ("api-resources", "--namespaced", "--verbs=list", "--output=name")
    kinds = set((await release.kube.run(*listed)).split()) - FLEETING
    return await release.kube.names(",".join(sorted(kinds))) - NOT_OURS
