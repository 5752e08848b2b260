"""What services must show of known work, series by series, and how a scrape is taken apart."""

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

import pytest

from activation_cli.verify.accountant import Row
from tests.support.exposition import Exposition, series
from tests.support.known_work import end_of

Values = dict[str, Any]

HTTP: Final = "activation_http_request_duration_seconds"
STORE: Final = "activation_store_"
TASK: Final = "activation_task_duration_seconds"
FINISHED: Final = "activation_tasks_finished_total"

DEVICE_TASK: Final = "/api/v1/equipment/cpe/{id}/task/{taskId}"
ROUTES: Final = {
    r"/api/v1/equipment/cpe/[^/]+": "/api/v1/equipment/cpe/{id}",
    r"/api/v1/equipment/cpe/[^/]+/task/[^/]+": DEVICE_TASK,
    r"/api/v1/tasks": "/api/v1/tasks",
    r"/api/v1/tasks/[^/:]+": "/api/v1/tasks/{taskId}",
    r"/api/v1/tasks/[^/:]+:cancel": "/api/v1/tasks/{taskId}:cancel",
    r"/api/v1/status": "/api/v1/status",
    r".*": "other",
}
IS_SUM: Final = re.compile("_sum($|{)")
STATES: Final = ("queued", "running", "succeeded", "failed", "cancelled")
FINAL: Final = ("unknown_equipment", "refused", "provisioning_error")
PASSING: Final = ("overloaded", "unavailable", "unreachable", "unreadable", "no_answer")


def between(low: float, high: float) -> Any:
    """Any number from one to the other."""
    return pytest.approx((low + high) / 2, abs=(high - low) / 2)


def counts(shown: Mapping[str, Exposition]) -> Values:
    """Return all that counts, but for the store."""
    return {name: value for name, value in _values(shown).items() if not IS_SUM.search(name)}


def sums(shown: Mapping[str, Exposition]) -> Values:
    """Return the seconds that were observed in all, but for the store."""
    return {name: value for name, value in _values(shown).items() if IS_SUM.search(name)}


def _values(shown: Mapping[str, Exposition]) -> Values:
    every = shown["plain"].values("activation_")
    return {n: v for n, v in every.items() if not n.startswith(STORE) and "_bucket{" not in n}


def take(values: Values, prefix: str) -> Values:
    """Take the series out whose name begins so."""
    return {name: values.pop(name) for name in list(values) if name.startswith(prefix)}


def store_operations(shown: Mapping[str, Exposition]) -> Values:
    """Check all that is shown of the store but the number of operations, and return that."""
    values = {n: v for n, v in shown["plain"].values(STORE).items() if "_bucket" not in n}
    connections = take(values, f"{STORE}connections")
    in_use, idle = (
        series(f"{STORE}connections", state="in_use"),
        series(f"{STORE}connections", state="idle"),
    )
    assert connections == {in_use: between(0, 8), idle: between(0, 8), f"{STORE}connections_max": 8}
    assert 1 <= connections[in_use] + connections[idle] <= 8
    names = re.findall(r"_count{operation=(\w+)}", "\n".join(values))
    duration = f"{STORE}operation_duration_seconds"
    found = {name: values[series(f"{duration}_count", operation=name)] for name in names}
    assert values == {
        **{series(f"{duration}_count", operation=name): found[name] for name in names},
        **{series(f"{duration}_sum", operation=n): between(0.00001, 6 * found[n]) for n in names},
        **{series(f"{STORE}failures_total", operation=name): 0 for name in names},
    }
    return found


def of_a_service(service: str) -> Values:
    """What runs here, and whether it is connected."""
    about = {
        "service": service,
        "version": version(f"activation-{service}"),
        "python": platform.python_version(),
    }
    return {series("activation_build_info", **about): 1, "activation_broker_connected": 1}


def of_request(name: str, method: str, path: str, status: int) -> str:
    """Name the series that a request belongs to."""
    known = method if method in {"GET", "POST", "PUT"} else "other"
    return series(name, method=known, route=route_of(path), status=status)


def route_of(path: str) -> str:
    return next(route for pattern, route in ROUTES.items() if re.fullmatch(pattern, path))


def of_ends(tasks: Iterable[Row]) -> Values:
    """How many of these tasks ended in which way; ways that are known are there with 0."""
    ends = Counter(map(end_of, tasks))
    known = [("succeeded", ""), ("cancelled", ""), *(("refused", why) for why in FINAL)]
    known += [("dead_lettered", why) for why in (*PASSING, "worker_lost")]
    finished = {series(FINISHED, outcome=end, reason=why): ends[end, why] for end, why in known}
    outcomes = ("succeeded", "refused", "dead_lettered", "cancelled")
    durations = Counter({series(f"{TASK}_count", outcome=end): 0 for end in outcomes})
    for (outcome, _), count in ends.items():
        durations[series(f"{TASK}_count", outcome=outcome)] += count
    return finished | durations


def each(name: str, label: str, *values: str) -> Values:
    """Series that nothing has happened to."""
    return {series(name, **{label: value}): 0 for value in values}
