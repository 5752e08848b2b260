"""`activation verify`, run as a process."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from activation_cli.exits import Exit
from tests.support import programs
from tests.support.programs import ProgramError

_LIMIT_S: Final = 220.0


async def verify(*args: str, expected: Exit, environment: Mapping[str, str] | None = None) -> Any:
    """Run the command, which must leave with this exit code, and return its report."""
    command = str(Path(sys.executable).with_name("activation"))
    run = programs.run(
        command, "verify", "--json", *args, limit_s=_LIMIT_S, environment=environment
    )
    if expected is Exit.DONE:
        return json.loads(await run)
    with pytest.raises(ProgramError, match=f"left with {expected.value}:") as failed:
        await run
    return json.loads(str(failed.value).splitlines()[1])  # below the reason
