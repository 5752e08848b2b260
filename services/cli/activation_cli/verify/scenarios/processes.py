"""Processes that are killed, frozen and told to leave."""

from typing import Final

from activation_cli.verify import faults, promises
from activation_cli.verify.promises import all_succeed
from activation_cli.verify.proxy import BLACK_HOLE, Behaviour, Way
from activation_cli.verify.scenarios.scenario import Scenario, Timed
from activation_cli.verify.system import Link

_CLIENTS: Final = (Link.CLIENT_GATEWAY_1, Link.CLIENT_GATEWAY_2)

PROCESSES: Final = (
    Scenario(
        "calm",
        "nothing is broken",
        "the yardstick: all is done once, at the first attempt",
        promises=(all_succeed, promises.nothing_is_called_again),
        round_s=5.0,
    ),
    Scenario(
        "long-calls",
        "nothing is broken, and calls take longer than leases last",
        "leases are renewed: nothing is called twice",
        promises=(all_succeed, promises.nothing_is_called_again),
        round_s=1.5,
        rate_times=0.3,
        busy_device=0.0,
        handler_s=6.5,
    ),
    Scenario(
        "worker-killed",
        "SIGKILL to a worker during its calls",
        "the other one does its tasks, with the same keys, when their leases end",
        (Timed(faults.killed("worker")),),
        (all_succeed, promises.something_is_called_again),
        handler_s=1.5,  # so that a worker always has calls
        busy_device=0.02,  # its line would only take longer to end
    ),
    Scenario(
        "all-workers-killed",
        "SIGKILL to all workers, while many tasks wait in the queue",
        "whatever message a worker had, its task is carried out",
        (Timed(faults.all_killed("worker"), within=(0.6, 0.8)),),
        (all_succeed, promises.something_is_called_again),
        settings={"concurrency": 2},
    ),
    Scenario(
        "worker-terminated",
        "SIGTERM to a worker during its calls, as a deploy sends it",
        "it finishes them: nothing is called again",
        (Timed(faults.terminated("worker")),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "worker-hands-back",
        "SIGTERM to a worker that has no time to finish its calls",
        "it hands them back, and they cost no attempt: the only one allowed is still there",
        (Timed(faults.terminated("worker")),),
        (all_succeed, promises.something_is_called_again),
        handler_s=1.5,
        busy_device=0.02,
        settings={"drain_s": 0.2, "max_attempts": 1},
    ),
    Scenario(
        "worker-frozen",
        "SIGSTOP to a worker for longer than its lease, while its calls fail; then SIGCONT",
        "its late results change nothing: the later attempts have succeeded",
        (Timed(faults.zombie(for_s=7.5, calls=30), within=(0.2, 0.4)),),
        (promises.something_is_called_again,),
        needs_postgres=True,  # SQLite has one writer: frozen in a transaction, it stops them all
    ),
    Scenario(
        "poison-task",
        "one task kills every worker that calls for it",
        "it becomes a dead letter, and its neighbours succeed",
        (Timed(faults.poisoned(), within=(0.2, 0.3)),),
        (promises.one_is_given_up,),
        handler_s=1.2,  # so that neighbours are always caught in their calls
        busy_device=0.02,
        settings={"max_attempts": 3},
    ),
    Scenario(
        "gateway-killed",
        "SIGKILL to a gateway in a stream of requests",
        "what it had promised is kept; whoever asks again gets the same task",
        (Timed(faults.killed("gateway")),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "gateway-killed-before-publish",
        "messages do not reach RabbitMQ, and the gateway that owes them is killed",
        "the other gateway finds and publishes what is owed",
        (
            Timed(
                faults.gateway_killed_while(
                    "nothing is published, and a gateway is killed", BLACK_HOLE, for_s=1.5
                )
            ),
        ),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "gateway-killed-before-confirm",
        "messages reach RabbitMQ, its confirms do not come back, and the gateway is killed",
        "messages that come twice are absorbed",
        (
            Timed(
                faults.gateway_killed_while(
                    "nothing is confirmed, and a gateway is killed",
                    Behaviour(swallows=frozenset({Way.TO_CLIENT})),
                    for_s=1.5,
                )
            ),
        ),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "gateway-killed-before-answer",
        "requests are committed, their answers do not leave, and the gateway is killed",
        "asking again gives the same task",
        (
            Timed(
                faults.gateway_killed_while(
                    "nothing is answered, and a gateway is killed",
                    Behaviour(swallows=frozenset({Way.TO_CLIENT})),
                    links=_CLIENTS,
                    for_s=1.5,
                )
            ),
        ),
        (all_succeed, promises.nothing_is_called_again, promises.answers_are_missed),
    ),
    Scenario(
        "answers-lost",
        "the gateways' answers are cut off: clients do not learn that they were accepted",
        "asking again gives the same task; who does not ask has one task, or none",
        (
            Timed(
                faults.behaving(
                    "answers are cut off",
                    _CLIENTS,
                    Behaviour(cut_after=(Way.TO_CLIENT, 0)),
                    for_s=1.5,
                )
            ),
        ),
        (all_succeed, promises.nothing_is_called_again, promises.answers_are_missed),
    ),
    Scenario(
        "all-at-once",
        "workers and gateways are killed one after the other, and RabbitMQ too",
        "nothing is lost, and nothing is done twice",
        (
            Timed(faults.killed("worker"), within=(0.1, 0.2)),
            Timed(faults.broker_killed(), within=(0.2, 0.4)),
            Timed(faults.killed("gateway"), within=(0.3, 0.5)),
            Timed(faults.all_killed("worker"), within=(0.5, 0.7)),
            Timed(faults.all_killed("gateway"), within=(0.7, 0.9)),
        ),
        round_s=12.0,
    ),
)
