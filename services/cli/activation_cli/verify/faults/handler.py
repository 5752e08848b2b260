"""Faults of the handler."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from activation_cli.verify.faults.fault import Fault
from activation_cli.verify.system import System


def handler_does(name: str, step: Mapping[str, Any], *, for_s: float, share: float = 1.0) -> Fault:
    """Have a share of the handler's calls meet a step of its scripts."""

    async def strike(system: System, chance: random.Random) -> None:
        await system.mock.play({**step, "times": None}, share=share, seed=chance.randrange(2**31))
        try:
            await asyncio.sleep(for_s)
        finally:
            await system.mock.play_nothing()

    return Fault(name, strike)
