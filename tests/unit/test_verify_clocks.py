"""Clocks that a scenario can step."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from activation.errors import StartError
from activation_cli.verify import clocks
from activation_cli.verify.clocks import set_clock, steppable

CLOCKS = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_the_time_of_day_is_stepped_while_a_process_runs(tmp_path: Path) -> None:
    """Its deadlines are not: they are by the monotonic clock."""
    file = tmp_path / "worker.clock"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", CLOCKS],
        env=os.environ | steppable(file),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None

        def off() -> tuple[float, float]:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            told = process.stdout.readline().split()  # type: ignore[union-attr]
            return float(told[0]) - time.time(), float(told[1]) - time.monotonic()

        def off_when_it_has_looked() -> float:
            deadline = time.monotonic() + 20
            before = off()[0]
            while abs(off()[0] - before) < 60 and time.monotonic() < deadline:
                continue
            return off()[0]

        assert off() == pytest.approx((0, 0), abs=30)
        set_clock(file, by_s=3600)
        assert off_when_it_has_looked() == pytest.approx(3600, abs=30)
        set_clock(file, by_s=-3600)
        assert off_when_it_has_looked() == pytest.approx(-3600, abs=30)
        assert off()[1] == pytest.approx(0, abs=30)
        process.stdin.close()


def test_without_libfaketime_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scenario that cannot strike does not pass."""
    monkeypatch.setattr(clocks, "_LIBRARIES", tmp_path)

    with pytest.raises(StartError, match=r"libfaketime is missing.*faketime"):
        steppable(tmp_path / "worker.clock")
