"""`activation verify --kubernetes` breaks releases as users have them; its account is clean."""

from collections.abc import Sequence
from typing import Any

import pytest

from activation_cli.exits import Exit
from activation_cli.verify.scenarios import IN_CLUSTER
from tests.support import kind
from tests.support.kind import KindCluster
from tests.support.kube import Kube
from tests.support.release import Release
from tests.support.verify import verify


@pytest.mark.parametrize("scenario", IN_CLUSTER)
async def test_whatever_is_killed_nothing_is_lost_or_done_twice(
    cluster: KindCluster, release: Release, handler_url: str, scenario: str
) -> None:
    """The ledger of a handler outside of the release agrees; the cluster is left as it was."""
    before = await settings(cluster, release)
    ways = ("--url", await cluster.url(kind.LOAD_PORT), "--ledger", handler_url)

    account = await broken(release.kube, scenario, *ways)

    assert account["calls"] > 0
    assert await settings(cluster, release) == before


async def test_verify_reaches_a_release_by_itself(installation: Release) -> None:
    """The gateways and the chart's mock handler, by ports that it forwards."""
    account = await broken(installation.kube, "gateway-pod-deleted")

    assert account["calls"] > 0


async def broken(kube: Kube, scenario: str, *ways: str) -> dict[str, Any]:
    """Carry a scenario out on the release of a namespace; return the account."""
    report = await verify(
        *("--kubernetes", "--yes", "--namespace", kube.namespace, *ways),
        *("--scenario", scenario, "--seed", "1", "--duration", "10s", "--rate", "4"),
        expected=Exit.DONE,
        environment=kube.environment,
    )
    account: dict[str, Any]
    [account] = report["scenarios"]
    assert account["unchecked"] == []
    assert len(account["faults"]) == 1
    return account


async def settings(cluster: KindCluster, release: Release) -> Sequence[Any]:
    """Return what a scenario changes for its time: the bounds of the fleet, and closed nodes."""
    fleet = (await release.kube.get("scaledobject", "activation-worker"))["spec"]
    nodes = await cluster.kube.find("nodes")
    closed = [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]
    return fleet["minReplicaCount"], fleet["maxReplicaCount"], closed
