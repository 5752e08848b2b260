"""One trace for each task, across services, the broker, retries and outages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from activation_cli.local.ports import LOOPBACK
from tests.support.service import Service, eventually
from tests.support.span_receiver import Spans, receiving
from tests.support.spans import ATTEMPT, tree
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    with receiving() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # ms
        yield received


async def submit(system: System, gateway: Service | None = None) -> str:
    """Submit a task within the trace of a caller."""
    answer = await system.request(
        "POST",
        "/api/v1/equipment/cpe/TRACED1",
        gateway=gateway,
        json={},
        headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
    )
    return str(answer.json()["taskId"])


async def test_one_trace_holds_the_request_and_every_attempt(
    tmp_path: Path, amqp_url: str, postgres_url: str, spans: Spans
) -> None:
    """A task that is tried twice has one trace, which goes on with the caller's."""
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0) as system:
        await system.script([{"do": "answer", "status": 503}], "TRACED1")

        task_id = await submit(system)
        await system.wait_all_ended()

    trace = spans.of_trace(TRACE)
    assert tree(trace) == [
        "gateway: POST /api/v1/equipment/cpe/{id} (SERVER)",
        "  gateway: accept (INTERNAL)",
        *ATTEMPT,
        *ATTEMPT,
    ]
    assert trace[0].parent_id == CALLER
    assert {span.attributes["activation.task.id"] for span in trace} == {task_id}


async def test_each_attempt_tells_its_number_its_wait_and_its_outcome(
    tmp_path: Path, amqp_url: str, postgres_url: str, spans: Spans
) -> None:
    """The span of an attempt is marked as failed where the attempt failed, with the reason."""
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0) as system:
        await system.script([{"do": "answer", "status": 503}], "TRACED1")
        await submit(system)
        await system.wait_all_ended()

    sends = [span for span in spans.of_trace(TRACE) if span.kind == "PRODUCER"]
    first, second = [span for span in spans.of_trace(TRACE) if span.kind == "CONSUMER"]
    assert [first.attributes["activation.attempt"], first.failed] == [1, True]
    assert first.attributes["error.type"] == "unavailable"
    assert first.attributes["activation.outcome"] == "queued"
    assert [second.attributes["activation.attempt"], second.failed] == [2, False]
    assert second.attributes["activation.outcome"] == "succeeded"
    assert second.attributes["activation.queue.wait_s"] >= 0
    assert [one.linked for one in (first, second)] == [((TRACE, send.span_id),) for send in sends]
    assert first.attributes["messaging.system"] == "rabbitmq"
    assert first.attributes["messaging.destination.name"] == "activation.tasks"


async def test_a_trace_survives_the_gateway_that_was_killed_before_publishing(
    tmp_path: Path, amqp_url: str, postgres_url: str, spans: Spans
) -> None:
    """Another gateway publishes the task, and goes on with the trace of its request."""
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0) as system:
        doomed = system.add_gateway(amqp_url=f"amqp://{LOOPBACK}:9/")
        await doomed.start()
        await submit(system, doomed)

        async def exported() -> bool:
            return len(spans.of_trace(TRACE)) == 2

        await eventually(exported, what="the spans of the gateway that is killed")
        doomed.kill()
        await system.wait_all_ended()

    assert tree(spans.of_trace(TRACE)) == [
        "gateway: POST /api/v1/equipment/cpe/{id} (SERVER)",
        "  gateway: accept (INTERNAL)",
        *ATTEMPT,
    ]


async def test_a_replay_is_a_new_trace_that_is_linked_to_the_old_one(
    tmp_path: Path, amqp_url: str, postgres_url: str, spans: Spans
) -> None:
    """What an operator set off is found from what the customer set off, and the other way."""
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0, max_attempts=1) as system:
        await system.script([{"do": "answer", "status": 503}], "TRACED1")
        task_id = await submit(system)
        await system.wait_all_ended()

        await system.request("POST", f"/api/v1/tasks/{task_id}:retry")
        await system.wait_all_ended()
        shown = await system.task(task_id)

    replayed = spans.of_trace(shown["traceId"])
    assert shown["traceId"] != TRACE
    assert tree(replayed) == ["gateway: POST /api/v1/tasks/{taskId}:retry (SERVER)", *ATTEMPT]
    assert [trace_id for trace_id, _ in replayed[0].linked] == [TRACE]


async def test_a_trace_is_recorded_if_its_caller_records_it_or_else_by_its_share(
    tmp_path: Path, amqp_url: str, postgres_url: str, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a share of none, the caller's trace is whole, and nothing is known of any other."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0) as system:
        traced = await submit(system)
        [left_out] = await system.submit_many(["DEVICE1"])
        await system.wait_all_ended()
        shown = [await system.task(task_id) for task_id in (traced, str(left_out))]

    assert tree(spans.of_trace(TRACE)) == [
        "gateway: POST /api/v1/equipment/cpe/{id} (SERVER)",
        "  gateway: accept (INTERNAL)",
        *ATTEMPT,
    ]
    assert {span.trace_id for span in spans.all} == {TRACE}
    assert [task["traceSampled"] for task in shown] == [True, False]


async def test_a_collector_that_is_away_slows_nothing_and_stops_nothing(
    tmp_path: Path, amqp_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks end, and the services leave in time, with nobody at the endpoint."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0) as system:
        await system.submit_many([f"DEVICE{number}" for number in range(20)])
        await system.wait_all_ended()

        exit_code = await system.workers[0].terminate()

    assert exit_code == 0
