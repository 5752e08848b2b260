"""The plainest system with the same promises at POST: gateway and worker, each a process.

The gateway inserts, publishes with a confirm to a quorum queue and answers; the worker consumes,
calls the handler, updates and acknowledges. No claim, no fence, no history, no order per device.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import aiohttp
import asyncpg
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

ROLE, PORT, DSN, AMQP, HANDLER = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
QUEUE, CONCURRENCY = "bare.system", 50


@asynccontextmanager
async def gateway(app: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect(AMQP)
    async with connection, asyncpg.create_pool(DSN, min_size=10, max_size=10) as pool:
        await pool.execute(
            "create table if not exists bare_system (id uuid primary key, equipment text,"
            " state text, timeout_s int, parameters text, accepted_at timestamptz default now(),"
            " done timestamptz)"
        )
        app.state.pool, app.state.channel = pool, await connection.channel()
        await declare(app.state.channel)
        yield


@asynccontextmanager
async def worker(_: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect(AMQP)
    async with (
        connection,
        asyncpg.create_pool(DSN, min_size=10, max_size=10) as pool,
        aiohttp.ClientSession() as client,
    ):

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            task_id = UUID(bytes=message.body)
            task = await pool.fetchrow(
                "select equipment, timeout_s, parameters from bare_system where id = $1", task_id
            )
            assert task is not None
            body = f'{{"timeoutInSeconds":{task["timeout_s"]},"parameters":{task["parameters"]}}}'
            headers = {"content-type": "application/json", "idempotency-key": str(task_id)}
            url = f"{HANDLER}/api/v1/equipment/cpe/{task['equipment']}"
            async with client.post(url, data=body, headers=headers) as answer:
                await answer.read()
            await pool.execute(
                "update bare_system set state = 'succeeded', done = now() where id = $1", task_id
            )
            await message.ack()

        channel = await connection.channel()
        await channel.set_qos(prefetch_count=CONCURRENCY)
        queue = await declare(channel)
        await queue.consume(work)
        yield


async def declare(channel: aio_pika.abc.AbstractChannel) -> aio_pika.abc.AbstractQueue:
    return await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})


app = FastAPI(lifespan={"gateway": gateway, "worker": worker}[ROLE])


class Request(BaseModel):
    timeoutInSeconds: int = 60  # noqa: N815  # the contract's name
    parameters: dict[str, Any]


@app.post("/api/v1/equipment/cpe/{id}")
async def submit(id: str, request: Request) -> dict[str, Any]:  # noqa: A002  # the contract's name
    task_id = uuid4()
    await app.state.pool.execute(
        "insert into bare_system (id, equipment, state, timeout_s, parameters)"
        " values ($1, $2, 'queued', $3, $4)",
        task_id,
        id,
        request.timeoutInSeconds,
        json.dumps(request.parameters),
    )
    message = aio_pika.Message(task_id.bytes, delivery_mode=2)
    await app.state.channel.default_exchange.publish(message, QUEUE, mandatory=True)
    return {"code": 200, "taskId": str(task_id)}


@app.get("/api/v1/equipment/cpe/{id}/task/{task_id}")
async def result(id: str, task_id: UUID) -> Response:  # noqa: A002  # the contract's name
    state = await app.state.pool.fetchval("select state from bare_system where id = $1", task_id)
    return Response(status_code=200 if state == "succeeded" else 204)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
