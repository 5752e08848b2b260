"""What strangers put straight on the queue: no worker stops, no handler is called for it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import pytest
from aiormq import spec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from activation.domain.task import State
from tests.integration.test_broker_flow import Flow, running
from tests.support.hostile_messages import HOSTILE, RawProperties
from tests.support.rabbitmq_vhost import DEAD, Vhost
from tests.support.servers import RabbitMQ as Server
from tests.support.tasks import DEVICE

_JSON: Final = "application/json"
_MIB: Final = 1024 * 1024


def message(task_id: object, **more: object) -> bytes:
    return json.dumps({"version": 1, "taskId": str(task_id), **more}).encode()


def typed(content_type: str) -> spec.Basic.Properties:
    return spec.Basic.Properties(content_type=content_type)


UNREADABLE: Final = {
    "nothing": b"",
    "no JSON": b"activate everything",
    "no UTF-8": b'{"version": 1, "taskId": "\xff\xfe"}',
    "10 MiB": b'{"version": 1, "taskId": "' + b"0" * 10 * _MIB + b'"}',
    "nested deeply": b"[" * 2_000 + b"]" * 2_000,
    "another version": message(uuid4(), version=2),
    "no version": b'{"taskId": "0197c1a0-0000-7000-8000-000000000001"}',
    "no task": b'{"version": 1}',
    "task that is a list": b'{"version": 1, "taskId": [[]]}',
    "task nobody knows": message(uuid4()),
}


@pytest.fixture
async def vhost(amqp_url: str, rabbitmq: Server) -> AsyncIterator[Vhost]:
    """A virtual host of the test's own."""
    async with Vhost(amqp_url, rabbitmq.management_url) as vhost:
        yield vhost


@asynccontextmanager
async def works_on(vhost: Vhost, flow: Flow, *, dead: int) -> AsyncIterator[None]:
    """Expect so many dead letters, a reason for each, and neighbours that are done as ever."""
    with capture_logs() as logs:
        async with running(flow):
            before = [await flow.submit(f"BEFORE{number}") for number in range(5)]
            yield
            after = [await flow.submit(f"AFTER{number}") for number in range(5)]
            ended = [await flow.end_of(task_id) for task_id in [*before, *after]]
            await vhost.until_waiting(dead, DEAD)
            await vhost.until_waiting(0)

    reasons = [line["error"] for line in logs if line["event"] == "message_unreadable"]
    assert {(State.SUCCEEDED, 1)} == {(task.state, task.attempt) for task in ended}
    assert dead == len(reasons)
    assert all(reasons)
    assert not [line for line in logs if line["event"] in {"delivery_failed", "broker_unavailable"}]
    assert all(call.equipment.startswith(("BEFORE", "AFTER")) for call in flow.handler.calls)


async def test_bodies_that_say_nothing_are_dead_letters_with_a_reason(vhost: Vhost) -> None:
    """Garbage, giants, other versions, unknown tasks; they are kept as they came."""
    async with works_on(vhost, Flow(vhost), dead=len(UNREADABLE)):
        for body in UNREADABLE.values():
            await vhost.put(body)

    kept = [await vhost.take(DEAD) for _ in UNREADABLE]
    assert sorted(UNREADABLE.values()) == sorted(one.body for one in kept)
    assert {"rejected"} == {one.headers["x-death"][0]["reason"] for one in kept}  # type: ignore[index,call-overload]


@pytest.mark.parametrize("properties", HOSTILE.values(), ids=HOSTILE)
async def test_properties_that_cannot_be_read_cost_nobody_the_connection(
    vhost: Vhost, properties: RawProperties
) -> None:
    """Such a message would come back first of all, to every worker, for ever."""
    async with works_on(vhost, Flow(vhost), dead=1):
        await vhost.put(message(uuid4()), properties=properties)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-python-pickle", "\0"])
async def test_another_content_type_calls_nobody(vhost: Vhost, content_type: str) -> None:
    """Even with the id of a task, which as JSON would be absorbed."""
    flow = Flow(vhost)
    async with works_on(vhost, flow, dead=1):
        task_id = await flow.submit("BEFORE0")
        await flow.end_of(task_id)
        await vhost.put(message(task_id), properties=typed(content_type))


async def test_messages_about_tasks_of_others_change_nothing(vhost: Vhost) -> None:
    """A task that has ended stays so, one that waits for its turn is not run before it."""
    flow = Flow(vhost)
    async with running(flow):
        ended = await flow.submit()
        await flow.end_of(ended)
        for body in (message(ended), message(ended, attempt=7), message(ended, equipment="OTHER1")):
            await vhost.put(body)
        line = [await flow.submit("INLINE1") for _ in range(5)]
        for task_id in reversed(line):
            await vhost.put(message(task_id))
        tasks = [await flow.end_of(task_id) for task_id in line]
        await vhost.until_waiting(0)

    assert [str(ended)] == [call.key for call in flow.handler.calls_for(DEVICE)]
    assert list(map(str, line)) == [call.key for call in flow.handler.calls_for("INLINE1")]
    assert {(State.SUCCEEDED, 1)} == {(task.state, task.attempt) for task in tasks}
    assert await vhost.waiting(DEAD) == 0


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)
_BODIES = st.one_of(
    st.binary(max_size=200),
    _VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"version": st.just(1) | _VALUES, "taskId": st.uuids().map(str) | _VALUES}
    ).map(lambda value: json.dumps(value).encode()),
)
_PROPERTIES = st.sampled_from([*HOSTILE.values(), typed(_JSON), typed("text/html")])


@given(messages=st.lists(st.tuples(_BODIES, _PROPERTIES), min_size=1, max_size=20))
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_nothing_that_can_be_made_up_stops_a_worker(
    vhost: Vhost, messages: Sequence[tuple[bytes, spec.Basic.Properties]]
) -> None:
    """Whatever is generated is a dead letter; the broker is the same for all examples."""
    await vhost.empty(DEAD)
    async with works_on(vhost, Flow(vhost), dead=len(messages)):
        for body, properties in messages:
            await vhost.put(body, properties=properties)
