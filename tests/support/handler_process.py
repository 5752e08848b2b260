"""The handler in a process of its own, and callers that see what becomes of a connection."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from activation_cli.local.ports import free_port

DEADLINE_S: Final = 10.0
WORK_S: Final = 0.1
DEVICE: Final = "/api/v1/equipment/cpe/ABC123"
BODY: Final = json.dumps({"timeoutInSeconds": 60, "parameters": {"vlan": 100}}).encode()


@dataclass(frozen=True, slots=True)
class Server:
    """A handler in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @classmethod
    def start(cls, folder: Path, *, work_s: float = WORK_S, port: int | None = None) -> "Server":
        """Start a process; it may not listen yet."""
        port = free_port() if port is None else port
        log = folder / f"handler-{uuid4().hex}.log"
        environment = {
            "ACTIVATION_HOST": "127.0.0.1",
            "ACTIVATION_HANDLER_PORT": str(port),
            "ACTIVATION_LOG_LEVEL": "debug",
            "HANDLER_SECONDS": str(work_s),
        }
        with log.open("wb") as output:
            command = Path(sys.executable).with_name("activation-handler")
            process = subprocess.Popen(
                [command], env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        return cls(process, port, log)

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, DEADLINE_S)

    def kill(self) -> None:
        """Make sure that it is gone."""
        self.process.kill()
        self.process.wait(DEADLINE_S)


class Handler:
    """A client of a handler, and of its switches."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", timeout=DEADLINE_S
        )

    async def wait_until_ready(self) -> None:
        """Wait until the process listens."""

        async def ready() -> bool:
            try:
                return (await self.http.get("/readyz")).status_code == 200
            except httpx.ConnectError:
                return False

        await _until(ready)

    async def reset(self) -> None:
        """Forget what earlier tests scripted and called."""
        await self.http.delete("/script")
        await self.http.delete("/ledger")

    async def script(self, **step: Any) -> None:
        """Tell every device to do this once."""
        answer = await self.http.post("/script", json={"steps": [step]})
        assert answer.status_code == 201, answer.text

    async def activate(self, key: str) -> httpx.Response:
        """Make a call with an ordinary client."""
        return await self.http.post(DEVICE, content=BODY, headers={"Idempotency-Key": key})

    async def calls(self) -> list[dict[str, Any]]:
        """Return the ledger."""
        calls: list[dict[str, Any]] = (await self.http.get("/ledger")).json()["calls"]
        return calls

    async def wait_for_calls(self, count: int) -> None:
        """Wait until so many calls have come in."""

        async def there() -> bool:
            return len(await self.calls()) >= count

        await _until(there)

    async def ended_call(self) -> dict[str, Any]:
        """Wait until the one call has ended."""

        async def ended() -> bool:
            calls = await self.calls()
            return bool(calls) and calls[0]["ended_at"] is not None

        await _until(ended)
        [call] = await self.calls()
        return call


class Caller:
    """A client that sees every byte of its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def call(cls, server: Server, key: str, body: bytes = BODY) -> "Caller":
        """Connect and send a call, whole unless another body is given."""
        caller = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        head = (
            f"POST {DEVICE} HTTP/1.1\r\nhost: handler\r\n"
            f"idempotency-key: {key}\r\ncontent-length: {len(BODY)}\r\n\r\n"
        )
        caller._writer.write(head.encode() + body)
        return caller

    async def receive_all(self) -> bytes:
        """Read until the connection ends."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.read()

    async def receive(self, count: int) -> bytes:
        """Read so many bytes."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.readexactly(count)

    def leave(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110  # another process cannot set our event
            await asyncio.sleep(0.01)
