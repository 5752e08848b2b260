"""Faults of a release in a cluster; each leaves the cluster as it was."""

import random
from collections.abc import Sequence
from typing import Final, TypeVar

from activation_cli.exits import CommandError, Exit
from activation_cli.verify.faults.fault import Fault
from activation_cli.verify.kubectl import Manifest
from activation_cli.verify.release import (
    Installation,
    Part,
    Release,
    keeps_data,
    merge_patch,
    name_of,
    uid_of,
)

_Found = TypeVar("_Found")

_DRAIN_S: Final = 180.0

# What holds the number of workers, best first, by the names of its lowest and its highest value.
_AUTOSCALERS: Final = (
    ("keda.sh", "scaledobjects", ("minReplicaCount", "maxReplicaCount")),
    ("autoscaling", "horizontalpodautoscalers", ("minReplicas", "maxReplicas")),
)


def busy_worker_deleted() -> Fault:
    """Delete the pod of a worker with calls, without grace."""

    async def strike(system: Installation, chance: random.Random) -> None:
        pod = chance.choice(await system.busy_workers())
        await _replace(system.release, Part.WORKER, pod, grace_s=0)

    return Fault("a worker's pod is deleted", strike)


def gateway_deleted() -> Fault:
    """Delete the pod of a gateway, without grace."""

    async def strike(system: Installation, chance: random.Random) -> None:
        pod = _any(await system.release.pods(Part.GATEWAY), "gateway", chance)
        await _replace(system.release, Part.GATEWAY, pod, grace_s=0)

    return Fault("a gateway's pod is deleted", strike)


def server_deleted(name: str, part: Part) -> Fault:
    """Delete the pod of a server that the release has for itself."""

    async def strike(system: Installation, chance: random.Random) -> None:
        pod = _any(await system.release.pods(part), name, chance)
        await _replace(system.release, part, pod)

    async def obstacle(release: Release) -> str | None:
        workload = await release.workload(part)
        if workload is None:
            return f"the release has no {name} of its own"
        if not keeps_data(workload):
            return f"{name} has no volume: its data would go with the pod"
        return None

    return Fault(f"{name}'s pod is deleted", strike, obstacle)


def node_drained() -> Fault:
    """Drain a node of the release's gateways and workers; all else on it stays."""
    parts = (Part.GATEWAY, Part.WORKER)

    async def strike(system: Installation, chance: random.Random) -> None:
        release = system.release
        nodes = await release.schedulable_nodes()
        pods = {part: await release.pods(part) for part in parts}
        inhabited = {pod["spec"]["nodeName"] for found in pods.values() for pod in found}
        node = _any(sorted(nodes & inhabited), "gateway and no worker", chance)
        evicted = (
            *("--ignore-daemonsets", "--delete-emptydir-data"),
            f"--pod-selector={release.selector(*parts)}",
        )
        try:
            await release.kubectl.run(
                *("drain", node, *evicted, f"--timeout={_DRAIN_S:.0f}s"), limit_s=_DRAIN_S + 10
            )
            for part, found in pods.items():
                gone = {uid_of(pod) for pod in found if pod["spec"]["nodeName"] == node}
                await release.wait_replaced(part, gone)
        finally:
            await release.kubectl.mend("uncordon", node)

    async def obstacle(release: Release) -> str | None:
        nodes = await release.schedulable_nodes()
        return None if len(nodes) > 1 else "there is no other node for the pods"

    return Fault("a node is drained", strike, obstacle)


def workers_scaled() -> Fault:
    """Have one worker more, then a single one, and then as many as before."""

    async def strike(system: Installation, _: random.Random) -> None:
        release = system.release
        workers = max(1, len(await release.pods(Part.WORKER)))
        target, before = await _scaling(release)
        try:
            for count in (workers + 1, 1):
                wanted = merge_patch(**dict.fromkeys(before, count))
                await release.kubectl.run("patch", *target, *wanted)
                await release.wait_workers(count)
        finally:
            await release.kubectl.mend("patch", *target, *merge_patch(**before))
            await release.kubectl.disown(*target)

    return Fault("the workers are scaled", strike)


async def _replace(
    release: Release, part: Part, pod: Manifest, *, grace_s: int | None = None
) -> None:
    await release.delete_pod(pod, grace_s=grace_s)
    await release.wait_replaced(part, {uid_of(pod)})


async def _scaling(release: Release) -> tuple[tuple[str, str], dict[str, int | None]]:
    """Return what says how many workers there are: an object, and the values of it that do."""
    for group, kind, bounds in _AUTOSCALERS:
        if await release.kubectl.has_kind(group, kind):
            for found in await release.find(kind, Part.WORKER):
                values = {name: found["spec"].get(name) for name in bounds}
                return (f"{kind}.{group}", name_of(found)), values
    [deployment] = await release.find("deployments", Part.WORKER)
    return ("deployments", name_of(deployment)), {"replicas": deployment["spec"]["replicas"]}


def _any(found: Sequence[_Found], what: str, chance: random.Random) -> _Found:
    if not found:
        raise CommandError(f"there was no {what} to strike", Exit.FAILED)
    return chance.choice(found)
