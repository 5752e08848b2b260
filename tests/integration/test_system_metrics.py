"""Every metric of a running system says what was done: no more, no less, and no metric beside.

What is expected is computed from the client's own count, the API and the handler's ledger.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
import pytest_asyncio

from tests.support import servers
from tests.support.expected_metrics import (
    DEVICE_TASK,
    FINAL,
    HTTP,
    PASSING,
    STATES,
    STORE,
    TASK,
    between,
    counts,
    each,
    of_a_service,
    of_ends,
    of_request,
    route_of,
    store_operations,
    sums,
    take,
)
from tests.support.exposition import series
from tests.support.known_work import (
    CONCURRENCY,
    LEASE_S,
    TRACE,
    KnownWork,
    do_known_work,
    duration_s,
    end_of,
    retries,
    seconds_between,
    waits_s,
)
from tests.support.rabbitmq_vhost import Vhost
from tests.support.span_receiver import Spans, receiving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

CALL_S: Final = "0.01 0.05 0.1 0.5 1.0 2.5 5.0 10.0 20.0 30.0 45.0 60.0 75.0 90.0 120.0 180.0 300.0"
ANSWER_S: Final = "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0"
OUTCOMES: Final = {  # the ledger's words, and the worker's
    "200": "completed",
    "404": "unknown_equipment",
    "503": "unavailable",
    "garbage": "unreadable",
}


@pytest.fixture(scope="module")
def spans() -> Iterator[Spans]:
    with receiving() as received, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        yield received


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def work(
    tmp_path_factory: pytest.TempPathFactory,
    rabbitmq: servers.RabbitMQ,
    postgres: servers.Postgres,
    spans: Spans,
) -> AsyncIterator[KnownWork]:
    """The same work for all tests of this module; its system has left by now."""
    folder = tmp_path_factory.mktemp("system")
    with servers.fresh_vhost(rabbitmq) as amqp_url:
        async with (
            servers.fresh_database(postgres) as database_url,
            Vhost(amqp_url, rabbitmq.management_url) as vhost,
        ):
            yield await do_known_work(folder, vhost, database_url)


async def test_the_gateway_shows_what_was_asked_of_it(work: KnownWork) -> None:
    """Its requests, publications and ends, and what the store holds; nothing else."""
    requests = Counter[str]()
    for request, count in work.asked.items():
        requests[of_request(f"{HTTP}_count", *request)] += count

    assert counts(work.gateway) == {
        **of_a_service("gateway"),
        **requests,
        "activation_tasks_accepted_total": len(work.tasks),
        "activation_messages_published_total": len(work.calls),  # one for each attempt
        "activation_publish_duration_seconds_count": len(work.calls),
        "activation_outbox_swept_total": len(retries(work)),
        "activation_messages_unconfirmed_total": 0,
        "activation_messages_lost_total": 0,
        "activation_leases_reaped_total": 0,
        "activation_tasks{state=queued}": 0,
        "activation_tasks{state=running}": 0,
        "activation_dead_letters": len([task for task in work.tasks if task["deadLetter"]]),
        "activation_outbox_tasks": 0,
        "activation_outbox_age_seconds": 0,
        "activation_oldest_queued_seconds": 0,
        "activation_target_held": 0,
        **of_ends(task for task in work.tasks if not task["attempts"]),
    }


async def test_the_worker_shows_what_it_carried_out(work: KnownWork) -> None:
    """Its deliveries, attempts, retries and ends; nothing else."""
    reasons = Counter(OUTCOMES[call["outcome"]] for call in work.calls)
    retried = Counter(attempt["reason"] for attempt in retries(work))
    renewals = sum(map(duration_s, work.calls)) / (LEASE_S / 3)

    assert counts(work.worker) == {
        **of_a_service("worker"),
        "activation_attempts_started_total": len(work.calls),
        **each("activation_attempts_total", "reason", *reasons, *FINAL, *PASSING, "drained"),
        **each("activation_retries_total", "reason", *PASSING, "drained"),
        **each("activation_deliveries_absorbed_total", "why", "running_here", *STATES),
        **{series("activation_attempts_total", reason=why): n for why, n in reasons.items()},
        **{series("activation_retries_total", reason=why): n for why, n in retried.items()},
        series("activation_deliveries_absorbed_total", why="succeeded"): 1,
        "activation_deliveries_unreadable_total": 1,
        "activation_results_stale_total": 0,
        "activation_leases_lost_total": 0,
        "activation_leases_renewed_total": between(1, renewals + 2),
        "activation_attempts_in_flight": 0,
        "activation_worker_capacity": CONCURRENCY,
        "activation_worker_draining": 0,
        "activation_worker_drain_seconds": 0,
        "activation_queue_wait_seconds_count": len(work.calls),
        "activation_attempt_duration_seconds_count": len(work.calls),
        **of_ends(task for task in work.tasks if task["attempts"]),
    }
    assert work.in_flight == 2


async def test_the_work_had_every_kind_of_end_and_both_services_ended_some(work: KnownWork) -> None:
    """Or the numbers above would be zeros."""
    assert {end_of(task) for task in work.tasks} == {
        ("succeeded", ""),
        ("refused", "unknown_equipment"),
        ("dead_lettered", "unreadable"),
        ("cancelled", ""),
    }
    cancelled = [task for task in work.tasks if task["state"] == "cancelled"]
    assert sorted(len(task["attempts"]) for task in cancelled) == [0, 1]


async def test_durations_add_up(work: KnownWork) -> None:
    """To what the client waited, what the handler took, and what the store says of each task."""
    answers = Counter[str]()
    for request, seconds in work.waited_s.items():
        answers[of_request(f"{HTTP}_sum", *request)] += seconds
    ends: defaultdict[str, float] = defaultdict(float)
    for task in work.tasks:
        ends[end_of(task)[0]] += seconds_between(task["acceptedAt"], task["finishedAt"])
    of_gateway, of_worker = sums(work.gateway), sums(work.worker)
    of_tasks = Counter(take(of_gateway, TASK))
    of_tasks.update(take(of_worker, TASK))
    calls_s = sum(map(duration_s, work.calls))

    assert of_gateway == {
        **{name: between(0.00001, seconds + 0.5) for name, seconds in answers.items()},
        "activation_publish_duration_seconds_sum": between(0.00001, work.seconds),
    }
    assert of_worker == {
        "activation_queue_wait_seconds_sum": pytest.approx(sum(waits_s(work)), abs=0.001),
        "activation_attempt_duration_seconds_sum": between(calls_s, calls_s + 5),
    }
    assert of_tasks == {
        series(f"{TASK}_sum", outcome=outcome): between(seconds, seconds + 2)
        for outcome, seconds in ends.items()
    }


async def test_the_store_shows_its_operations_and_connections(work: KnownWork) -> None:
    """What was asked for is counted to the last; what a clock sets off is there."""
    gateway, worker = store_operations(work.gateway), store_operations(work.worker)
    gateway.pop("purge", None)  # once a minute
    gateway.pop("target", None)  # now and then, when the queue is empty
    asked = Counter[tuple[str, str]]()
    for (method, path, _), count in work.asked.items():
        asked[method, route_of(path)] += count

    assert gateway == {
        # Also a repeated key, and one with another body; the other requests made no task.
        "accept": len(work.tasks) + 2,
        "cancel": asked["POST", "/api/v1/tasks/{taskId}:cancel"],
        "history": asked["GET", "/api/v1/tasks/{taskId}"],
        "search": asked["GET", "/api/v1/tasks"],
        "get": between(asked["GET", DEVICE_TASK] + asked["GET", "/api/v1/tasks/{taskId}"], 200),
        "status": between(asked["GET", "/api/v1/status"] + 1, 500),
        "reap": between(1, work.seconds / 0.5),
        "admit": between(1, work.seconds / 0.5),
        "backlog": between(1, work.seconds),
        "take_ready": between(len(retries(work)), 500),
        "mark_published": between(1, len(work.calls)),
        "ping": between(1, 500),
    }
    assert worker == {
        "claim": between(1, len(work.calls) + 1),
        "finish": between(1, len(work.calls)),
        "renew": between(1, work.seconds / (LEASE_S / 3)),
        "target": between(1, len(work.calls) + 1),
        "ping": between(1, 500),
    }


async def test_buckets_are_those_that_alerts_and_dashboards_rely_on(work: KnownWork) -> None:
    """Calls take minutes, answers milliseconds."""
    calls, answers = {*CALL_S.split(), "900.0", "+Inf"}, {*ANSWER_S.split(), "+Inf"}

    assert work.gateway["plain"].bounds() == {
        HTTP: answers,
        "activation_publish_duration_seconds": answers,
        f"{STORE}operation_duration_seconds": answers,
        TASK: calls,
    }
    assert work.worker["plain"].bounds() == {
        "activation_queue_wait_seconds": calls,
        "activation_attempt_duration_seconds": calls,
        f"{STORE}operation_duration_seconds": answers,
        TASK: calls,
    }


async def test_exemplars_lead_to_the_spans_of_the_tasks(work: KnownWork, spans: Spans) -> None:
    """The one task that took long is the example of its buckets; each names a span that exists."""
    traces = {task["traceId"] for task in work.tasks}
    exported = {(span.trace_id, span.span_id): span.name for span in spans.all}
    slow = []
    for histogram in ("activation_queue_wait_seconds", "activation_attempt_duration_seconds", TASK):
        for labels, exemplar in work.worker["openmetrics"].exemplars(histogram):
            ids = exemplar.labels["trace_id"], exemplar.labels["span_id"]
            assert ids[0] in traces
            assert exported[ids] == "process activation.tasks"
            if labels.get("outcome") == "succeeded" and exemplar.value > 3:
                slow.append(ids[0])
    assert slow == [TRACE]

    posted = [
        (exemplar.labels["trace_id"], exemplar.labels["span_id"])
        for labels, exemplar in work.gateway["openmetrics"].exemplars(HTTP)
        if (labels["method"], labels["status"]) == ("POST", "200") and "{id}" in labels["route"]
    ]
    assert {exported[ids] for ids in posted} == {"POST /api/v1/equipment/cpe/{id}"}
    assert traces & {trace_id for trace_id, _ in posted}  # a repeated request has its own


async def test_the_plain_format_has_no_exemplars(work: KnownWork) -> None:
    """It has no place for them; the values are the same in both."""
    for shown in (work.gateway, work.worker):
        assert "trace_id" in shown["openmetrics"].text
        assert "trace_id" not in shown["plain"].text
        steady = "activation_tasks_finished"
        assert shown["plain"].values(steady) == shown["openmetrics"].values(steady)


async def test_no_label_names_a_task_a_device_or_a_trace(work: KnownWork) -> None:
    """The number of series must not grow with the work."""
    told = {task[name] for task in work.tasks for name in ("taskId", "equipment", "traceId")}
    for shown in (work.gateway, work.worker):
        values = shown["openmetrics"].label_values("")
        assert not {value for value in values if any(word in value for word in told)}
