"""The arguments of the task queue follow from the server's version."""

import pytest

from activation.broker import Queues
from activation.broker.topology import task_queue_arguments


@pytest.mark.parametrize(
    ("server", "limits"),
    [
        ((3, 10), set()),
        ((3, 11), set()),
        ((3, 12), {"x-consumer-timeout"}),
        ((3, 13), {"x-consumer-timeout"}),
        ((4, 0), {"x-consumer-timeout", "x-delivery-limit"}),
        ((4, 3), {"x-consumer-timeout", "x-delivery-limit"}),
    ],
)
def test_arguments_are_those_that_the_server_knows(
    server: tuple[int, int], limits: set[str]
) -> None:
    """A server that drops messages, or takes them back early, is told not to."""
    arguments = task_queue_arguments(Queues(tasks="t", dead="d"), server)

    assert arguments.keys() == {"x-queue-type", "x-dead-letter-exchange"} | limits
    assert (arguments["x-queue-type"], arguments["x-dead-letter-exchange"]) == ("quorum", "d")
    assert arguments.get("x-delivery-limit", -1) == -1
    assert arguments.get("x-consumer-timeout", 3_600_000) > 1000 * (900 + 5)
