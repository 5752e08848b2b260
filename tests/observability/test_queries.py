"""Every query of every panel, alert and rule, asked of a Prometheus that watched a real system.

What needs KEDA or Jaeger is asked by the test in kind instead: tests/e2e/test_observability.py.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from statistics import median_low
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.support import dashboards, servers
from tests.support.dashboards import Query, filled
from tests.support.observed_run import (
    CONCURRENCY,
    HELD,
    IN_OUTAGE,
    SETTINGS,
    WAITING,
    ObservedRun,
    do_observed_run,
)
from tests.support.prometheus import NAMESPACE, running_prometheus
from tests.support.prometheus_api import Prometheus
from tests.support.span_receiver import Spans, receiving
from tests.support.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

HERE: Final = [query for query in dashboards.panel_queries() if not query.needs]
TASKS, DEAD = "activation.tasks", "activation.dead"
W1, W2 = "worker-1", "worker-2"

# What a panel shows at a moment: one number, or one for each value of a label.
HELD_AT: Final[dict[str, Any]] = {
    "activation-overview / Waiting tasks / A": WAITING,
    "activation-overview / Backlog / A": WAITING,
    "activation-overview / Backlog / B": HELD,
    "activation-overview / Backlog / C": 0,
    "activation-workers / Workers / A": 2,
    "activation-workers / Slots in use / A": 1,
    "activation-workers / Queue as KEDA sees it / B": HELD + WAITING,
    "activation-workers / Wanted and ready workers / B": 2,
    "activation-workers / Wanted and ready workers / C": 0,
    "activation-workers / Slots / A": 2 * CONCURRENCY,
    "activation-workers / Slots / B": HELD,
    "activation-workers / Calls by worker / A": {W1: CONCURRENCY, W2: CONCURRENCY},
    "activation-rabbitmq / Services connected / A": {
        "activation-gateway": 1,
        "activation-worker": 2,
    },
    "activation-rabbitmq / Services connected / B": {
        "activation-gateway": 1,
        "activation-worker": 2,
    },
    "activation-rabbitmq / Ready / A": {TASKS: WAITING, DEAD: 0},
    "activation-rabbitmq / Unacknowledged / A": {TASKS: HELD, DEAD: 0},
    "activation-rabbitmq / Consumers / A": {TASKS: 2, DEAD: 0},
    "activation-rabbitmq / Alarms / A": 0,
    "activation-rabbitmq / Connections / A": 3,
    "activation-store / Tasks stored / A": HELD + WAITING,
}
OUTAGE_AT: Final[dict[str, Any]] = {
    "activation-store / Unsent / A": IN_OUTAGE,
    "activation-store / Outbox / A": IN_OUTAGE,
    "activation-overview / Backlog / C": IN_OUTAGE,
    "activation-overview / Waiting tasks / A": IN_OUTAGE,
}
ENDED_AT: Final[dict[str, Any]] = {
    "activation-overview / Alerts firing / A": 1,
    "activation-overview / Waiting tasks / A": 0,
    "activation-overview / Longest wait / A": 0,
    "activation-overview / Dead letters / A": 1,
    "activation-overview / Budget left: answered / A": 1,
    "activation-store / Unsent / A": 0,
    "activation-store / Failing / A": 0,
    "activation-store / Leases reaped / A": 0,
    "activation-rabbitmq / Messages lost / A": 0,
    "activation-workers / Workers / A": 1,
    "activation-workers / Scaling events / A": 1,
    "activation-workers / Scaling events / B": 1,
}


@pytest.fixture(scope="module")
def spans() -> Iterator[Spans]:
    with receiving() as received, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        yield received


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(
    tmp_path_factory: pytest.TempPathFactory,
    server_kind: str,
    postgres: servers.Postgres,
    spans: Spans,
) -> AsyncIterator[ObservedRun]:
    """The same run for all tests; its system has left by now, Prometheus is still there."""
    folder = tmp_path_factory.mktemp("observed")
    with (
        servers.running_rabbitmq(server_kind, metrics=True) as broker,
        running_prometheus(folder, broker) as server,
    ):
        async with Prometheus(server.url) as prometheus:
            async with (
                servers.fresh_database(postgres) as database_url,
                System(folder, broker.amqp_url, database_url, **SETTINGS) as system,
            ):
                done = await do_observed_run(system, broker, server, prometheus)
            yield done


def about(expected: Any) -> Any:
    """Allow for what Prometheus adds at the two ends of a window."""
    return pytest.approx(expected, rel=0.1, abs=0.2)


@pytest.mark.parametrize("query", HERE, ids=lambda query: query.place)
async def test_panel_shows_something(run: ObservedRun, query: Query) -> None:
    """At the end of the run it has data."""
    assert await run.ask(query, run.ended_at)


@pytest.mark.parametrize("query", dashboards.annotation_queries(), ids=lambda query: query.place)
async def test_mark_was_set(run: ObservedRun, query: Query) -> None:
    """Each kind of mark stands somewhere in the run."""
    expr = filled(query.expr, namespace=NAMESPACE)

    assert await run.prometheus.over_time(expr, run.begun_at, run.ended_at)


@pytest.mark.parametrize("query", dashboards.records(), ids=lambda query: query.place)
async def test_rule_records_something(run: ObservedRun, query: Query) -> None:
    """Its expression has a result, if it needs no KEDA."""
    if query.needs:
        return
    assert await run.ask(query, run.ended_at)


async def test_prometheus_evaluates_every_rule(run: ObservedRun) -> None:
    """Those that need KEDA too: no rule has ever failed, and none is missing."""
    loaded = await run.prometheus.rules()

    assert len(loaded) == len(dashboards.rules())
    assert [rule for rule in loaded if rule["health"] != "ok"] == []


@pytest.mark.parametrize("variable", dashboards.variable_queries())
async def test_variable_has_values(run: ObservedRun, variable: str) -> None:
    """What people choose from is there."""
    selector, _, label = variable.removeprefix("label_values(").removesuffix(")").rpartition(", ")

    samples = await run.prometheus.query(filled(selector, namespace=NAMESPACE), run.ended_at)

    assert all(sample["metric"][label] for sample in samples)
    assert samples


@pytest.mark.parametrize(
    ("moment", "place", "expected"),
    [
        (moment, place, expected)
        for moment, panels in {
            "held_at": HELD_AT,
            "outage_at": OUTAGE_AT,
            "ended_at": ENDED_AT,
        }.items()
        for place, expected in panels.items()
    ],
)
async def test_panel_shows_what_was(
    run: ObservedRun, moment: str, place: str, expected: Any
) -> None:
    """With a full fleet, in the outage and at the end: numbers that the run itself fixed."""
    assert about(expected) == await run.shown(place, getattr(run, moment))


async def test_outage_shows_its_age_and_who_is_cut_off(run: ObservedRun) -> None:
    """No service is connected, and the oldest message has waited since about then."""
    age = await run.shown("activation-store / Oldest unsent / A", run.outage_at)
    connected = await run.prometheus.query("max(activation_broker_connected)", run.outage_at)

    assert 4 < age < 60
    assert [sample["value"][1] for sample in connected] == ["0"]


async def test_leaving_worker_shows_how_long_it_has_been_leaving(run: ObservedRun) -> None:
    """And its slots are nobody's any more."""
    panel = "activation-workers / Wanted and ready workers / C"
    drains = await run.prometheus.query("max(activation_worker_drain_seconds)", run.drained_at)

    assert await run.shown(panel, run.drained_at) == 1
    assert 1 < float(drains[0]["value"][1]) < 10
    assert await run.shown("activation-workers / Slots / A", run.drained_at) == CONCURRENCY


def outcome(task: dict[str, Any]) -> str:
    """Return a task's end in the words of the metrics."""
    if task["state"] != "failed":
        return str(task["state"])
    return "dead_lettered" if task["deadLetter"] else "refused"


async def test_outcomes_and_reasons_are_those_of_the_tasks(run: ObservedRun) -> None:
    """Counted by the panels, and by the API."""
    ends = Counter(map(outcome, run.tasks))

    assert about(dict(ends)) == await run.done("activation-overview / Outcomes / A")
    assert about(
        {
            "refused/unknown_equipment": 1,
            "refused/provisioning_error": 1,
            "dead_lettered/unreadable": 1,
        }
    ) == await run.done("activation-overview / Why tasks fail / A")
    assert about(len(run.tasks)) == await run.done("activation-overview / In and out / A")
    assert about(len(run.tasks)) == await run.done("activation-overview / In and out / B")


async def test_attempts_and_retries_are_those_of_the_ledger(run: ObservedRun) -> None:
    """Each call of the handler, by its answer."""
    words = {
        "200": "completed",
        "404": "unknown_equipment",
        "500": "provisioning_error",
        "503": "unavailable",
        "garbage": "unreadable",
    }
    answers = Counter(words[call["outcome"]] for call in run.calls)

    assert about(dict(answers)) == await run.done("activation-workers / Attempts / A")
    assert about({"unavailable": 1, "unreadable": 1}) == await run.done(
        "activation-workers / Retries / A"
    )


async def test_requests_are_those_of_the_clients(run: ObservedRun) -> None:
    """POSTs by their route; mistakes by their status."""
    asked = await run.done("activation-overview / Requests / A")
    shares = await run.shown("activation-overview / Errors / A", run.ended_at)

    # The first POST of all made the series.
    posts = len(run.tasks) - 1 + run.requests[422] + run.requests.get(415, 0)
    assert about(posts) == asked["POST//api/v1/equipment/cpe/{id}"]
    assert {status: about(share * sum(asked.values())) for status, share in shares.items()} == {
        str(status): count for status, count in run.requests.items()
    }


async def test_percentiles_are_near_what_the_ledger_says(run: ObservedRun) -> None:
    """The median of the calls lies in the bucket in which the ledger's median is."""
    usual = median_low(call["ended_at"] - call["started_at"] for call in run.calls)
    half = await run.shown("activation-workers / Time of one call / A", run.ended_at)
    slow = await run.shown("activation-workers / Time of one call / C", run.ended_at)

    assert 0.1 < usual <= 0.5
    assert 0.1 < half <= 0.5
    assert 10 < slow <= 30


async def test_budget_of_finished_tasks_is_what_one_dead_letter_leaves(run: ObservedRun) -> None:
    """One bad task of those that count, of a budget of one in a hundred."""
    counted = [task for task in run.tasks if outcome(task) in {"succeeded", "dead_lettered"}]

    left = await run.shown("activation-overview / Budget left: finished / A", run.ended_at)

    assert pytest.approx(1 - 100 / len(counted), rel=0.1) == left


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("begun_at", set()),
        ("outage_at", {"ActivationBrokerDisconnected", "ActivationDeadLetters"}),
        ("held_at", {"ActivationDeadLetters"}),
        ("ended_at", {"ActivationDeadLetters"}),
    ],
)
async def test_no_alert_but_those_provoked(
    run: ObservedRun, moment: str, expected: set[str]
) -> None:
    """What an alert waits for is left out: its expression alone is asked."""
    true = {
        query.place for query in dashboards.alerts() if await run.ask(query, getattr(run, moment))
    }

    assert true == expected


@pytest.mark.parametrize(
    "query", [query for query in HERE if query.exemplars], ids=lambda query: query.place
)
async def test_dots_lead_to_traces(run: ObservedRun, spans: Spans, query: Query) -> None:
    """Each exemplar names a span that was recorded."""
    expr = filled(query.expr, namespace=NAMESPACE)
    known = {(span.trace_id, span.span_id) for span in spans.all}

    found = [exemplar["labels"] for exemplar in await run.prometheus.exemplars(expr)]

    assert found
    assert [one for one in found if (one["trace_id"], one["span_id"]) not in known] == []
