"""A release of the chart in a cluster, and its pods."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.kube import Kube, Manifest, is_ready
from tests.support.patience import eventually

CHART: Final = Path(__file__).parents[2] / "charts" / "activation"
READY_S: Final = 300.0  # for a release to be ready, on a machine with two cores


@dataclass(frozen=True, slots=True)
class Release:
    """The release `activation` of a namespace.

    Attributes:
        kube: The namespace.
        tag: Of the images that it is installed with.
        values: Files with values, on top of values-dev.yaml; the last one wins.
    """

    kube: Kube
    tag: str
    values: tuple[Path, ...] = ()

    async def install(self, **changes: str) -> None:
        """Install it, or give it other values; returns when all its pods are ready.

        Args:
            changes: Single values, `keda__minReplicas="0"` for keda.minReplicas. They hold for this
                revision only.
        """
        values = [f"--values={path}" for path in (CHART / "values-dev.yaml", *self.values)]
        single = {"image.tag": self.tag} | {k.replace("__", "."): v for k, v in changes.items()}
        await self.kube.helm(
            *("upgrade", "--install", "activation", str(CHART), *values),
            *(f"--set={name}={value}" for name, value in single.items()),
            *("--wait", f"--timeout={READY_S:.0f}s"),
            limit_s=READY_S + 30,
        )

    async def rollback(self) -> None:
        """Go back to the revision before."""
        await self.kube.helm(
            *("rollback", "activation", "--wait", f"--timeout={READY_S:.0f}s"),
            limit_s=READY_S + 30,
        )

    async def test(self) -> str:
        """Run `helm test`, and return what it printed."""
        arguments = ("test", "activation", "--logs", "--timeout=180s")
        return await self.kube.helm(*arguments, limit_s=200)

    async def uninstall(self) -> None:
        """Uninstall it, and wait until its pods are gone."""
        await self.kube.helm("uninstall", "activation", "--wait", limit_s=READY_S)

        async def gone() -> bool:
            return not await self.kube.find("pods")

        await eventually(gone, limit_s=READY_S, what="the end of all pods")

    async def pods(self, component: str) -> list[Manifest]:
        """Return the pods of a component of ours."""
        return await self.kube.find("pods", f"app.kubernetes.io/component={component}")

    async def ready_pods(self, component: str) -> list[Manifest]:
        """Return those that are ready and stay."""
        return [pod for pod in await self.pods(component) if is_ready(pod)]

    async def wait_ready(self, component: str, count: int) -> list[Manifest]:
        """Wait until a component has so many ready pods, or more; return them."""

        async def enough() -> list[Manifest] | None:
            pods = await self.ready_pods(component)
            return pods if len(pods) >= count else None

        what = f"{count} ready pods of the {component}"
        return await eventually(enough, limit_s=READY_S, what=what) or []

    async def wanted_workers(self) -> int:
        """Return how many workers the Deployment is told to have."""
        deployment = await self.kube.get("deployment", "activation-worker")
        return int(deployment["spec"]["replicas"])
