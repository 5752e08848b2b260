"""Clocks that go wrong, each in one process; leases and retries are by the database's."""

from typing import Final

from activation_cli.verify import faults, promises
from activation_cli.verify.promises import all_succeed
from activation_cli.verify.scenarios.scenario import Scenario, Timed

_HOUR_S: Final = 3600

CLOCKS: Final = (
    Scenario(
        "worker-clock-stepped",
        "the clock of a worker is stepped an hour forward, then back, while calls fail",
        "no lease is stolen, and no retry is an hour late",
        (
            Timed(faults.clock_stepped("worker", by_s=_HOUR_S, for_s=2.0), within=(0.1, 0.2)),
            Timed(
                faults.handler_does(
                    "some calls fail", {"do": "answer", "status": 503}, for_s=6.0, share=0.3
                ),
                within=(0.05, 0.1),
            ),
        ),
        (all_succeed, promises.something_is_called_again, promises.attempts_do_not_overlap),
        round_s=8.0,
        needs_postgres=True,
        stepped_clocks=True,
    ),
    Scenario(
        "gateway-clock-stepped",
        "the clock of a gateway is stepped an hour forward, then back",
        "requests are accepted in their order, and nothing is published late or called twice",
        (Timed(faults.clock_stepped("gateway", by_s=_HOUR_S, for_s=2.0), within=(0.1, 0.2)),),
        (all_succeed, promises.nothing_is_called_again),
        round_s=8.0,
        needs_postgres=True,
        stepped_clocks=True,
    ),
)
