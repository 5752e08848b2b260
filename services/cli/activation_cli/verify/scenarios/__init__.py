"""The fault matrix: each scenario has a name, what it does, and what must hold."""

from collections.abc import Mapping
from typing import Final

from activation_cli.verify.scenarios.broker import BROKER
from activation_cli.verify.scenarios.clocks import CLOCKS
from activation_cli.verify.scenarios.handler import HANDLER
from activation_cli.verify.scenarios.kubernetes import KUBERNETES
from activation_cli.verify.scenarios.load import LOAD
from activation_cli.verify.scenarios.processes import PROCESSES
from activation_cli.verify.scenarios.scenario import Scenario
from activation_cli.verify.scenarios.store import STORE

__all__ = ["CALM", "IN_CLUSTER", "SCENARIOS", "Scenario"]

SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario for scenario in (*PROCESSES, *CLOCKS, *BROKER, *STORE, *HANDLER, *LOAD)
}
IN_CLUSTER: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in KUBERNETES}
CALM: Final = SCENARIOS["calm"]
