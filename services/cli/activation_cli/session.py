"""Running a command: what it needs is opened, what goes wrong becomes a line and an exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import typer

from activation.clock import SystemClock
from activation_cli.exits import CommandError, Exit
from activation_cli.output import JsonOutput, Output
from activation_cli.patience import Patience
from activation_cli.wording import plain

if TYPE_CHECKING:
    import httpx

    from activation_cli.client import Gateway


@dataclass(frozen=True, slots=True)
class Target:
    """What the options before the command say.

    Attributes:
        url: Where the gateway is.
        timeout_s: The deadline of each call to it.
        as_json: Results are JSON.
        api_key: For a gateway that asks for one.
        transport: Replaces the network in tests.
    """

    url: str
    timeout_s: float
    as_json: bool
    api_key: str | None = field(default=None, repr=False)
    transport: "httpx.AsyncBaseTransport | None" = None


@dataclass(slots=True)
class Session:
    """What a command works with.

    Attributes:
        advice: How to go on after an interruption or an outage; set as soon as it is true.
    """

    gateway: "Gateway"
    output: Output
    patience: Patience
    advice: str | None = None


def run(
    ctx: typer.Context, work: Callable[[Session], Awaitable[Exit]], *, as_json: bool
) -> NoReturn:
    """Carry out a command and leave with its exit code.

    Args:
        ctx: Of the command; it knows the `Target`.
        work: What the command does.
        as_json: The command's own `--json`.
    """
    target: Target = ctx.obj
    output = open_output(as_json=as_json or target.as_json)
    raise typer.Exit(_carry_out(work, target, output))


def open_output(*, as_json: bool) -> Output:
    """Return the output that the caller asked for."""
    if as_json:
        return JsonOutput()
    from activation_cli.terminal import TerminalOutput  # noqa: PLC0415  # Rich, too slow for --help

    return TerminalOutput(SystemClock())


def _carry_out(work: Callable[[Session], Awaitable[Exit]], target: Target, output: Output) -> Exit:
    from activation_cli.client import connect  # noqa: PLC0415  # httpx, too slow for --help

    session: Session | None = None

    async def connected() -> Exit:
        nonlocal session
        async with connect(
            target.url,
            timeout_s=target.timeout_s,
            api_key=target.api_key,
            transport=target.transport,
        ) as gateway:
            session = Session(gateway, output, Patience(output.note))
            return await work(session)

    try:
        return asyncio.run(connected())
    except CommandError as error:
        code, message = error.code, f"error: {error}"
    except KeyboardInterrupt:
        code, message = Exit.INTERRUPTED, "interrupted"
    print(" ".join(plain(message).split()), file=sys.stderr)
    resumable = code in {Exit.UNREACHABLE, Exit.INTERRUPTED}
    if resumable and session is not None and session.advice is not None:
        print(session.advice, file=sys.stderr)
    return code
