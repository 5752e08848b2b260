"""Lanes: scenarios side by side on this machine, each lane with servers of its own."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from activation_cli.exits import CommandError, Exit
from activation_cli.side_by_side import for_each, together
from activation_cli.verify.report import Result, broken_off
from activation_cli.verify.scenarios import Scenario
from activation_cli.verify.screen import Screen, Stage
from activation_cli.verify.servers import Servers

_USUAL_LANES: Final = 2
_THREADS: Final = 12  # of a lane: services and servers that depend on each other start in them

Verify = Callable[[int, Scenario, Path, Servers, Stage], Coroutine[Any, Any, Result]]


def count_lanes(asked: int | None, *, scenarios: int, cpus: int) -> int:
    """Return how many lanes there are: two, or what is asked for, one for each CPU at the most.

    Raises:
        CommandError: More are asked for than there are CPUs: leases would end for want of them.
    """
    if asked is not None and asked > cpus:
        raise CommandError(
            f"--jobs {asked} is more than this machine has CPUs, which is {cpus}",
            Exit.USAGE,
        )
    return min(asked or _USUAL_LANES, scenarios, cpus)


async def verify_in_lanes(
    chosen: Sequence[Scenario],
    lanes: int,
    new_servers: Callable[[], Servers],
    verify: Verify,
    *,
    seed: int,
    logs: Path,
    show: Screen,
) -> list[Result]:
    """Carry scenarios out, each on the servers of a free lane.

    Whatever goes wrong in one ends that one only, and is its result; its lane goes on with new
    servers. Scenarios that want the machine alone come last.

    Args:
        chosen: In the order in which they begin.
        lanes: How many are carried out at a time.
        new_servers: Makes the servers of a lane; not started.
        verify: Carries one out: its number, itself, its folder, servers, and where it is shown.
        seed: For the results of those that are broken off.
        logs: Where each gets a folder.
        show: Is told of each.

    Returns:
        The results, in the order of the scenarios.

    Raises:
        StartError: RabbitMQ cannot be started, without which no scenario can begin.
    """
    _give_threads(lanes)
    results: dict[int, Result] = {}
    free = [new_servers() for _ in range(lanes)]
    used = list(free)

    async def carry_out(numbered: tuple[int, Scenario]) -> None:
        number, scenario = numbered
        servers = free.pop()
        own = logs / f"{number + 1:02}-{scenario.name}"
        with show.stage(scenario) as stage:
            try:
                result = await verify(number, scenario, own, servers, stage)
            except Exception as error:  # noqa: BLE001  # the report tells of it, and of all others
                result = broken_off(scenario, seed, error, logs=own)
                _keep(error, own)
                await asyncio.to_thread(servers.stop)
                servers = new_servers()
                used.append(servers)
        show.ended(result)
        results[number] = result
        free.append(servers)

    numbered = list(enumerate(chosen))
    try:
        await together(*(servers.start() for servers in free))
        shared = [one for one in numbered if not one[1].alone]
        await for_each(shared, carry_out, at_once=lanes)
        await for_each([one for one in numbered if one[1].alone], carry_out, at_once=1)
    finally:
        await together(*(asyncio.to_thread(servers.stop) for servers in used))
    return [results[number] for number, _ in numbered]


def _keep(error: Exception, logs: Path) -> None:
    with suppress(OSError):  # it is told of anyway
        logs.mkdir(parents=True, exist_ok=True)
        said = "".join(traceback.format_exception(error))
        (logs / "traceback.txt").write_text(said, encoding="utf-8")


def _give_threads(lanes: int) -> None:
    """Have enough of them: asyncio's own are few on a small machine, and would be waited for."""
    threads = ThreadPoolExecutor(_THREADS * lanes, thread_name_prefix="lane")
    asyncio.get_running_loop().set_default_executor(threads)
