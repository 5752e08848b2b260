"""`kubectl port-forward`, begun again whenever it ends: it holds on to one pod, and pods go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from activation_cli.exits import CommandError, Exit
from activation_cli.local.ports import LOOPBACK, free_port
from activation_cli.verify.kubectl import Kubectl, end, output

_START_S: Final = 30.0
_PAUSE_S: Final = 0.5  # before another try, when nothing is there to be forwarded to
_OPEN: Final = b"Forwarding from"
_BROKEN: Final = b"error"  # as in "lost connection to pod"; it may go on after it, without effect


@asynccontextmanager
async def forwarded(kubectl: Kubectl, service: str, port: int) -> AsyncIterator[str]:
    """Have an address of this machine lead to a port of a Service.

    Raises:
        CommandError: kubectl is missing, or the way was not open in time.
    """
    local_port = free_port()
    opened = asyncio.Event()
    command = ("port-forward", f"service/{service}", f"{local_port}:{port}")
    keeping = asyncio.create_task(_keep(kubectl, command, opened), name=f"port of {service}")
    opening = asyncio.create_task(opened.wait())
    try:
        await asyncio.wait(
            {keeping, opening}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED
        )
        if keeping.done():
            await keeping
        if not opened.is_set():
            said = f"no way to service/{service} after {_START_S:g} s"
            raise CommandError(said, Exit.UNREACHABLE)
        yield f"http://{LOOPBACK}:{local_port}"
    finally:
        for task in (keeping, opening):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _keep(kubectl: Kubectl, command: tuple[str, ...], opened: asyncio.Event) -> None:
    while True:
        process = await kubectl.start(*command)
        try:
            async for line in output(process):
                if line.startswith(_OPEN):
                    opened.set()
                if _BROKEN in line:
                    break
        finally:
            await end(process)
        await asyncio.sleep(_PAUSE_S)
