"""A release in a cluster, whose pods are deleted, moved and scaled."""

from typing import Final

from activation_cli.verify import faults, promises
from activation_cli.verify.promises import Promise, all_succeed
from activation_cli.verify.release import Part
from activation_cli.verify.scenarios.scenario import Scenario, Timed


def _scenario(
    name: str,
    does: str,
    holds: str,
    fault: faults.Fault,
    *promised: Promise,
    handler_s: float = 2.0,
) -> Scenario:
    return Scenario(
        name,
        does,
        holds,
        (Timed(fault, within=(0.2, 0.3)),),
        (all_succeed, *promised),
        round_s=20.0,
        handler_s=handler_s,
        timeout_s=60,
    )


KUBERNETES: Final = (
    _scenario(
        "worker-pod-deleted",
        "the pod of a worker with calls is deleted without grace",
        "the others do its tasks, with the same keys, when their leases end",
        faults.busy_worker_deleted(),
        promises.something_is_called_again,
        handler_s=10.0,  # longer than kubectl takes to delete a pod
    ),
    _scenario(
        "gateway-pod-deleted",
        "the pod of a gateway is deleted without grace",
        "what it had promised is kept; whoever asks again gets the same task",
        faults.gateway_deleted(),
        promises.nothing_is_called_again,
    ),
    _scenario(
        "broker-pod-deleted",
        "the pod of the release's RabbitMQ is deleted",
        "requests are accepted meanwhile, and are published when it is back",
        faults.server_deleted("RabbitMQ", Part.BROKER),
    ),
    _scenario(
        "store-pod-deleted",
        "the pod of the release's PostgreSQL is deleted",
        "results are kept until they can be written",
        faults.server_deleted("PostgreSQL", Part.STORE),
    ),
    _scenario(
        "node-drained",
        "a node is drained of the release's gateways and workers",
        "they finish their calls: nothing is called again",
        faults.node_drained(),
        promises.nothing_is_called_again,
    ),
    _scenario(
        "workers-scaled",
        "there is one worker more, and then only one is left",
        "those that leave finish their calls: nothing is called again",
        faults.workers_scaled(),
        promises.nothing_is_called_again,
    ),
)
