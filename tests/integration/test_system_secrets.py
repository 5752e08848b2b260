"""Guarantee 6: a secret is seen by the store and the handler, and by nobody else.

A marked secret is sent in every way a client, an operator and a handler have; then everything that
the system wrote, counted, answered and published is searched for the mark.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage

from activation.settings import EXIT_CONFIGURATION
from tests.support.service import Service
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

MARK: Final = "canary7f3a"
NUMBER: Final = 7_341_559_020_448

DEVICE: Final = "/api/v1/equipment/cpe/"
PROGRAM: Final = Path(sys.executable).with_name("activation")

SECRETS: Final[dict[str, Any]] = {
    "username": "alice",
    "password": f"{MARK}-password",
    "wifiPsk": f"{MARK}-psk",
    "snmp_community": f'{MARK}-"quoted"',
    "ACCESS_TOKEN": {"old": f"{MARK}-old", "new": [f"{MARK}-new", {"x": f"{MARK}-x"}]},
    "pin_secret": NUMBER,
    "interfaces": [{"name": "wan", "radius": {"passphrase": f"{MARK}-nested"}}],
}
OLDER_FORM: Final = [{"username": "alice"}, {"password": f"{MARK}-older"}]
ECHO: Final = (
    f'cannot log in with {MARK}-password or {MARK}-psk, {MARK}-"quoted", {MARK}-new, {MARK}-x, '
    f"{MARK}-nested, {NUMBER}"
)

BAD_BODIES: Final = [
    f'{{"parameters": {{"password": "{MARK}"',
    f'{{"parameters": {{"password": "{MARK}", "password": "{MARK}"}}}}',
    f'{{"parameters": [{{"password": "{MARK}"}}, {{"password": "{MARK}"}}]}}',
    f'{{"parameters": [{{"user": 1, "password": "{MARK}"}}]}}',
    f'{{"parameters": ["{MARK}"]}}',
    f'{{"parameters": "{MARK}"}}',
    f'{{"timeoutInSeconds": "{MARK}"}}',
    f'{{"password": "{MARK}"}}',
    f'["{MARK}"]',
    f'{{"parameters": {{"password": "{MARK}{"x" * 70_000}"}}}}',
]


async def test_a_marked_secret_is_found_nowhere_but_in_the_store(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Parameters of all shapes, a handler that repeats them, bad requests, and the command line."""
    async with System(
        tmp_path, amqp_url, postgres_url, workers=0, log_level="debug", max_attempts=2
    ) as system:
        await system.script([{"do": "answer", "status": 500, "message": ECHO}], "DEVICE2")
        unavailable = {"do": "answer", "status": 503, "message": ECHO, "times": 2}
        await system.script([unavailable], "DEVICE3")

        ids = [
            await accepted(system, "DEVICE1", SECRETS),
            await accepted(system, "DEVICE2", SECRETS),
            await accepted(system, "DEVICE3", SECRETS),
            await accepted(system, "DEVICE4", OLDER_FORM),
        ]
        answers = [answer async for answer in bad_requests(system)]
        messages = await published(amqp_url, count=len(ids))
        await publish_nonsense(amqp_url)
        await system.add_worker().start()
        printed = await command_line(system.gateway.url, tmp_path, failed=ids[1])
        await system.wait_all_ended()
        answers += [answer async for answer in api_answers(system, ids)]
        answers += [
            await system.admin(service, path)
            for service in (*system.gateways, *system.workers)
            for path in ("/metrics", "/readyz")
        ]
        stored, elsewhere = await rows(postgres_url)

        assert f"{MARK}-password" in stored
        assert f"{MARK}-older" in stored
        assert str(NUMBER) in stored
        assert_unmarked("messages", messages)
        assert_unmarked("command line", printed)
        assert_unmarked("answers", answers)
        assert_unmarked("other columns", elsewhere)

    for service in system.services:
        assert_unmarked(service.name, service.log_lines())
    logged = "".join(line for service in system.services for line in service.log_lines())
    assert "message_unreadable" in logged
    assert ":activation@" not in logged, "the broker's password is in a log"


@pytest.mark.parametrize(
    "settings",
    [
        {"database_url": f"mysql://user:{MARK}@127.0.0.1/name"},
        {"database_url": f"postgresql//user:{MARK}@127.0.0.1/name"},
        {"amqp_url": f"http://user:{MARK}@127.0.0.1/"},
        {"amqp_url": f"amqp://user:{MARK}@127.0.0.1:1/", "lease_s": MARK},
    ],
)
async def test_a_wrong_setting_is_named_without_its_password(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """The worker ends at once, with one line that does not hold the value."""
    usual = {
        "database_url": f"sqlite:///{tmp_path}/store.db",
        "amqp_url": "amqp://127.0.0.1:1/",
        "handler_url": "http://127.0.0.1:1/",
    }
    worker = Service("worker", "worker", tmp_path, usual | settings)
    worker.launch()

    try:
        exit_code = await worker.wait_ended()
    finally:
        worker.kill()

    assert exit_code == EXIT_CONFIGURATION
    assert len(worker.log_lines()) == 1
    assert_unmarked("log", worker.log_lines())


def assert_unmarked(where: str, texts: list[str]) -> None:
    assert texts, f"{where}: nothing to search"
    found = [text for text in texts if MARK in text or str(NUMBER) in text]
    assert not found, f"{where}: {found[0][:2000]}"


async def accepted(system: System, device: str, parameters: Any) -> str:
    post = await system.submit(device, parameters=parameters)
    assert post.task_id is not None
    return post.task_id


async def bad_requests(system: System) -> AsyncIterator[str]:
    """Yield what the gateway answers to requests that it must refuse."""
    for body in BAD_BODIES:
        headers = {"Content-Type": "application/json"}
        answer = await system.request("POST", f"{DEVICE}DEVICE9", content=body, headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
        yield f"{answer.headers}{answer.text}"
    yield (await system.request("GET", f"/api/v1/tasks?token={MARK}")).text


async def api_answers(system: System, ids: list[str]) -> AsyncIterator[str]:
    """Yield what the gateway answers about the tasks, in each way it has."""
    whole = {"Prefer": "return=representation"}
    yield (await system.request("GET", "/api/v1/tasks")).text
    yield (await system.request("GET", "/api/v1/status")).text
    for n, task_id in enumerate(ids, start=1):
        path = f"{DEVICE}DEVICE{n}/task/{task_id}"
        yield (await system.request("GET", path)).text
        yield (await system.request("GET", path, headers=whole)).text
        yield (await system.request("GET", f"/api/v1/tasks/{task_id}")).text
    yield (await system.request("POST", f"/api/v1/tasks/{ids[1]}:retry")).text
    yield (await system.request("POST", f"/api/v1/tasks/{ids[1]}:cancel")).text


async def published(amqp_url: str, *, count: int) -> list[str]:
    """Return all that the broker holds of the messages, which stay where they are."""
    async with asyncio.timeout(30), await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("activation.tasks")
        taken: list[AbstractIncomingMessage] = []
        while len(taken) < count:
            if message := await queue.get(no_ack=False, fail=False):
                taken.append(message)
        for message in taken:
            await message.nack(requeue=True)
        return [f"{message.info()} {message.body!r}" for message in taken]


async def publish_nonsense(amqp_url: str) -> None:
    """Publish what no worker can read, as a stranger might."""
    async with asyncio.timeout(30), await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        message = aio_pika.Message(f'{{"password": "{MARK}"}}'.encode())
        await channel.default_exchange.publish(message, routing_key="activation.tasks")


async def command_line(url: str, folder: Path, *, failed: str) -> list[str]:
    """Return what `activation` prints when it is given secrets, and when it shows tasks."""
    (folder / "password").write_text(f"{MARK}-file", encoding="utf-8")
    secret = f"password=@{folder}/password"
    commands = [
        ["submit", "DEVICE5", "-p", secret, "-p", f"token={MARK}", "--key", "cli-1", "--wait"],
        ["submit", "DEVICE5", "-p", f"token={MARK}", "--key", "cli-1"],
        ["submit", "DEVICE5", "-p", secret, "-p", secret],
        ["list"],
        ["--json", "list"],
        ["status"],
        ["watch", failed],
        ["show", failed],
        ["--json", "show", failed],
        ["dead-letters", "list"],
    ]
    return [await asyncio.to_thread(run, url, command) for command in commands]


def run(url: str, command: list[str]) -> str:
    done = subprocess.run(
        [PROGRAM, *command],
        env=os.environ | {"ACTIVATION_URL": url, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.stdout}{done.stderr}"


async def rows(postgres_url: str) -> tuple[str, list[str]]:
    """Return the parameters in the store, and everything else that is in the database."""
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        tasks = await connection.fetch("select * from tasks", timeout=10)
        events = await connection.fetch("select * from events", timeout=10)
    finally:
        await connection.close(timeout=10)
    stored = "".join(task["parameters"] for task in tasks)
    return stored, [
        str({name: value for name, value in row.items() if name != "parameters"})
        for row in (*tasks, *events)
    ]
