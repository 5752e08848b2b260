"""What a scenario is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from activation_cli.verify.faults import Fault
from activation_cli.verify.promises import Promise, all_succeed


@dataclass(frozen=True, slots=True)
class Timed:
    """A fault, and between which shares of a round it begins."""

    fault: Fault
    within: tuple[float, float] = (0.3, 0.5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done to a system, and what must hold, beyond a clean account.

    Attributes:
        does: One line: what is broken.
        holds: One line: the invariant that it checks.
        promises: The same as far as the account itself does not say it.
        round_s: How long requests are sent for one round of the faults.
        rate_times: How much of the usual rate they come at.
        busy_device: The share of the requests that are for one device.
        handler_s: How long an activation takes.
        timeout_s: The `timeoutInSeconds` of the requests.
        needs_postgres: SQLite will not do: PostgreSQL itself is broken, or a process is frozen.
        stepped_clocks: It sets the clocks of services.
        alone: It takes the whole machine: no other scenario goes on meanwhile.
        settings: Of all services, beyond the usual ones.
    """

    name: str
    does: str
    holds: str
    faults: tuple[Timed, ...] = ()
    promises: tuple[Promise, ...] = (all_succeed,)
    round_s: float = 6.0
    rate_times: float = 1.0
    busy_device: float = 0.1
    handler_s: float = 0.5
    timeout_s: int = 10
    needs_postgres: bool = False
    stepped_clocks: bool = False
    alone: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
