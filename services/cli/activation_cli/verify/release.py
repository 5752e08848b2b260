"""A release of the chart in a cluster: its pods, and what they must be like again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from activation.domain.task import State
from activation_cli.client import Gateway
from activation_cli.exits import CommandError, Exit
from activation_cli.task_filter import TaskFilter
from activation_cli.verify.kubectl import FIELD_MANAGER, Kubectl, Manifest

_Found = TypeVar("_Found")

_LOOK_EVERY_S: Final = 1.0
_READY_S: Final = 180.0  # for a pod's successor: a server may have to read its log first
_INSTANCE: Final = "app.kubernetes.io/instance"


class Part(Enum):
    """A part of a release: the kind of its workload, and the label that tells it from others."""

    GATEWAY = ("deployments", "app.kubernetes.io/component=gateway")
    WORKER = ("deployments", "app.kubernetes.io/component=worker")
    HANDLER = ("deployments", "app.kubernetes.io/component=handler")
    BROKER = ("statefulsets", "app.kubernetes.io/name=rabbitmq")
    STORE = ("statefulsets", "app.kubernetes.io/name=postgres")


class Release:
    """A release in a namespace. Every method may raise `CommandError`, as `Kubectl` does."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl = kubectl
        self.name = name

    async def check(self) -> None:
        """See that it is there.

        Raises:
            CommandError: It is not, or is not ours.
        """
        for part in (Part.GATEWAY, Part.WORKER):
            if await self.workload(part) is None:
                said = (
                    f"there is no release {self.name!r} of the chart in namespace "
                    f"{self.kubectl.namespace!r} of {self.kubectl.context!r}: --release, "
                    "--namespace, kubectl config use-context"
                )
                raise CommandError(said, Exit.NOT_FOUND)

    async def find(self, kind: str, part: Part) -> list[Manifest]:
        """Return the objects of a kind that belong to a part."""
        return await self.kubectl.find(kind, f"{_INSTANCE}={self.name},{part.value[1]}")

    async def workload(self, part: Part) -> Manifest | None:
        """Return the Deployment or StatefulSet of a part; None: the release has no such part."""
        found = await self.find(part.value[0], part)
        return found[0] if found else None

    async def port(self, part: Part) -> tuple[str, int] | None:
        """Return name and port of the Service of a part; None if there is none."""
        for service in await self.find("services", part):
            return name_of(service), int(service["spec"]["ports"][0]["port"])
        return None

    async def pods(self, part: Part) -> list[Manifest]:
        """Return the pods of a part that are ready and stay, by name."""
        return sorted(filter(_is_ready, await self.find("pods", part)), key=name_of)

    async def delete_pod(self, pod: Manifest, *, grace_s: int | None = None) -> None:
        """Delete a pod, and do not wait; a grace of 0 is a kill, None leaves it to the pod."""
        grace = () if grace_s is None else (f"--grace-period={grace_s}", "--force")
        await self.kubectl.run("delete", "pod", name_of(pod), "--wait=false", *grace)

    async def wait_replaced(self, part: Part, gone: set[str]) -> None:
        """Wait until pods, named by their uids, are gone and the part is complete without them."""

        async def replaced() -> bool:
            left = {uid_of(pod) for pod in await self.find("pods", part)} & gone
            workload = await self.workload(part)
            return not left and (
                workload is None or len(await self.pods(part)) >= workload["spec"]["replicas"]
            )

        await _eventually(replaced, f"{part.name.lower()} pods were not replaced")

    async def wait_workers(self, count: int) -> None:
        """Wait until there are so many workers, ready, and no more."""

        async def reached() -> bool:
            return len(await self.pods(Part.WORKER)) == count

        await _eventually(reached, f"there were not {count} workers")

    async def schedulable_nodes(self) -> set[str]:
        """Return the nodes that take pods without special tolerations."""
        return {name_of(node) for node in await self.kubectl.find("nodes") if _takes_pods(node)}

    def selector(self, *parts: Part) -> str:
        """Return the selector of all pods of some parts that are told apart by the same label."""
        labels = [part.value[1].split("=") for part in parts]
        return f"{_INSTANCE}={self.name},{labels[0][0]} in ({','.join(v for _, v in labels)})"


@dataclass(frozen=True, slots=True)
class Installation:
    """What faults in a cluster are given.

    Attributes:
        gateway: Tells which workers are busy.
    """

    release: Release
    gateway: Gateway

    async def busy_workers(self) -> list[Manifest]:
        """Wait until workers have calls, and return their pods."""

        async def busy() -> list[Manifest]:
            page = await self.gateway.tasks(TaskFilter(states=(State.RUNNING,)))
            names = {task["worker"] for task in page["tasks"]}
            return [pod for pod in await self.release.pods(Part.WORKER) if name_of(pod) in names]

        return await _eventually(busy, "no worker had a task")


def merge_patch(**spec: int | None) -> tuple[str, ...]:
    """Return the arguments of `kubectl patch` that set values in a spec; None: no value."""
    patch = json.dumps({"spec": spec})
    return ("--type=merge", f"--field-manager={FIELD_MANAGER}", f"--patch={patch}")


def name_of(found: Manifest) -> str:
    """Return an object's name."""
    return str(found["metadata"]["name"])


def uid_of(found: Manifest) -> str:
    """Return what tells an object from its successor of the same name."""
    return str(found["metadata"]["uid"])


def keeps_data(workload: Manifest) -> bool:
    """Tell whether the data of a StatefulSet outlive its pods."""
    return bool(workload["spec"].get("volumeClaimTemplates")) or any(
        "persistentVolumeClaim" in volume
        for volume in workload["spec"]["template"]["spec"].get("volumes", [])
    )


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _takes_pods(node: Manifest) -> bool:
    spec = node.get("spec", {})
    taints = {taint["effect"] for taint in spec.get("taints", [])}
    return not spec.get("unschedulable") and not taints & {"NoSchedule", "NoExecute"}


async def _eventually(look: Callable[[], Awaitable[_Found]], otherwise: str) -> _Found:
    try:
        async with asyncio.timeout(_READY_S):
            while True:
                if found := await look():
                    return found
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as error:
        raise CommandError(f"{otherwise} within {_READY_S:g} s", Exit.FAILED) from error
