"""`verify --kubernetes`, with a kubectl that has its cluster in a file."""

import asyncio
import random
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner, Result

from activation_cli.client import Gateway
from activation_cli.exits import CommandError, Exit
from activation_cli.main import app
from activation_cli.verify import kubectl, release, report, session
from activation_cli.verify.accountant import Account
from activation_cli.verify.cluster import find_obstacles, find_release
from activation_cli.verify.kubectl import Kubectl
from activation_cli.verify.port_forward import forwarded
from activation_cli.verify.release import Installation, Part, Release
from activation_cli.verify.run import Plan, Site
from activation_cli.verify.scenarios import IN_CLUSTER, Scenario
from tests.support.patience import eventually
from tests.support.stub_kubectl import StubCluster

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


class BusyWorker:
    """A gateway in whose listing one worker has a task."""

    async def tasks(self, _: object) -> Any:
        return {"tasks": [{"worker": "worker-1"}]}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubCluster:
    made = StubCluster(tmp_path / "bin")
    monkeypatch.setenv("PATH", made.path)
    return made


async def strike(scenario: str, *, seed: int = 1) -> None:
    """Carry out the fault of a scenario."""
    [timed] = IN_CLUSTER[scenario].faults
    found = await find_release(None, "activation")
    chance = random.Random(seed)  # noqa: S311  # no secret depends on it
    await timed.fault.strike(Installation(found, cast("Gateway", BusyWorker())), chance)


def verify(*args: str, stdin: str = "") -> Result:
    result = CliRunner().invoke(app, ["verify", "--kubernetes", *args], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def test_the_worker_that_is_deleted_has_calls(cluster: StubCluster) -> None:
    """Without grace, as a kill, and nothing else is touched."""
    await strike("worker-pod-deleted")

    assert cluster.calls("delete") == [
        ["delete", "pod", "worker-1", "--wait=false", "--grace-period=0", "--force"]
    ]


@pytest.mark.parametrize(
    ("scenario", "pod"), [("broker-pod-deleted", "rabbitmq-0"), ("store-pod-deleted", "postgres-0")]
)
async def test_a_server_is_deleted_with_its_own_grace(
    cluster: StubCluster, scenario: str, pod: str
) -> None:
    """It is the release's own, and its successor has another uid."""
    before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in cluster.state["pods"]}

    await strike(scenario)

    after = {p["metadata"]["name"]: p["metadata"]["uid"] for p in cluster.state["pods"]}
    assert cluster.calls("delete") == [["delete", "pod", pod, "--wait=false"]]
    assert {name for name in before if before[name] != after[name]} == {pod}


async def test_the_seed_decides_which_gateway_is_deleted(cluster: StubCluster) -> None:
    """The same one for the same seed, and each for some seed."""
    for seed in (1, 1, 5):
        await strike("gateway-pod-deleted", seed=seed)

    first, again, *others = [call[2] for call in cluster.calls("delete")]
    assert first == again
    assert {first, *others} == {"gateway-0", "gateway-1"}


async def test_a_node_is_drained_of_gateways_and_workers_alone(cluster: StubCluster) -> None:
    """The servers stay, and so does the handler with its ledger; the node takes pods again."""
    before = cluster.state["pods"]

    await strike("node-drained")

    [[_, node, *_]] = cluster.calls("drain")
    uids = {pod["metadata"]["uid"] for pod in cluster.state["pods"]}
    replaced = {pod["metadata"]["name"] for pod in before if pod["metadata"]["uid"] not in uids}
    assert replaced == {f"gateway-{node[-1]}", f"worker-{node[-1]}"}
    assert cluster.calls("uncordon") == [["uncordon", node]]
    assert not any(each["spec"].get("unschedulable") for each in cluster.state["nodes"])


async def test_a_drain_that_fails_leaves_no_node_cordoned(cluster: StubCluster) -> None:
    """A PodDisruptionBudget may stand in the way."""
    cluster.change(fails=["drain"])

    with pytest.raises(CommandError, match="drain is not for you"):
        await strike("node-drained")

    assert not any(each["spec"].get("unschedulable") for each in cluster.state["nodes"])


async def test_an_interrupted_drain_leaves_no_node_cordoned(cluster: StubCluster) -> None:
    """Ctrl-C cancels what is under way."""
    cluster.change(hangs=["drain"])

    async def cordoned() -> bool:
        return any(each["spec"].get("unschedulable") for each in cluster.state["nodes"])

    striking = asyncio.create_task(strike("node-drained"))
    await eventually(cordoned, limit_s=20, what="a cordoned node")
    striking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await striking

    assert not await cordoned()


async def test_what_cannot_be_mended_is_left_to_the_person(
    cluster: StubCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and then the message is the command."""
    monkeypatch.setattr(kubectl, "_PAUSE_S", 0.0)
    cluster.change(fails=["uncordon"])

    with pytest.raises(CommandError, match=r"run this: kubectl --context=stub .* uncordon node-"):
        await strike("node-drained")

    assert len(cluster.calls("uncordon")) > 1


@pytest.mark.parametrize(
    ("autoscaler", "kind", "before"),
    [
        ("", "deployments", {"replicas": 2}),
        ("scaledobjects", "scaledobjects.keda.sh", {"minReplicaCount": 1, "maxReplicaCount": 5}),
        (
            "horizontalpodautoscalers",
            "horizontalpodautoscalers.autoscaling",
            {"minReplicas": 1, "maxReplicas": 5},
        ),
    ],
)
async def test_workers_are_scaled_by_what_holds_their_number(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autoscaler: str,
    kind: str,
    before: dict[str, int],
) -> None:
    """One more, then one alone, and in the end all is as it was: no field is known as ours."""
    cluster = StubCluster(tmp_path / "bin", autoscaler=autoscaler)
    monkeypatch.setenv("PATH", cluster.path)

    await strike("workers-scaled")

    *patched, _ = [call[1:] for call in cluster.calls("patch")]
    values = [dict.fromkeys(before, 3), dict.fromkeys(before, 1), before]
    [left] = [one for one in cluster.state[kind] if one["metadata"]["name"] == "worker"]
    assert patched == [[kind, "worker", *release.merge_patch(**one)] for one in values]
    assert left["metadata"]["managedFields"] == [{"manager": "helm"}]


async def test_an_interrupted_scaling_is_undone(
    cluster: StubCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the workers were at that moment."""

    async def interrupted(_: Release, count: int) -> None:
        raise asyncio.CancelledError(count)

    monkeypatch.setattr(Release, "wait_workers", interrupted)

    with pytest.raises(asyncio.CancelledError):
        await strike("workers-scaled")

    assert len(await (await find_release(None, "activation")).pods(Part.WORKER)) == 2


async def test_a_fault_that_strikes_nothing_is_no_pass(
    cluster: StubCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release without a ready gateway cannot lose one."""

    async def none(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(Release, "pods", none)

    with pytest.raises(CommandError, match="no gateway to strike"):
        await strike("gateway-pod-deleted")


async def test_what_cannot_be_done_is_named_before_anything_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that would go with a pod are not put at risk."""
    small = StubCluster(tmp_path / "bin", nodes=1, volumes=False)
    monkeypatch.setenv("PATH", small.path)
    no_volumes = await find_obstacles(await found(), IN_CLUSTER.values())
    monkeypatch.setenv("PATH", StubCluster(tmp_path / "external", servers=False).path)
    no_servers = await find_obstacles(await found(), IN_CLUSTER.values())

    assert set(no_volumes) == {"broker-pod-deleted", "store-pod-deleted", "node-drained"}
    assert "its data would go" in no_volumes["store-pod-deleted"]
    assert set(no_servers) == {"broker-pod-deleted", "store-pod-deleted"}


async def found() -> Release:
    return await find_release(None, "activation")


async def test_a_call_without_an_end_is_given_up(cluster: StubCluster) -> None:
    """Every call has its deadline."""
    cluster.change(hangs=["drain"])

    with pytest.raises(CommandError, match=r"no end after 0\.5 s"):
        await Kubectl("stub", "here").run("drain", "node-0", limit_s=0.5)


async def test_a_port_forward_that_has_lost_its_pod_is_begun_again(
    cluster: StubCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds on to one pod, also after it is gone."""
    cluster.change(forwards_end=True)

    async def again() -> bool:
        return len(cluster.calls("port-forward")) > 1

    async with forwarded(Kubectl("stub", "here"), "gateway", 80) as url:
        await eventually(again, limit_s=20, what="another port-forward")

    ports = {call[2] for call in cluster.calls("port-forward")}
    assert ports == {f"{url.rpartition(':')[2]}:80"}


def test_without_kubectl_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A usage error, in one line."""
    monkeypatch.setenv("PATH", str(tmp_path))

    result = verify("--all", "--yes")

    assert result.exit_code == Exit.USAGE
    assert "needs kubectl on the PATH" in result.stderr


def test_a_release_that_is_not_there_is_refused(cluster: StubCluster) -> None:
    """With all that says where it was looked for."""
    result = verify("--all", "--yes", "--release", "another", "--namespace", "there")

    assert result.exit_code == Exit.NOT_FOUND
    assert "'another'" in result.stderr
    assert "'there' of 'stub'" in result.stderr


@pytest.mark.parametrize("stdin", ["n\n", ""])
def test_nothing_is_broken_unless_somebody_agrees(cluster: StubCluster, stdin: str) -> None:
    """The question names the cluster; the end of the input is no agreement."""
    result = verify("--scenario", "workers-scaled", stdin=stdin)

    assert result.exit_code == Exit.USAGE
    assert "'activation' in 'here' of the context 'stub'" in result.stderr
    assert cluster.calls("patch") == []


def test_a_scenario_that_cannot_be_done_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started."""
    monkeypatch.setenv("PATH", StubCluster(tmp_path / "bin", nodes=1).path)

    result = verify(*("--scenario", "node-drained", "--yes", "--url", NOBODY, "--ledger", NOBODY))

    assert result.exit_code == Exit.USAGE
    assert "node-drained: there is no other node" in result.stderr


def test_with_all_the_report_says_what_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that could not do everything does not look like one that did."""
    monkeypatch.setenv("PATH", StubCluster(tmp_path / "bin", nodes=1).path)
    carried_out: list[str] = []

    async def noted(_: Site, scenario: Scenario, plan: Plan, *__: Any, unchecked: list[str]) -> Any:
        carried_out.append(scenario.name)
        account = Account([], [], None)
        return report.Result(
            scenario, plan.seed, account, [], [], begun_at=0.0, took_s=0.0, unchecked=unchecked
        )

    monkeypatch.setattr(session, "verify_installation", noted)

    result = verify("--all", "--yes", "--url", NOBODY, "--ledger", NOBODY)

    assert result.exit_code == Exit.DONE
    assert carried_out == [name for name in IN_CLUSTER if name != "node-drained"]
    assert result.stdout.count("not checked: node-drained: there is no other node") == 1
