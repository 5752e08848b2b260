"""What telemetry costs: without a collector, with one, and with one that cannot be reached."""

import sys
from functools import partial
from typing import Any

from activation_cli.local.ports import free_port
from bench.low_load import in_turns, whole
from bench.measuring import BASELINES, Numbers, database, loaded, round_robin
from bench.system import Servers, activation, process

Settings = dict[str, Any]


def telemetry(at: Servers, rounds: int, seconds: int, count: int) -> dict[str, dict[str, Numbers]]:
    """Measure accepted POST/s, and the time of one task, on PostgreSQL in turns."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(BASELINES / "span_sink.py"), str(port)]
    with process("span sink", command, at.folder, url):
        ways: dict[str, Settings] = {
            "off": {},
            "on": {"OTEL_EXPORTER_OTLP_ENDPOINT": url},
            "on, one trace in 20": {
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.05",
            },
            "collector away": {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
        }
        return {
            "accept": _accept(at, ways, rounds, seconds),
            "low_load": in_turns(
                "traced",
                {name: whole(at, database(at), **settings) for name, settings in ways.items()},
                count,
            ),
        }


def _accept(
    at: Servers, ways: dict[str, Settings], rounds: int, seconds: int
) -> dict[str, Numbers]:
    def accepting(settings: Settings) -> Numbers:
        with activation(at, database(at), **settings) as system:
            return loaded(system.gateway, system.url, seconds)

    measures = {name: partial(accepting, settings) for name, settings in ways.items()}
    return round_robin("traced", measures, rounds)
