"""A cluster, as kubectl and helm show it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.support import programs

Manifest = dict[str, Any]

RESTRICTED: Final = "pod-security.kubernetes.io/enforce=restricted"
OURS: Final = "activation.test/namespace=yes"  # the label of what the tests made


@dataclass(frozen=True, slots=True)
class Kube:
    """A namespace of a cluster.

    Attributes:
        kubeconfig: Tells where the cluster is; its current context is used.
        namespace: Where objects are looked for and put.
    """

    kubeconfig: Path
    namespace: str = "default"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes kubectl and helm find the cluster."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def within(self, namespace: str) -> "Kube":
        """Return another namespace of the same cluster."""
        return replace(self, namespace=namespace)

    async def run(self, *arguments: str, limit_s: float = 60.0, stdin: str = "") -> str:
        """Run kubectl, and return what it printed."""
        return await self._run("kubectl", *arguments, limit_s=limit_s, stdin=stdin)

    async def helm(self, *arguments: str, limit_s: float = 60.0) -> str:
        """Run helm, and return what it printed."""
        return await self._run("helm", *arguments, limit_s=limit_s)

    async def _run(self, program: str, *arguments: str, limit_s: float, stdin: str = "") -> str:
        return await programs.run(
            *(program, "--namespace", self.namespace, *arguments),
            limit_s=limit_s,
            stdin=stdin,
            environment=self.environment,
        )

    async def get(self, kind: str, name: str) -> Manifest:
        """Return an object that must be there."""
        found: Manifest = json.loads(await self.run("get", kind, name, "--output=json"))
        return found

    async def find(self, kind: str, selector: str = "") -> list[Manifest]:
        """Return the objects of a kind, those with certain labels if a selector is given."""
        answer = await self.run("get", kind, f"--selector={selector}", "--output=json")
        found: list[Manifest] = json.loads(answer)["items"]
        return found

    async def names(self, kinds: str) -> set[str]:
        """Return all objects of some kinds (`pods,secrets`), each as kind/name."""
        answer = await self.run("get", kinds, "--output=name", "--ignore-not-found")
        return set(answer.split())

    async def wait(self, condition: str, *what: str, limit_s: float = 120.0) -> None:
        """Wait for a condition of objects (`condition=Ready`, `delete`)."""
        timeout = f"--timeout={limit_s:.0f}s"
        await self.run("wait", f"--for={condition}", timeout, *what, limit_s=limit_s + 10)

    async def apply(self, text: str) -> None:
        """Make objects as they are described, in YAML."""
        await self.run("apply", "--filename=-", stdin=text)

    async def make_namespace(self) -> None:
        """Make the namespace; it takes no pod that is not *restricted*."""
        await self.run("create", "namespace", self.namespace)
        await self.run("label", "namespace", self.namespace, RESTRICTED, OURS)

    async def exec(self, pod: str, *command: str, limit_s: float = 60.0) -> str:
        """Run a command in a pod, and return what it printed."""
        return await self.run("exec", pod, "--", *command, limit_s=limit_s)


def condition(found: Manifest, kind: str) -> str:
    """Return the status of one of an object's conditions, or "Unknown"."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((str(one["status"]) for one in conditions if one["type"] == kind), "Unknown")


def is_ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready, and stays."""
    return condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def name_of(found: Manifest) -> str:
    """Return an object's name."""
    return str(found["metadata"]["name"])
