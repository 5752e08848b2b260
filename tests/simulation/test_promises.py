"""Every promise of the system, through fault schedules that are drawn from seeds.

`SEED=123` runs one seed, `SEEDS=5000` so many; `make simulate` is the second.
"""

import os
import subprocess
import sys
from typing import Final

import pytest

from tests.support.simulation.simulate import simulate

SEEDS: Final = int(os.environ.get("SEEDS", "300"))
AT_ONCE: Final = 25  # schedules in one test: as many tests as keep several processes busy
CHOSEN: Final = os.environ.get("SEED")

BATCHES: Final = (
    [range(int(CHOSEN), int(CHOSEN) + 1)]
    if CHOSEN
    else [range(first, min(first + AT_ONCE, SEEDS)) for first in range(0, SEEDS, AT_ONCE)]
)

PRINT_DIGEST: Final = (
    "from tests.support.simulation.simulate import simulate; print(simulate(7).journal.digest())"
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_promises_hold_whatever_goes_wrong(seeds: range) -> None:
    """Nothing accepted is lost, nothing is done twice, and every device keeps its order."""
    for seed in seeds:
        report = simulate(seed)

        if report.findings:
            pytest.fail(str(report), pytrace=False)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_seed_replays_exactly(seed: int) -> None:
    """The same steps at the same moments; another seed is another story."""
    first, again, other = simulate(seed), simulate(seed), simulate(seed + 1)

    assert first.journal.lines() == again.journal.lines()
    assert first.steps == again.steps
    assert first.journal.digest() != other.journal.digest()


@pytest.mark.timeout(300)
def test_seed_replays_exactly_in_other_processes() -> None:
    """Neither addresses nor the hashes of strings decide anything."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert len(digests) == 1


def test_failure_tells_how_to_replay_it() -> None:
    """Seed, findings, faults and the last steps stand in the message."""
    report = simulate(4)
    report.findings.append("lost: #1 is gone")

    shown = str(report)
    assert "seed 4 breaks a promise:\n  - lost: #1 is gone" in shown
    assert "SEED=4 uv run pytest tests/simulation -k promises" in shown
    assert str(report.schedule.faults[0]) in shown
    assert report.journal.lines()[-1].split()[1] in shown
