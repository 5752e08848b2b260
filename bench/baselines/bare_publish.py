"""Confirmed publishes with aio-pika, 100 outstanding: prints how many a second."""

import asyncio
import json
import sys
import time

import aio_pika
import uvloop

URL, COUNT, OUTSTANDING = sys.argv[1], int(sys.argv[2]), 100


async def main() -> None:
    connection = await aio_pika.connect(URL)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            "bare.publish", durable=True, arguments={"x-queue-type": "quorum"}
        )
        left = iter(range(COUNT))

        async def publish() -> None:
            for n in left:
                message = aio_pika.Message(
                    b'{"version":1,"taskId":"%d"}' % n, delivery_mode=2, message_id=str(n)
                )
                await channel.default_exchange.publish(message, queue.name, mandatory=True)

        began, began_cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(publish() for _ in range(OUTSTANDING)))
        per_s = COUNT / (time.perf_counter() - began)
        cpu_us = (time.process_time() - began_cpu) / COUNT * 1e6
        print(json.dumps({"per_s": per_s, "cpu_us": cpu_us}))
        await queue.delete(if_unused=False, if_empty=False)


uvloop.run(main())
