"""Other programs, such as kubectl: run to their end, within a limit."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Mapping


class ProgramError(AssertionError):
    """A program failed, or took too long; with all that it printed."""


async def run(
    *command: str,
    limit_s: float = 60.0,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program and return what it wrote to its standard output.

    Args:
        command: Its name and its arguments.
        limit_s: It is killed after this long.
        stdin: What it is given to read.
        environment: Variables on top of our own.

    Raises:
        ProgramError: It did not end well, or not in time.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | (environment or {})
    )
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError as error:
        raise ProgramError(f"{' '.join(command)}: not done after {limit_s:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = (out + err).decode(errors="replace")
        raise ProgramError(f"{' '.join(command)} left with {process.returncode}:\n{said}")
    return out.decode(errors="replace")
