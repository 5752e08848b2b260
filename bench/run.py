"""Measures Activation beside its limits, in turns, and writes `results.json`.

Everything runs on this machine's loopback and ends by itself. Absolute numbers are this machine's;
the ratios are what counts, because both sides of each were measured in the same run.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.accept import accept, publish
from bench.drain import drain, in_flight
from bench.low_load import low_load
from bench.measuring import console
from bench.system import HERE, fsync_ms, servers
from bench.telemetry import telemetry

PARTS = ("accept", "drain", "publish", "in_flight", "low_load", "telemetry")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--only", choices=PARTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="activation-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        with servers(folder) as at:
            parts: dict[str, Callable[[], Any]] = {
                "accept": lambda: accept(at, chosen.rounds, chosen.seconds),
                "drain": lambda: drain(at, chosen.rounds, chosen.tasks),
                "publish": lambda: publish(at, chosen.rounds),
                "in_flight": lambda: in_flight(at),
                "low_load": lambda: low_load(at, 300),
                "telemetry": lambda: telemetry(at, chosen.rounds, chosen.seconds, 200),
            }
            found = {name: part() for name, part in parts.items() if chosen.only in {None, name}}
            machine = {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "fsync_ms": fsync_ms(folder),
            }
    if chosen.only is None:
        text = json.dumps({"machine": machine, **found}, indent=2)
        (HERE / "results.json").write_text(text + "\n", encoding="utf-8")
    else:
        console.print_json(data=found)


if __name__ == "__main__":
    main()
