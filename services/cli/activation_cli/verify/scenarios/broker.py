"""RabbitMQ, and the ways to it, broken."""

from typing import Final

from activation_cli.verify import faults, promises
from activation_cli.verify.promises import all_succeed
from activation_cli.verify.proxy import BLACK_HOLE, Behaviour
from activation_cli.verify.scenarios.scenario import Scenario, Timed
from activation_cli.verify.system import Link

_BROKER: Final = (Link.GATEWAY_BROKER, Link.WORKER_BROKER)

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
        "the queue is deleted with all its messages, and its consumers are cancelled",
        "it is declared again, and filled from the store",
        (Timed(faults.queue_deleted()),),
        (all_succeed, promises.nothing_is_called_again),
        settings={"concurrency": 2},
    ),
    Scenario(
        "broker-alarms",
        "RabbitMQ has too little memory, then too little disk space, and blocks publishers",
        "requests are accepted meanwhile, and are published when it takes them again",
        (
            Timed(faults.out_of_memory(for_s=3.0), within=(0.1, 0.2)),
            Timed(faults.out_of_disk_space(for_s=3.0), within=(0.6, 0.7)),
        ),
        (all_succeed, promises.nothing_is_called_again),
        round_s=12.0,
    ),
    Scenario(
        "acknowledgement-too-late",
        "RabbitMQ closes channels whose messages are not acknowledged in a second",
        "calls take longer, and are not repeated",
        (Timed(faults.impatient(patience_s=1.0, for_s=8.0), within=(0.1, 0.2)),),
        (all_succeed, promises.nothing_is_called_again),
        handler_s=2.5,
        busy_device=0.02,
    ),
    Scenario(
        "messages-repeated",
        "messages come three times more, in any order, also of tasks that have ended",
        "they are absorbed",
        (Timed(faults.messages_repeated(copies=3), within=(0.5, 0.7)),),
        (all_succeed, promises.nothing_is_called_again),
    ),
)
