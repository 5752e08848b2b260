"""RabbitMQ is away for a minute, as the panels show it and the alerts tell of it."""

import asyncio
import contextlib
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support import servers
from tests.support.dashboards import filled, panel_queries
from tests.support.prometheus import NAMESPACE, running_prometheus
from tests.support.prometheus_api import Prometheus
from tests.support.service import eventually
from tests.support.system import System

pytestmark = [pytest.mark.timeout(400)]

CALM_S: Final = 15.0
OUTAGE_S: Final = 60.0
QUIET_S: Final = 120.0
PACE_S: Final = 1.0  # a client asks this often
WINDOW: Final = "1m"

FIRED: Final = {
    ("ActivationBrokerDisconnected", "activation-gateway"),
    ("ActivationBrokerDisconnected", "activation-worker"),
}
# What these panels show in the last seconds of the outage: at least and at most.
SHOWN: Final[dict[str, tuple[float, float]]] = {
    "activation-rabbitmq / Services connected / A": (0, 0),
    "activation-rabbitmq / Services connected / B": (1, 1),
    "activation-store / Unsent / A": (OUTAGE_S / 2, OUTAGE_S + CALM_S),
    "activation-store / Oldest unsent / A": (OUTAGE_S / 2, OUTAGE_S + CALM_S),
    "activation-overview / Backlog / A": (OUTAGE_S / 2, OUTAGE_S + CALM_S),
}
QUERIES: Final = {query.place: query.expr for query in panel_queries()}


async def test_a_minute_without_rabbitmq_fires_one_alert_and_shows_in_the_panels(
    tmp_path: Path, postgres_url: str, server_kind: str
) -> None:
    """Customers are answered all the time, so nothing else wakes anybody, and it ends by itself."""
    fired: set[tuple[str, str]] = set()

    async with contextlib.AsyncExitStack() as stack:
        broker = stack.enter_context(servers.running_rabbitmq(server_kind, metrics=True))
        system = await stack.enter_async_context(
            System(tmp_path, broker.amqp_url, postgres_url, handler_s=0.1)
        )
        server = stack.enter_context(running_prometheus(tmp_path, broker))
        prometheus = await stack.enter_async_context(Prometheus(server.url))
        server.watch(*system.gateways, *system.workers)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(keep_asking(system))
            watching = group.create_task(keep_watching(prometheus, fired))
            await asyncio.sleep(CALM_S)
            assert fired == set()
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(OUTAGE_S)
            shown = {place: await numbers(prometheus, QUERIES[place]) for place in SHOWN}
            await asyncio.to_thread(broker.start)
            await eventually(no_alert(prometheus), limit_s=QUIET_S, what="the end of all alerts")
            asking.cancel()
            watching.cancel()
        await system.wait_all_ended()

        assert system.complaints() == []
        assert {task["state"] for task in await system.tasks()} == {"succeeded"}
    assert fired == FIRED
    assert {
        place: numbers
        for place, numbers in shown.items()
        if not SHOWN[place][0] <= min(numbers) <= max(numbers) <= SHOWN[place][1]
    } == {}


async def keep_asking(system: System) -> None:
    for n in count():
        await system.submit(f"DEVICE{n:03}")
        await asyncio.sleep(PACE_S)


async def keep_watching(prometheus: Prometheus, fired: set[tuple[str, str]]) -> None:
    while True:
        for alert in await prometheus.query('ALERTS{alertstate="firing"}'):
            labels = alert["metric"]
            fired.add((labels["alertname"], labels.get("job", "")))
        await asyncio.sleep(PACE_S)


def no_alert(prometheus: Prometheus) -> Any:
    async def is_quiet() -> bool:
        return not await prometheus.query("ALERTS")

    return is_quiet


async def numbers(prometheus: Prometheus, query: str) -> list[float]:
    """Return the numbers that a panel shows now."""
    samples = await prometheus.query(filled(query, namespace=NAMESPACE, interval=WINDOW))
    return [float(sample["value"][1]) for sample in samples]
