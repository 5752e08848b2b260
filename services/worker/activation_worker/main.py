"""The composition root of the worker."""

import asyncio

from activation.broker import Broker, Queues, RabbitMQ
from activation.encryption import EncryptionKey
from activation.garbage import spare_collector
from activation.key_file import KeyFile
from activation.ports import TaskStore
from activation.server import HttpServer
from activation.service import run_service
from activation.start import open_encryption_keys, open_store_patiently
from activation.telemetry.admin import Readiness, admin_app
from activation.telemetry.masking import Masker
from activation.telemetry.metrics import tell_build
from activation_worker.handler import HttpHandler
from activation_worker.settings import WorkerSettings
from activation_worker.transport import HttpTransport
from activation_worker.worker import Worker


def main() -> None:
    """Work until SIGTERM."""
    run_service("worker", WorkerSettings, _open)


async def _open(settings: WorkerSettings, stop: asyncio.Event) -> None:
    tell_build("worker")
    encryption_keys = await open_encryption_keys(settings)
    store = await open_store_patiently(settings, stop, encryption_keys)
    if store is None:
        return
    handler = HttpHandler(
        str(settings.handler_url),
        HttpTransport(connections=settings.concurrency, connect_s=settings.connect_s),
        grace_s=settings.grace_s,
        masker=Masker(settings.secret_words),
        asks=settings.ask_handler,
    )
    try:
        await _work(settings, stop, store, handler, encryption_keys)
    finally:
        await handler.close()
        await store.close()


async def _work(
    settings: WorkerSettings,
    stop: asyncio.Event,
    store: TaskStore,
    handler: HttpHandler,
    encryption_keys: KeyFile[EncryptionKey] | None,
) -> None:
    rabbitmq = RabbitMQ(
        settings.amqp_url.get_secret_value(),
        name=f"worker {settings.instance}",
        queues=Queues(settings.task_queue, settings.dead_queue),
        timeout_s=settings.broker_timeout_s,
    )
    broker = Broker(rabbitmq.open_session)
    worker = Worker(
        store,
        broker,
        handler,
        policy=settings.retry_policy(),
        breaker=settings.breaker_policy(),
        limits=settings.limit_policy(),
        name=settings.instance,
        concurrency=settings.concurrency,
        lease_s=settings.lease_s,
    )
    readiness = Readiness({"broker": worker.check, "store": store.ping})
    admin = HttpServer(admin_app(readiness), host=settings.host, port=settings.admin_port)
    drained = asyncio.Event()
    spare_collector()
    async with asyncio.TaskGroup() as group:
        group.create_task(admin.serve_until(drained), name="admin")
        looking = None
        if encryption_keys is not None:
            looking = group.create_task(encryption_keys.run(), name="encryption keys")
        await worker.run(stop, drain_s=settings.drain_s)
        drained.set()
        if looking is not None:
            looking.cancel()
