"""Nothing is broken, but there is much to do."""

from typing import Final

from activation_cli.verify import promises
from activation_cli.verify.promises import all_succeed
from activation_cli.verify.scenarios.scenario import Scenario

LOAD: Final = (
    Scenario(
        "burst",
        "fifty times as many requests as usual, in a second (--duration 50: about 50,000)",
        "all are carried out, each at its first attempt",
        promises=(all_succeed, promises.nothing_is_called_again),
        round_s=1.0,
        rate_times=50.0,
        handler_s=0.05,
        needs_postgres=True,
        alone=True,  # the proxies of all scenarios are in one process, and it is busy now
        settings={"concurrency": 200},
    ),
    Scenario(
        "long-line",
        "every second request is for one device",
        "only that device's tasks wait for each other",
        promises=(
            all_succeed,
            promises.nothing_is_called_again,
            promises.only_the_longest_line_waits,
        ),
        round_s=5.0,
        rate_times=2.0,
        handler_s=0.2,
        busy_device=0.5,
    ),
)
