"""`activation verify --kubernetes` against releases as users have them."""

from activation_cli.exits import Exit
from tests.support import kind
from tests.support.kind import KindCluster
from tests.support.kube import Kube
from tests.support.release import Release
from tests.support.verify import verify

DURATION = ("--duration", "10s", "--seed", "1", "--yes")


async def test_verify_breaks_the_workers_and_leaves_the_cluster_as_it_was(
    cluster: KindCluster, release: Release, handler_url: str
) -> None:
    """Its requests are accounted for by the ledger of a handler outside of the release."""
    before = await scaling(release.kube)

    report = await verify(
        *("--kubernetes", *DURATION, "--namespace", "load", "--rate", "4"),
        *("--scenario", "worker-pod-deleted", "--scenario", "workers-scaled"),
        *("--url", await cluster.url(kind.LOAD_PORT), "--ledger", handler_url),
        expected=Exit.DONE,
        environment=release.kube.environment,
    )

    for scenario in report["scenarios"]:
        assert scenario["unchecked"] == []
        assert len(scenario["faults"]) == 1
        assert scenario["counts"]["ok"] == len(scenario["requests"]) > 0
    assert await scaling(release.kube) == before


async def test_verify_reaches_a_release_by_itself(installation: Release) -> None:
    """The gateways and the chart's mock handler, by ports that it forwards."""
    report = await verify(
        *("--kubernetes", *DURATION, "--namespace", "activation", "--rate", "4"),
        *("--scenario", "gateway-pod-deleted"),
        expected=Exit.DONE,
        environment=installation.kube.environment,
    )

    [scenario] = report["scenarios"]
    assert scenario["unchecked"] == []
    assert scenario["calls"] > 0


async def scaling(kube: Kube) -> tuple[int, int]:
    """Return the fewest and the most workers that KEDA may have."""
    spec = (await kube.get("scaledobject", "activation-worker"))["spec"]
    return spec["minReplicaCount"], spec["maxReplicaCount"]
