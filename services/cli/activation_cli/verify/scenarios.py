"""The fault matrix: each scenario has a name, what it does, and what must hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from activation_cli.verify import faults, promises
from activation_cli.verify.faults import Fault, handler_does
from activation_cli.verify.promises import Promise, all_succeed
from activation_cli.verify.proxy import BLACK_HOLE, BOTH_WAYS, Behaviour, Way
from activation_cli.verify.system import Link

_BROKER: Final = (Link.GATEWAY_BROKER, Link.WORKER_BROKER)
_STORE: Final = (Link.GATEWAY_STORE, Link.WORKER_STORE)
_CLIENTS: Final = (Link.CLIENT_GATEWAY_1, Link.CLIENT_GATEWAY_2)


@dataclass(frozen=True, slots=True)
class Timed:
    """A fault, and between which shares of a round it begins."""

    fault: Fault
    within: tuple[float, float] = (0.3, 0.5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done to a system, and what must hold, beyond a clean account.

    Attributes:
        does: One line: what is broken.
        holds: One line: the invariant that it checks.
        promises: The same as far as the account itself does not say it.
        round_s: How long requests are sent for one round of the faults.
        handler_s: How long an activation takes.
        timeout_s: The `timeoutInSeconds` of the requests.
        needs_postgres: It breaks PostgreSQL, or the way to it.
        settings: Of all services, beyond the usual ones.
    """

    name: str
    does: str
    holds: str
    faults: tuple[Timed, ...] = ()
    promises: tuple[Promise, ...] = (all_succeed,)
    round_s: float = 8.0
    handler_s: float = 0.5
    timeout_s: int = 10
    needs_postgres: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)


def _answer(status: int, **more: object) -> Mapping[str, Any]:
    return {"do": "answer", "status": status, **more}


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
        handler_s=6.5,
    ),
    Scenario(
        "worker-killed",
        "SIGKILL to a worker during its calls",
        "the other one does its tasks, with the same keys, when their leases end",
        (Timed(faults.killed("worker")),),
        (all_succeed, promises.something_is_called_again),
        handler_s=1.5,  # so that a worker always has calls
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
        settings={"drain_s": 0.2, "max_attempts": 1},
    ),
    Scenario(
        "worker-frozen",
        "SIGSTOP to a worker for longer than its lease, while its calls fail; then SIGCONT",
        "its late results change nothing: the later attempts have succeeded",
        (Timed(faults.zombie(for_s=7.5, calls=30), within=(0.2, 0.4)),),
        (promises.something_is_called_again,),
    ),
    Scenario(
        "poison-task",
        "one task kills every worker that calls for it",
        "it becomes a dead letter, and its neighbours succeed",
        (Timed(faults.poisoned(), within=(0.2, 0.3)),),
        (promises.one_is_given_up,),
        handler_s=1.2,  # so that neighbours are always caught in their calls
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

BROKER: Final = (
    Scenario(
        "broker-restarted",
        "RabbitMQ is stopped and started again",
        "requests are accepted meanwhile, and calls in flight are not repeated",
        (Timed(faults.broker_restarted(), within=(0.2, 0.4)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "broker-away",
        "RabbitMQ is stopped for a while (--outage)",
        "requests are accepted meanwhile, and are published when it is back",
        (Timed(faults.broker_down(), within=(0.2, 0.4)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "broker-black-holed",
        "nothing passes to and from RabbitMQ, and no connection ends",
        "nothing waits for it for ever, and nothing is called twice",
        (Timed(faults.behaving("RabbitMQ is a black hole", _BROKER, BLACK_HOLE, for_s=8.0)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "broker-slow",
        "everything takes a fifth of a second longer to and from RabbitMQ",
        "it is only slow",
        (Timed(faults.behaving("RabbitMQ is slow", _BROKER, Behaviour(delay_s=0.2), for_s=4.0)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "broker-connections-cut",
        "connections to RabbitMQ are reset again and again",
        "messages come again, and are absorbed",
        (Timed(faults.cut("RabbitMQ's connections are cut", _BROKER, times=4)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
    Scenario(
        "queue-deleted",
        "the queue is deleted with all its messages",
        "it is declared again, and filled from the store",
        (Timed(faults.queue_deleted()),),
        (all_succeed, promises.nothing_is_called_again),
        settings={"concurrency": 2},
    ),
    Scenario(
        "messages-repeated",
        "messages come three times more, in any order, also of tasks that have ended",
        "they are absorbed",
        (Timed(faults.messages_repeated(copies=3), within=(0.5, 0.7)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
)

STORE: Final = (
    Scenario(
        "store-restarted",
        "PostgreSQL is restarted",
        "requests wait for it; results are kept, and no call is repeated",
        (Timed(faults.store_restarted()),),
        (all_succeed, promises.nothing_is_called_again),
        needs_postgres=True,
    ),
    Scenario(
        "store-connections-terminated",
        "PostgreSQL ends all its connections, three times",
        "transactions are repeated, and calls are not",
        (Timed(faults.store_connections_terminated()),),
        (all_succeed, promises.nothing_is_called_again),
        needs_postgres=True,
    ),
    Scenario(
        "store-slow",
        "everything takes a tenth of a second longer to and from PostgreSQL",
        "it is only slow",
        (Timed(faults.behaving("PostgreSQL is slow", _STORE, Behaviour(delay_s=0.1), for_s=4.0)),),
        needs_postgres=True,
    ),
    Scenario(
        "store-black-holed",
        "nothing passes to and from PostgreSQL, and no connection ends",
        "results are kept until they can be written",
        (
            Timed(
                faults.behaving(
                    "PostgreSQL is a black hole", _STORE, Behaviour(swallows=BOTH_WAYS), for_s=3.0
                )
            ),
        ),
        needs_postgres=True,
    ),
    Scenario(
        "commit-unanswered",
        "commits reach PostgreSQL, and its answers are cut off",
        "what was committed is not done again",
        (
            Timed(
                faults.behaving(
                    "PostgreSQL's answers are cut off",
                    _STORE,
                    Behaviour(cut_after=(Way.TO_CLIENT, 0)),
                    for_s=1.5,
                )
            ),
        ),
        needs_postgres=True,
    ),
)

# What the handler does to half of the calls, and the words for it.
_BROKEN_ANSWERS: Final[tuple[tuple[str, str, Mapping[str, Any]], ...]] = (
    ("resets", "connections are reset in the middle of answers", {"do": "reset", "at": "middle"}),
    ("half-answers", "answers end in the middle", {"do": "half"}),
    ("endless", "answers never end", {"do": "huge", "body_bytes": None}),
    ("garbage", "answers are no HTTP", {"do": "garbage", "instead_of": "http"}),
    ("wrong-type", "answers are web pages", {"do": "wrong_type"}),
    ("overloaded", "answers are 429 with Retry-After", _answer(429, retry_after=1)),
    ("unavailable", "answers are 503", _answer(503)),
)

HANDLER: Final = (
    Scenario(
        "handler-hangs",
        "a third of the calls succeeds, and is answered long after the deadline",
        "the next attempt, with the same key, learns that; no device is activated twice",
        (
            Timed(
                handler_does(
                    "the handler hangs", {"do": "hang", "for_s": 3.0}, for_s=2.0, share=0.3
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again),
        timeout_s=1,
    ),
    *(
        Scenario(
            f"handler-{name}",
            does,
            "calls are repeated with the same key; no device is activated twice",
            (Timed(handler_does(does, step, for_s=2.0, share=0.5)),),
            (all_succeed, promises.something_is_called_again),
            round_s=5.0,
        )
        for name, does, step in _BROKEN_ANSWERS
    ),
    Scenario(
        "handler-cut-off",
        "connections to the handler are reset, new ones too",
        "calls are repeated with the same key; no device is activated twice",
        (
            Timed(faults.cut("calls are cut off", (Link.WORKER_HANDLER,), times=2)),
            Timed(
                faults.behaving(
                    "the handler refuses connections",
                    (Link.WORKER_HANDLER,),
                    Behaviour(refuses=True),
                    for_s=2.0,
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again),
    ),
    Scenario(
        "handler-black-holed",
        "nothing passes to and from the handler, and no connection ends",
        "calls end with their deadline, and are repeated with the same key",
        (
            Timed(
                faults.behaving(
                    "the handler is a black hole", (Link.WORKER_HANDLER,), BLACK_HOLE, for_s=3.0
                )
            ),
        ),
        (all_succeed, promises.something_is_called_again),
        timeout_s=1,
    ),
)

SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario for scenario in (*PROCESSES, *BROKER, *STORE, *HANDLER)
}
CALM: Final = SCENARIOS["calm"]
