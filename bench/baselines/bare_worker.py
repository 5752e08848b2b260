"""The plainest worker: consume, call the handler, one update, ack. No claim, no fence, no history.

Fills its queue and its table first, then prints how many tasks it drains in a second.
"""

import asyncio
import json
import sys
import time
from uuid import UUID, uuid4

import aio_pika
import aiohttp
import asyncpg
import uvloop

AMQP, DSN, HANDLER, COUNT, CONCURRENCY = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
BODY = b'{"timeoutInSeconds": 60, "parameters": {"config": "example"}}'


async def fill(channel: aio_pika.abc.AbstractChannel, queue: str, pool: asyncpg.Pool) -> None:
    ids = [uuid4() for _ in range(COUNT)]
    await pool.execute("drop table if exists bare_drain")
    await pool.execute(
        "create table bare_drain (id uuid primary key, state text, done timestamptz)"
    )
    await pool.executemany("insert into bare_drain values ($1, 'queued')", [(one,) for one in ids])
    for start in range(0, COUNT, 200):
        await asyncio.gather(
            *(
                channel.default_exchange.publish(
                    aio_pika.Message(one.bytes, delivery_mode=2), queue, mandatory=True
                )
                for one in ids[start : start + 200]
            )
        )


async def main() -> None:
    connection = await aio_pika.connect(AMQP)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with (
        connection,
        asyncpg.create_pool(DSN, min_size=10, max_size=10) as pool,
        aiohttp.ClientSession(connector=connector) as client,
    ):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=CONCURRENCY)
        queue = await channel.declare_queue(
            "bare.drain", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await fill(channel, queue.name, pool)
        done, left = asyncio.Event(), COUNT

        async def work(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal left
            task_id = UUID(bytes=message.body)
            headers = {"content-type": "application/json", "idempotency-key": str(task_id)}
            async with client.post(
                f"{HANDLER}/api/v1/equipment/cpe/BARE{left:08d}", data=BODY, headers=headers
            ) as answer:
                await answer.read()
            await pool.execute(
                "update bare_drain set state = 'succeeded', done = now() where id = $1", task_id
            )
            await message.ack()
            left -= 1
            if not left:
                done.set()

        began, began_cpu = time.perf_counter(), time.process_time()
        await queue.consume(work)
        await done.wait()
        per_s = COUNT / (time.perf_counter() - began)
        cpu_us = (time.process_time() - began_cpu) / COUNT * 1e6
        print(json.dumps({"per_s": per_s, "cpu_us": cpu_us}))
        await queue.delete(if_empty=False, if_unused=False)


uvloop.run(main())
