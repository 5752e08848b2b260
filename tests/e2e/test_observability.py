"""What the collector, Jaeger and Prometheus show of a release that was told of them."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final
from uuid import uuid4

import pytest_asyncio

from tests.support import kind
from tests.support.client import Client
from tests.support.dashboards import Query, Row, filled, jaeger_queries, panel_queries, rules
from tests.support.jaeger import find_traces, read_trace
from tests.support.kind import KindCluster
from tests.support.kube import Kube
from tests.support.observability import NAMESPACE, PORTS
from tests.support.patience import becomes, eventually
from tests.support.port_forward import PortForward
from tests.support.prometheus_api import Prometheus
from tests.support.release import Release
from tests.support.spans import ATTEMPT, Span, tree

CALLER: Final = "b7ad6b7169203331"  # the span in which a client submits its task
SHOWN_S: Final = 120.0  # for spans and samples to be where they are looked for
SLOW_S: Final = 360.0  # for rules over days, which are evaluated every five minutes
PACE_S: Final = 0.5  # between the requests of a client; nothing waits for it
HELD: Final = 15  # tasks, more than one worker takes
USUAL: Final = {"do": "answer", "latency_s": 0.5}

JOBS: Final = {
    "activation-gateway up": 1,
    "activation-worker up": 1,
    "activation-rabbitmq up": 2,  # the node, and its queues
    "keda-operator up": 1,
    "otel-collector up": 2,  # itself, and what it counts in spans
}

module = pytest_asyncio.fixture(scope="module", loop_scope="session")


@module
async def stack(cluster: KindCluster, installation: Release) -> AsyncIterator[Kube]:
    """The stack beside the release; afterwards the release is as it was."""
    kube = await cluster.empty_namespace(NAMESPACE)
    printed = await cluster.observe()
    assert all(f"http://localhost:{port} " in printed for port in PORTS.values())
    yield kube
    await kube.run("delete", "namespace", NAMESPACE, "--wait=false")
    await installation.install()


@module
async def jaeger(stack: Kube) -> AsyncIterator[str]:
    """The address of its query API."""
    async with PortForward(stack, "jaeger", PORTS["jaeger"]) as forward:
        yield forward.url


@module
async def prometheus(stack: Kube) -> AsyncIterator[Prometheus]:
    async with (
        PortForward(stack, "prometheus", PORTS["prometheus"]) as forward,
        Prometheus(forward.url) as prometheus,
    ):
        yield prometheus


@module
async def client(cluster: KindCluster, installation: Release, stack: Kube) -> AsyncIterator[Client]:
    """A client whose tasks take half a second, unless a test says otherwise."""
    url = await cluster.url(kind.INSTALLATION_PORT)
    async with (
        PortForward(installation.kube, "activation-handler", 8080) as handler,
        Client(url, handler.url, f"OBS{secrets.token_hex(3)}") as client,
    ):
        await client.script("*", USUAL | {"times": None})
        yield client


async def submit_traced(client: Client, device: str) -> tuple[str, str]:
    """Submit a task within a trace of the client's; return both ids."""
    trace_id = secrets.token_hex(16)
    answer = await client.request(
        "POST",
        f"/api/v1/equipment/cpe/{device}",
        json={},
        headers={"traceparent": f"00-{trace_id}-{CALLER}-01"},
    )
    return str(answer.json()["taskId"]), trace_id


async def whole_trace(jaeger: str, trace_id: str, count: int) -> list[Span]:
    """Wait until Jaeger has so many spans of a trace."""

    async def arrived() -> list[Span] | None:
        spans = await read_trace(jaeger, trace_id)
        return spans if len(spans) >= count else None

    what = f"{count} spans of {trace_id}"
    return await eventually(arrived, limit_s=SHOWN_S, what=what) or []


async def test_a_retried_task_is_one_trace_in_jaeger(client: Client, jaeger: str) -> None:
    """From the caller's span to the handler's, by way of the broker, twice.

    After a 503 the handler is asked what came of the call, before the next one.
    """
    [device] = client.devices(1)
    await client.script(device, {"do": "answer", "status": 503}, USUAL)
    call = ATTEMPT.index("      worker: POST (CLIENT)")
    retry = [*ATTEMPT[:call], "      worker: GET (CLIENT)", *ATTEMPT[call:]]

    task_id, trace_id = await submit_traced(client, device)
    spans = await whole_trace(jaeger, trace_id, count=2 + len(ATTEMPT) + len(retry))

    sends = [span for span in spans if span.kind == "PRODUCER"]
    first, second = [span for span in spans if span.kind == "CONSUMER"]
    assert tree(spans) == [
        "gateway: POST /api/v1/equipment/cpe/{id} (SERVER)",
        "  gateway: accept (INTERNAL)",
        *ATTEMPT,
        *retry,
    ]
    assert spans[0].parent_id == CALLER
    assert {span.attributes["activation.task.id"] for span in spans} == {task_id}
    assert [one.attributes["activation.attempt"] for one in (first, second)] == [1, 2]
    assert [one.failed for one in (first, second)] == [True, False]
    assert first.attributes["error.type"] == "unavailable"
    assert first.attributes["messaging.system"] == "rabbitmq"
    assert second.attributes["activation.outcome"] == "succeeded"
    assert [one.linked for one in (first, second)] == [
        ((trace_id, send.span_id),) for send in sends
    ]


async def test_a_tasks_panel_finds_its_trace(client: Client, jaeger: str) -> None:
    """By the task's id, with the words of the dashboard."""
    [asked] = [each.fields for each in jaeger_queries() if each.fields.get("queryType") == "search"]
    task_id, trace_id = await submit_traced(client, *client.devices(1))

    async def found() -> set[str]:
        tag, _, value = str(asked["tags"]).replace("$task", task_id).partition("=")
        return await find_traces(jaeger, asked["service"], {tag: value})

    await becomes(found, {trace_id}, limit_s=SHOWN_S)


async def test_explain_names_the_page_of_the_trace(client: Client, installation: Release) -> None:
    """Jaeger's, where the port-forward of `make observe` puts it."""
    task_id, trace_id = await submit_traced(client, *client.devices(1))
    await client.wait_all_ended()

    explained = await installation.kube.exec(
        "deploy/activation-gateway", "activation", "explain", task_id
    )

    assert f"http://localhost:{PORTS['jaeger']}/trace/{trace_id}" in explained


async def test_every_target_is_up(prometheus: Prometheus, client: Client) -> None:
    """Gateway, worker, RabbitMQ, KEDA and the collector, through all NetworkPolicies."""
    [device] = client.devices(1)
    await client.submit_surely(device)  # or the collector would have no spans to count

    async def up() -> Counter[str]:
        targets = await prometheus.targets()
        return Counter(f"{each['labels']['job']} {each['health']}" for each in targets)

    await becomes(up, Counter(JOBS), limit_s=SHOWN_S)


async def test_kedas_number_is_the_dashboards(
    client: Client,
    installation: Release,
    prometheus: Prometheus,
) -> None:
    """While no call is made: what the autoscaler reads, what KEDA exposes, what panels show."""
    scaled = await installation.kube.get("scaledobject", "activation-worker")
    [metric] = scaled["status"]["externalMetricNames"]
    ours = f'{{namespace="{installation.kube.namespace}"}}'

    async def numbers() -> dict[str, float]:
        # Calls go on for a moment: a worker learns of the pause within a second.
        await client.submit_all(client.devices(HELD - await client.unfinished()))
        return {
            "autoscaler": await external_metric(installation.kube, metric),
            "KEDA": await prometheus.number(f"namespace:activation_keda_queue:max{ours}"),
            "RabbitMQ": await prometheus.number(f"namespace:activation_queue_messages:max{ours}"),
        }

    await client.request("POST", "/api/v1/target:pause")
    try:
        await becomes(
            numbers, {"autoscaler": HELD, "KEDA": HELD, "RabbitMQ": HELD}, limit_s=SHOWN_S
        )
    finally:
        await client.request("POST", "/api/v1/target:resume")
    await client.wait_all_ended()


async def external_metric(kube: Kube, name: str) -> float:
    """Return what the HorizontalPodAutoscaler is told."""
    answer = await kube.run(
        "get",
        "--raw",
        f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{kube.namespace}/{name}"
        "?labelSelector=scaledobject.keda.sh%2Fname%3Dactivation-worker",
    )
    [item] = json.loads(answer)["items"]
    text = str(item["value"])
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


async def test_no_alert_fires_on_a_healthy_system(prometheus: Prometheus) -> None:
    """All rules are loaded and can be evaluated, and none is about to fire."""

    async def loud() -> list[Row]:
        return [rule for rule in await prometheus.rules() if not is_quiet(rule)]

    await becomes(loud, [], limit_s=SHOWN_S)
    loaded = Counter(rule["name"] for rule in await prometheus.rules())
    assert loaded == Counter(rule.get("alert") or rule["record"] for rule in rules())


def is_quiet(rule: Row) -> bool:
    """Tell whether a rule does well; the first look of one over days comes after minutes."""
    if rule["type"] == "alerting":
        return (rule["state"], rule["health"]) == ("inactive", "ok")
    return bool(rule["health"] != "err")


@pytest_asyncio.fixture(loop_scope="session")
async def traffic(client: Client) -> AsyncIterator[None]:
    """Successes, retries, refusals and wrong addresses, all the time."""

    async def keep_asking() -> None:
        while True:
            usual, retried, refused = client.devices(3)
            await client.script(retried, {"do": "answer", "status": 503}, USUAL)
            await client.script(refused, {"do": "answer", "status": 500})
            await client.submit_all([usual, retried, refused])
            await client.request("GET", f"/api/v1/equipment/cpe/{usual}/task/{uuid4()}")
            await asyncio.sleep(PACE_S)

    asking = asyncio.create_task(keep_asking())
    yield
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking


async def test_every_panel_shows_something(traffic: None, prometheus: Prometheus) -> None:
    """Each query of each dashboard has a number that is one."""
    asked = panel_queries()

    async def silent() -> list[Query]:
        asked[:] = [each for each in asked if not await prometheus.shows(as_sent(each))]
        return asked

    await becomes(silent, [], limit_s=SLOW_S)


async def test_points_of_panels_lead_to_traces(
    traffic: None, prometheus: Prometheus, jaeger: str
) -> None:
    """Where a panel shows exemplars there are some, and Jaeger has the trace of the latest."""
    with_points = [each for each in panel_queries() if each.exemplars]
    assert with_points

    for each in with_points:

        async def leads(query: str = as_sent(each)) -> bool:
            found = await prometheus.exemplars(query)
            latest = max(found, key=lambda exemplar: float(exemplar["timestamp"]), default=None)
            return bool(latest and await read_trace(jaeger, latest["labels"]["trace_id"]))

        await eventually(leads, limit_s=SHOWN_S, what=f"a trace behind {each}")


def as_sent(query: Query) -> str:
    """Return a panel's query as Grafana sends it."""
    return filled(query.expr, namespace="activation")
