"""The schedule: which requests are sent and which faults come when, drawn from a seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from activation_cli.verify.faults import Fault
from activation_cli.verify.scenarios import Scenario

_CAREFUL: Final = 0.8  # the share of clients that ask again, with the same key, until accepted


@dataclass(frozen=True, slots=True)
class Request:
    """One activation that a client asks for.

    Attributes:
        at_s: When, in seconds after the load begins.
        key: Its idempotency key, and its name in the account.
        timeout_s: How long one attempt may take.
        careful: The client asks again until it is accepted; others ask once.
    """

    at_s: float
    equipment: str
    key: str
    timeout_s: int
    careful: bool


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault, when it comes, and the seed of what it decides by chance."""

    at_s: float
    fault: Fault
    seed: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is done to a system, and when.

    Attributes:
        devices: All that requests are for.
        duration_s: How long requests are sent; faults may last longer.
    """

    requests: Sequence[Request]
    faults: Sequence[PlannedFault]
    devices: Sequence[str]
    duration_s: float


def draw_schedule(
    scenario: Scenario, *, seed: int, run: str, duration_s: float, rate: float
) -> Schedule:
    """Draw a schedule; the same arguments give the same one.

    A scenario's faults come once in each of its rounds, so a longer run sees more of them.

    Args:
        scenario: Says which faults come, and roughly when.
        seed: Decides all that is left to chance.
        run: Begins serial numbers and keys; it changes no decision. Letters and digits.
        duration_s: How long requests are sent.
        rate: Requests a second, on average, for most scenarios; they come as a Poisson process.
    """
    chance = _chance(f"{seed} {scenario.name} load")
    rate *= scenario.rate_times
    devices = [f"{run}{n:04}" for n in range(max(8, round(rate * duration_s / 6)))]
    requests: list[Request] = []
    at_s = chance.expovariate(rate)
    while at_s < duration_s:
        device = devices[0] if chance.random() < scenario.busy_device else chance.choice(devices)
        requests.append(
            Request(
                at_s,
                device,
                key=f"{run}-{len(requests):05}",
                timeout_s=scenario.timeout_s,
                careful=chance.random() < _CAREFUL,
            )
        )
        at_s += chance.expovariate(rate)
    return Schedule(requests, _draw_faults(scenario, seed, duration_s), devices, duration_s)


def _draw_faults(scenario: Scenario, seed: int, duration_s: float) -> list[PlannedFault]:
    chance = _chance(f"{seed} {scenario.name} faults")
    rounds = max(1, int(duration_s / scenario.round_s))
    round_s = duration_s / rounds
    return [
        PlannedFault(
            (n + chance.uniform(*timed.within)) * round_s,
            timed.fault,
            seed=f"{seed} {scenario.name} {n} {place}",
        )
        for n in range(rounds)
        for place, timed in enumerate(scenario.faults)
    ]


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311  # no secret depends on it
