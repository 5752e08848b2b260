"""How anything is measured: load, processor time, databases of one measurement, medians."""

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping

import asyncpg
from rich.console import Console

from activation_cli.local.ports import free_port
from activation_cli.local.process import Child
from bench.system import HERE, Servers, cpu_s, post

BASELINES = HERE / "baselines"
console = Console()

Numbers = dict[str, float]


def loaded(server: Child, url: str, seconds: int) -> Numbers:
    post(url, seconds=1)
    before_s = cpu_s(server.pid)
    load = post(url, seconds=seconds)
    if load.errors or not load.per_s:
        raise RuntimeError(f"{load.errors} requests refused, {load.per_s:g} a second answered")
    cpu_us = (cpu_s(server.pid) - before_s) / (load.per_s * seconds) * 1e6
    return {"per_s": load.per_s, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "cpu_us": cpu_us}


def script(name: str, *arguments: str) -> Numbers:
    command = [sys.executable, str(BASELINES / f"{name}.py"), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def database(at: Servers) -> str:
    """Make an empty database on the server of the run."""
    name = f"bench{free_port()}"

    async def create() -> None:
        connection = await asyncpg.connect(at.postgres.url(), timeout=10)
        await connection.execute(f"create database {name}")
        await connection.close()

    asyncio.run(create())
    return at.postgres.url(name)


def sqlite(at: Servers) -> str:
    return f"sqlite:///{at.folder}/bench{free_port()}.db"


def round_robin(
    part: str, ways: Mapping[str, Callable[[], Numbers]], rounds: int
) -> dict[str, Numbers]:
    """Measure different ways in turns, so that a slow minute of the machine meets all of them."""
    found: dict[str, list[Numbers]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            numbers = measure()
            found[name].append(numbers)
            console.print(
                f"{part:7} {name:28} {numbers['per_s']:8.0f}/s  {numbers['cpu_us']:.0f} us of CPU"
            )
    return {name: medians(runs) for name, runs in found.items()}


def medians(runs: list[Numbers]) -> Numbers:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
