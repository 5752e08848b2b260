"""One service of ours in a process of its own."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from activation_cli.local.ports import LOOPBACK, free_port
from activation_cli.local.probes import http_ok
from activation_cli.local.process import Child

START_S: Final = 60.0  # for a process to be ready on a busy machine
_POLL_S: Final = 0.05
_STOP_S: Final = 30.0

_T = TypeVar("_T")


async def eventually(
    probe: Callable[[], Awaitable[_T]], *, limit_s: float = 30.0, what: str = "the condition"
) -> _T:
    """Return the first answer of a probe that is true."""
    deadline = time.monotonic() + limit_s
    while not (answer := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {limit_s:g} s; last: {answer!r}")
        await asyncio.sleep(_POLL_S)
    return answer


class Service:
    """One service in a process of its own; it keeps its ports when it is started again."""

    def __init__(self, package: str, name: str, folder: Path, settings: dict[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.port = free_port()
        self.admin_port = free_port() if package != "handler" else self.port
        self.leaving = False
        ours = {
            "instance": name,
            "port": str(self.port),
            "handler_port": str(self.port),
            "admin_port": str(self.admin_port),
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ACTIVATION_")}
        self.process = Child(
            name,
            [sys.executable, "-m", f"activation_{package}"],
            log=self.log,
            env=inherited | {f"ACTIVATION_{k.upper()}": v for k, v in (settings | ours).items()},
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://{LOOPBACK}:{self.admin_port}"

    @property
    def running(self) -> bool:
        return self.process.running

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.process.start()

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        await self.wait_ready()
        self.leaving = False

    async def wait_ready(self) -> None:
        await asyncio.to_thread(self.process.wait_ready, self.is_ready, timeout_s=START_S)

    def is_ready(self) -> bool:
        return http_ok(f"{self.admin_url}/readyz")

    def answers(self) -> bool:
        """Tell whether it is there, ready or not."""
        return http_ok(f"{self.admin_url}/healthz")

    def kill(self) -> None:
        """End it as a node failure would."""
        self.process.kill()

    def pause(self) -> None:
        """Stop it in its tracks: alive, but deaf."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send(signal.SIGCONT)

    async def terminate(self) -> int | None:
        """End it as a deploy would, and return the exit code."""
        self.leaving = True
        return await asyncio.to_thread(self.process.stop, timeout_s=_STOP_S)

    async def wait_ended(self) -> int | None:
        """Wait until it has ended by itself, and return the exit code."""

        async def ended() -> bool:
            return not self.running

        await eventually(ended, what=f"the end of {self.name}")
        return self.process.exit_code

    def log_lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()
