"""Lanes: several scenarios at a time, and what becomes of one does not touch the others."""

import asyncio
import io
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from rich.console import Console

from activation.errors import StartError
from activation_cli.exits import CommandError, Exit
from activation_cli.local.rabbitmq import RabbitMQNode
from activation_cli.verify.accountant import Account, Post
from activation_cli.verify.lanes import count_lanes, verify_in_lanes
from activation_cli.verify.report import Result
from activation_cli.verify.scenarios import CALM, Scenario
from activation_cli.verify.screen import Screen, Stage
from activation_cli.verify.servers import Servers

SCENARIOS: Final = [replace(CALM, name=name) for name in ("one", "two", "three", "four")]
ALONE: Final = replace(CALM, name="alone", alone=True)

Work = Callable[[Scenario, Servers, Stage], Coroutine[Any, Any, None]]


class NoServers(Servers):
    """Servers that are not there, and remember whether they would be."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        super().__init__(folder)
        self.running = False
        self._error = error

    async def start(self) -> None:
        if self._error is not None:
            raise self._error
        self.running = True

    async def broker(self) -> RabbitMQNode:
        raise NotImplementedError

    def stop(self) -> None:
        self.running = False


class Bench:
    """Lanes over servers that are not there."""

    def __init__(self, folder: Path, *, on_terminal: bool = False) -> None:
        self.folder = folder
        self.written = io.StringIO()
        self.servers: list[NoServers] = []
        self.start_error: Exception | None = None
        self._show = Screen(Console(file=self.written, force_terminal=on_terminal, width=100))

    async def run(self, chosen: list[Scenario], work: Work, *, lanes: int = 2) -> list[Result]:
        async def verify(
            number: int, scenario: Scenario, logs: Path, servers: Servers, stage: Stage
        ) -> Result:
            await work(scenario, servers, stage)
            return Result(scenario, number, Account([], [], None), [], [], 0.0, 1.0, logs=logs)

        return await verify_in_lanes(
            chosen,
            lanes,
            self._new_servers,
            verify,
            seed=7,
            logs=self.folder,
            show=self._show,
        )

    def _new_servers(self) -> NoServers:
        self.servers.append(NoServers(self.folder, self.start_error))
        return self.servers[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Provide lanes whose screen is no terminal."""
    return Bench(tmp_path)


async def test_results_are_in_the_order_of_the_list_and_lines_as_scenarios_end(
    bench: Bench,
) -> None:
    """Also where a later one ends first; each is given its number in the list."""
    ended = {scenario.name: asyncio.Event() for scenario in SCENARIOS}

    async def until_the_others_have_ended(scenario: Scenario, *_: object) -> None:
        if scenario is SCENARIOS[0]:
            await ended["four"].wait()
        ended[scenario.name].set()

    results = await bench.run(SCENARIOS, until_the_others_have_ended)

    assert [result.scenario for result in results] == SCENARIOS
    assert [result.seed for result in results] == [0, 1, 2, 3]
    lines = bench.written.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["two", "three", "four", "one"]


async def test_each_lane_has_servers_of_its_own(bench: Bench) -> None:
    """No two scenarios that go on at once meet at a broker; all servers are stopped in the end."""
    used: list[Servers] = []
    both = asyncio.Barrier(2)

    async def with_another(_: Scenario, servers: Servers, __: Stage) -> None:
        used.append(servers)
        await both.wait()

    await bench.run(SCENARIOS, with_another)

    assert len(bench.servers) == 2
    assert used[0] is not used[1]
    assert used[2] is not used[3]
    assert not any(servers.running for servers in bench.servers)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("deadlock detected"),
        ConnectionResetError("reset by peer"),
        ExceptionGroup("of a fault", [KeyError("worker-3")]),
    ],
)
async def test_an_error_breaks_its_scenario_off_and_no_other(
    bench: Bench, error: Exception
) -> None:
    """Its finding names the error, its folder has the traceback, and its lane gets new servers."""

    async def fail_once(scenario: Scenario, servers: Servers, _: Stage) -> None:
        if scenario is SCENARIOS[1]:
            raise error

    results = await bench.run(SCENARIOS, fail_once, lanes=1)

    assert [result.passed for result in results] == [True, False, True, True]
    [finding] = results[1].findings
    assert finding.row == f"{type(error).__name__}: {error}"
    assert results[1].seed == 7
    assert results[1].logs is not None
    assert type(error).__name__ in (results[1].logs / "traceback.txt").read_text()
    assert len(bench.servers) == 2
    assert not any(servers.running for servers in bench.servers)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StartError("worker-1 was not ready after 60 s"), "worker-1 was not ready after 60 s"),
        (CommandError("cannot reach the gateway", Exit.UNREACHABLE), "cannot reach the gateway"),
        (TimeoutError(), "not in time"),
    ],
)
async def test_what_was_said_for_a_person_is_the_finding(
    bench: Bench, error: Exception, said: str
) -> None:
    """Without the name of a class."""

    async def fail(*_: object) -> None:
        raise error

    [result] = await bench.run(SCENARIOS[:1], fail)

    assert said == result.findings[0].row


async def test_one_that_wants_the_machine_alone_comes_last_and_has_it(bench: Bench) -> None:
    """Nothing else goes on meanwhile; its result is where the list has it."""
    going_on: set[str] = set()
    began: list[str] = []
    beside: dict[str, set[str]] = {}

    async def note(scenario: Scenario, *_: object) -> None:
        began.append(scenario.name)
        beside[scenario.name] = set(going_on)
        going_on.add(scenario.name)
        for _turn in range(3):
            await asyncio.sleep(0)  # whoever may begin now, begins
        going_on.remove(scenario.name)

    results = await bench.run([SCENARIOS[0], ALONE, *SCENARIOS[1:], ALONE], note)

    assert began == ["one", "two", "three", "four", "alone", "alone"]
    assert set() == beside["alone"]
    assert {"one"} == beside["two"]
    assert results[1].scenario is results[5].scenario is ALONE


async def test_an_interruption_ends_all_lanes_and_stops_their_servers(bench: Bench) -> None:
    """Ctrl-C cancels the one task that asyncio runs; scenarios clean up before the servers go."""
    both = asyncio.Barrier(3)
    cleaned_up: list[str] = []

    async def go_on_for_ever(scenario: Scenario, servers: Servers, _: Stage) -> None:
        await both.wait()
        try:
            await asyncio.Event().wait()
        finally:
            assert isinstance(servers, NoServers)
            assert servers.running
            cleaned_up.append(scenario.name)

    running = asyncio.create_task(bench.run(SCENARIOS, go_on_for_ever))
    await both.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert sorted(cleaned_up, key=["one", "two"].index) == ["one", "two"]
    assert not any(servers.running for servers in bench.servers)


async def test_without_a_broker_nothing_begins(bench: Bench) -> None:
    """What is missing on a machine is said once, and not for each scenario."""
    bench.start_error = StartError("rabbitmq-server is missing")
    begun: list[str] = []

    async def begin(scenario: Scenario, *_: object) -> None:
        begun.append(scenario.name)

    with pytest.raises(StartError, match="rabbitmq-server is missing"):
        await bench.run(SCENARIOS, begin)

    assert begun == []


async def test_a_terminal_shows_all_scenarios_that_go_on(tmp_path: Path) -> None:
    """One below the other, each with its own numbers; drawn anew when the third begins."""
    bench = Bench(tmp_path, on_terminal=True)
    all_three = asyncio.Barrier(3)

    async def post_some(scenario: Scenario, _: Servers, stage: Stage) -> None:
        for _n in range(len(scenario.name)):
            stage.posted(Post("DEVICE", "key", 0.0, 0.1, 200, "task"))
        await all_three.wait()

    await bench.run(
        [replace(CALM, name=name) for name in ("abc", "abcdef", "z")], post_some, lanes=3
    )

    drawn = bench.written.getvalue()
    assert "abc: 3 accepted" in drawn
    assert "abcdef: 6 accepted" in drawn


@pytest.mark.parametrize(
    ("asked", "scenarios", "cpus", "lanes"),
    [
        (None, 46, 2, 2),
        (None, 46, 16, 2),
        (None, 46, 1, 1),
        (None, 1, 2, 1),
        (1, 46, 2, 1),
        (8, 46, 16, 8),
        (8, 3, 16, 3),
    ],
)
def test_there_are_two_lanes_or_what_is_asked_for(
    asked: int | None, scenarios: int, cpus: int, lanes: int
) -> None:
    """Never more than there are scenarios or CPUs."""
    assert lanes == count_lanes(asked, scenarios=scenarios, cpus=cpus)


def test_more_lanes_than_cpus_are_refused() -> None:
    """Leases of seconds do not hold on a machine that has no time."""
    with pytest.raises(CommandError, match="--jobs 3") as refused:
        count_lanes(3, scenarios=46, cpus=2)

    assert refused.value.code == Exit.USAGE
