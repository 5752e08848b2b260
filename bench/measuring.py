"""How anything is measured: load, processor time, databases of one measurement, medians."""

import asyncio
import json
import statistics
import subprocess
import sys

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
    if load.errors:
        raise RuntimeError(f"{load.errors} requests were refused")
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


def medians(runs: list[Numbers]) -> Numbers:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
