"""`kubectl port-forward`, begun again whenever it ends: it holds on to one pod, and pods go."""

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE
from types import TracebackType
from typing import Final, Self

from activation_cli.local.ports import LOOPBACK, free_port
from tests.support.kube import Kube

_START_S: Final = 60.0
_PAUSE_S: Final = 0.5  # before another try, when nothing is there to be forwarded to


class PortForward:
    """A port of this machine that leads to a Service.

    Args:
        kube: Where the Service is.
        service: Its name.
        port: Its port.
    """

    def __init__(self, kube: Kube, service: str, port: int) -> None:
        self._kube = kube
        self._target = (f"service/{service}", port)
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    async def __aenter__(self) -> Self:
        self._open = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep())
        async with asyncio.timeout(_START_S):
            await self._open.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping

    async def _keep(self) -> None:
        while True:
            await self._forward()
            await asyncio.sleep(_PAUSE_S)

    async def _forward(self) -> None:
        service, port = self._target
        process = await asyncio.create_subprocess_exec(
            *("kubectl", "--namespace", self._kube.namespace),
            *("port-forward", service, f"{self._port}:{port}"),
            stdout=PIPE,
            stderr=DEVNULL,
            env=os.environ | self._kube.environment,
        )
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                if line.startswith(b"Forwarding from"):
                    self._open.set()
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
