"""Guarantee 5: an upgrade loses nothing, repeats nothing and burns no attempt."""

import asyncio
from dataclasses import replace
from typing import Final

from tests.support.client import Client
from tests.support.kind import KindCluster
from tests.support.release import Release

NEWER: Final = "newer"


async def test_an_upgrade_and_a_rollback_go_unnoticed(
    cluster: KindCluster, release: Release, client: Client
) -> None:
    """Every pod is replaced twice while a hundred tasks run and clients submit more."""
    await cluster.tag_again(NEWER)
    await client.submit_all(client.devices(100))
    await client.wait_in_progress(5)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_posting(client, done))
        await replace(release, tag=NEWER).install()
        upgraded = await tags(release)
        await release.rollback()
        rolled_back = await tags(release)
        done.set()

    account = await client.account()
    assert (upgraded, rolled_back) == ({NEWER}, {release.tag})
    assert {post.status for post in account.posts} == {200}
    assert {task["state"] for task in account.tasks} == {"succeeded"}
    assert {task["attempt"] for task in account.tasks} == {1}
    assert len(account.known_calls) == len(account.tasks)


async def keep_posting(client: Client, done: asyncio.Event) -> None:
    """Submit a task each second."""
    while not done.is_set():
        [device] = client.devices(1)
        await client.submit_surely(device)
        await asyncio.sleep(1)


async def tags(release: Release) -> set[str]:
    """Return the tags of the images of all gateways and workers that stay."""
    pods = [*await release.ready_pods("gateway"), *await release.ready_pods("worker")]
    images = [container["image"] for pod in pods for container in pod["spec"]["containers"]]
    return {image.rpartition(":")[2] for image in images}
