"""Each safeguard is taken out, and a scenario of `activation verify` fails by it.

They take minutes and want a machine of their own, so `make safeguards` runs them, one by one.
"""

from pathlib import Path
from typing import Final

import pytest

from activation_cli.exits import Exit
from activation_cli.verify.accountant import Verdict
from tests.support.verify import verify

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SABOTAGE: Final = Path(__file__).parents[1] / "support" / "sabotage"


@pytest.mark.parametrize(
    ("safeguard", "scenario", "verdict"),
    [
        ("fence", "worker-frozen", Verdict.CONTRADICTED),
        ("sweep", "gateway-killed-before-publish", Verdict.LOST),
        ("lease", "worker-killed", Verdict.LOST),
        ("heartbeat", "long-calls", Verdict.UNMET),
        ("order", "calm", Verdict.OUT_OF_ORDER),
        ("key", "answers-lost", Verdict.DUPLICATED),
        ("lost_messages", "queue-deleted", Verdict.LOST),
        # Alone it does no harm: messages that a worker takes with it are found to be lost.
        ("late_ack,lost_messages", "all-workers-killed", Verdict.LOST),
        ("store_clock", "gateway-clock-stepped", Verdict.UNMET),
        ("question", "handler-asked", Verdict.UNMET),
        ("limit", "handler-full", Verdict.UNMET),
        ("breaker", "handler-down", Verdict.UNMET),
    ],
)
async def test_without_a_safeguard_a_scenario_fails(
    safeguard: str, scenario: str, verdict: Verdict
) -> None:
    """The scenario proves the safeguard, and the accountant sees what it prevents."""
    report = await verify(
        *("--local", "--scenario", scenario, "--seed", "1", "--quiet", "30s"),
        expected=Exit.FAILED,
        environment={"PYTHONPATH": str(SABOTAGE), "SABOTAGE": safeguard},
    )

    assert report["scenarios"][0]["counts"][verdict.value] > 0, report["scenarios"][0]["findings"]
