"""Whatever is killed, the ledger and the store agree afterwards."""

import asyncio
from typing import Final

import pytest

from tests.support.client import Client
from tests.support.kind import KindCluster
from tests.support.kube import name_of
from tests.support.patience import eventually
from tests.support.release import Release

LONG_CALL_S: Final = 25.0  # longer than it takes to choose a pod and to delete it
PACE_S: Final = 0.3  # between the POSTs of a client; nothing waits for it


async def test_a_killed_worker_loses_nothing(release: Release, client: Client) -> None:
    """What it worked on is done by another one, which the handler knows by the same key."""
    devices = client.devices(10)
    for device in devices:
        await client.script(device, {"do": "answer", "latency_s": LONG_CALL_S})
    await client.submit_all(devices)
    await client.wait_in_progress(5)

    busy = {str(task["worker"]) for task in await client.tasks() if task["state"] == "running"}
    staying = map(name_of, await release.ready_pods("worker"))
    await release.delete_pod(busy.intersection(staying).pop(), grace_s=0)

    account = await client.account()
    assert {task["state"] for task in account.tasks} == {"succeeded"}
    assert max(task["attempt"] for task in account.tasks) > 1


async def test_a_killed_gateway_loses_nothing(release: Release, client: Client) -> None:
    """Clients that ask again with the same key get one task for each device."""
    [killed, *_] = await release.wait_ready("gateway", 2)

    async with asyncio.TaskGroup() as group:
        posting = group.create_task(post_steadily(client, count=30))
        await eventually(lambda: some_posts(client), limit_s=60, what="the first answers")
        await release.delete_pod(killed, grace_s=0)
        await release.wait_ready("gateway", 2)
        await posting

    account = await client.account()
    assert {task["state"] for task in account.tasks} == {"succeeded"}
    assert len(account.tasks) == 30


@pytest.mark.parametrize("server", ["rabbitmq", "postgres"])
async def test_a_deleted_server_loses_nothing(
    release: Release, client: Client, server: str
) -> None:
    """Calls in flight go on, and their results are stored once it is back."""
    pod = f"activation-{server}-0"
    uid = (await release.kube.get("pod", pod))["metadata"]["uid"]
    await client.submit_all(client.devices(10))
    await client.wait_in_progress(5)

    await release.delete_pod(pod)
    await client.submit_all(client.devices(5))
    await release.wait_replaced(pod, uid)

    account = await client.account()
    assert {task["state"] for task in account.tasks} == {"succeeded"}
    assert len(account.tasks) == 15


async def test_a_drained_node_goes_unnoticed(
    cluster: KindCluster, release: Release, client: Client
) -> None:
    """Its pods finish their calls elsewhere or here, and no attempt is burnt."""
    node = cluster.second_node
    await client.submit_all(client.devices(40))
    await eventually(lambda: workers_on(release, node), limit_s=180, what=f"a worker on {node}")
    await client.wait_in_progress(5)

    evict = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s")
    try:
        await release.kube.run("drain", node, *evict, limit_s=250)
        left = await workers_on(release, node)
        account = await client.account()
        await release.wait_ready("gateway", 2)
    finally:
        await release.kube.run("uncordon", node)

    assert left == []
    assert {task["state"] for task in account.tasks} == {"succeeded"}
    assert {task["attempt"] for task in account.tasks} == {1}
    assert len(account.known_calls) == len(account.tasks)


async def post_steadily(client: Client, *, count: int) -> None:
    """Submit tasks one after the other, as a careful client does."""
    for device in client.devices(count):
        await client.submit_surely(device)
        await asyncio.sleep(PACE_S)


async def some_posts(client: Client) -> bool:
    """Tell whether a few POSTs have been answered."""
    return len(client.posts) > 3


async def workers_on(release: Release, node: str) -> list[str]:
    """Return the workers of a node."""
    pods = await release.pods("worker")
    return [name_of(pod) for pod in pods if pod["spec"].get("nodeName") == node]
