"""The handler as a process: what it does to real connections, and when it is told to stop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.support.handler_process import (
    BODY,
    DEADLINE_S,
    DEVICE,
    WORK_S,
    Caller,
    Handler,
    Server,
)

LONG_WORK_S: Final = 1.0  # enough to look at a call in progress


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server.start(tmp_path_factory.mktemp("handler"))
    yield server
    server.kill()


@pytest.fixture
async def handler(shared_server: Server) -> AsyncIterator[Handler]:
    handler = Handler(shared_server)
    async with handler.http:
        await handler.wait_until_ready()
        await handler.reset()
        yield handler


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start_server(**settings: Any) -> Server:
        servers.append(Server.start(tmp_path, **settings))
        return servers[-1]

    yield start_server
    for server in servers:
        server.kill()


@pytest.fixture
def key() -> str:
    return str(uuid4())


async def test_a_reset_before_the_answer_shows_no_byte(handler: Handler, key: str) -> None:
    """The connection ends with RST, and the device was left alone."""
    await handler.script(do="reset")
    caller = await Caller.call(handler.server, key)

    with pytest.raises(ConnectionResetError):
        await caller.receive_all()

    caller.leave()
    call = await handler.ended_call()
    assert (call["outcome"], call["activated"]) == ("reset", False)


async def test_a_reset_in_the_middle_comes_after_half_an_answer(handler: Handler, key: str) -> None:
    """Head and half a body arrive before the RST; the device is on."""
    await handler.script(do="reset", at="middle")
    caller = await Caller.call(handler.server, key)

    begun = await caller.receive(len(b"HTTP/1.1 200 OK\r\n"))
    with pytest.raises(ConnectionResetError):
        await caller.receive_all()

    caller.leave()
    call = await handler.ended_call()
    assert begun == b"HTTP/1.1 200 OK\r\n"
    assert (call["outcome"], call["activated"]) == ("reset", True)


async def test_half_an_answer_ends_in_order_before_its_announced_length(
    handler: Handler, key: str
) -> None:
    """The body is shorter than Content-Length says, and then comes FIN."""
    await handler.script(do="half")
    caller = await Caller.call(handler.server, key)

    head, body = (await caller.receive_all()).split(b"\r\n\r\n")

    caller.leave()
    call = await handler.ended_call()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 32" in head
    assert body == b'{"code":200,"mes'
    assert (call["outcome"], call["activated"]) == ("half", True)


async def test_garbage_instead_of_http_is_not_http(handler: Handler, key: str) -> None:
    """An ordinary client reports a protocol error."""
    await handler.script(do="garbage", instead_of="http")

    with pytest.raises(httpx.RemoteProtocolError):
        await handler.activate(key)

    call = await handler.ended_call()
    assert (call["outcome"], call["activated"]) == ("garbage", True)


async def test_a_huge_answer_is_whole_and_too_large(handler: Handler, key: str) -> None:
    """It is longer than the 1 MiB that callers accept, and ends properly."""
    await handler.script(do="huge")

    answer = await handler.activate(key)

    assert answer.status_code == 200
    assert len(answer.content) > 1_048_576


async def test_an_endless_answer_ends_when_the_caller_leaves(handler: Handler, key: str) -> None:
    """The flood follows the caller's pace and stops with it."""
    await handler.script(do="huge", body_bytes=None)
    caller = await Caller.call(handler.server, key)
    await caller.receive(8 * 1_048_576)

    caller.leave()

    assert (await handler.ended_call())["outcome"] == "huge"


async def test_a_hang_sends_nothing_until_the_caller_leaves(handler: Handler, key: str) -> None:
    """Nothing comes within a time that is long enough for any answer."""
    await handler.script(do="hang")
    caller = await Caller.call(handler.server, key)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.receive(1), timeout=4 * WORK_S)
    in_progress = (await handler.calls())[0]["ended_at"]
    caller.leave()

    call = await handler.ended_call()
    assert in_progress is None
    assert (call["outcome"], call["activated"]) == ("hang", False)


async def test_a_key_whose_call_hung_can_be_tried_again(handler: Handler, key: str) -> None:
    """The next call with the key does the work while the first still hangs."""
    await handler.script(do="hang")
    caller = await Caller.call(handler.server, key)
    await handler.wait_for_calls(1)

    answer = await handler.activate(key)

    caller.leave()
    assert answer.status_code == 200
    assert [call["activated"] for call in await handler.calls()] == [False, True]


async def test_the_work_goes_on_when_the_caller_leaves(handler: Handler, key: str) -> None:
    """The device is switched on, the key knows the answer, and a repeat gets it."""
    await handler.script(do="answer", latency_s=LONG_WORK_S)
    caller = await Caller.call(handler.server, key)
    await handler.wait_for_calls(1)
    during = await handler.http.get(f"{DEVICE}/activations/{key}")

    caller.leave()

    call = await handler.ended_call()
    after = await handler.http.get(f"{DEVICE}/activations/{key}")
    repeat = await handler.activate(key)
    assert (during.status_code, after.status_code, repeat.status_code) == (202, 200, 200)
    assert (call["outcome"], call["activated"]) == ("left", True)
    assert call["ended_at"] - call["started_at"] > 0.9 * LONG_WORK_S


async def test_a_repeat_joins_the_work_of_a_caller_who_left(handler: Handler, key: str) -> None:
    """It is told what became of the first call, and nothing is activated twice."""
    await handler.script(do="answer", latency_s=LONG_WORK_S)
    caller = await Caller.call(handler.server, key)
    await handler.wait_for_calls(1)
    caller.leave()

    answer = await handler.activate(key)

    first, second = await handler.calls()
    assert answer.status_code == 200
    assert (first["activated"], first["repeated"]) == (True, False)
    assert (second["activated"], second["repeated"]) == (False, True)


async def test_a_connection_is_used_again_after_an_answer(handler: Handler, key: str) -> None:
    """Nothing of one call sticks to the next one on its connection."""
    await handler.script(do="garbage")

    answers = [await handler.activate(f"{key}-{number}") for number in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [call["outcome"] for call in await handler.calls()] == ["garbage", "200", "200"]


async def test_a_caller_who_leaves_before_the_end_of_its_call_has_not_called(
    handler: Handler, key: str
) -> None:
    """Half a request activates nothing and is not in the ledger."""
    caller = await Caller.call(handler.server, key, body=BODY[:10])
    caller.leave()

    await handler.activate(f"{key}-later")

    assert [call["key"] for call in await handler.calls()] == [f"{key}-later"]


async def test_faults_and_lost_callers_are_no_errors_of_the_handler(
    handler: Handler, key: str
) -> None:
    """Its log tells of calls only: no warning, no traceback."""
    for number, do in enumerate(["reset", "half", "hang", "answer"]):
        await handler.reset()
        await handler.script(do=do)
        caller = await Caller.call(handler.server, f"{key}-{number}")
        await handler.wait_for_calls(1)
        caller.leave()
        await handler.ended_call()

    lines = [json.loads(line) for line in handler.server.log.read_text().splitlines()]

    assert {line["event"] for line in lines} == {"serving", "call_ended"}


async def test_sigterm_cuts_off_what_is_not_finished(
    start: Callable[..., Server], key: str
) -> None:
    """The process ends within seconds, and no caller takes the end for an answer."""
    server = start(work_s=60.0)
    handler = Handler(server)
    async with handler.http:
        await handler.wait_until_ready()
        await handler.script(do="hang")
        hanging = await Caller.call(server, f"{key}-1")
        await handler.wait_for_calls(1)
        working = await Caller.call(server, f"{key}-2")
        joined = await Caller.call(server, f"{key}-2")
        await handler.wait_for_calls(3)

    code = await server.stop()

    for caller in (hanging, working, joined):
        with pytest.raises(ConnectionResetError):
            await caller.receive_all()
        caller.leave()
    outcomes = [json.loads(line).get("outcome") for line in server.log.read_text().splitlines()]
    assert code == 0
    assert outcomes.count("stopped") == 3
    assert "Traceback" not in server.log.read_text()


async def test_a_busy_port_is_one_clear_line(
    handler: Handler, start: Callable[..., Server]
) -> None:
    """The second handler says what is wrong and gives up."""
    server = start(port=handler.server.port)

    code = await asyncio.to_thread(server.process.wait, DEADLINE_S)

    *_, last = server.log.read_text().splitlines()
    assert code == 78
    assert f"cannot listen on 127.0.0.1 port {handler.server.port}" in last
