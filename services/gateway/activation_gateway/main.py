"""The composition root of the gateway."""

import asyncio
import ssl
import time

import httpx
from uuid_utils.compat import uuid7

from activation.broker import Broker, Queues, RabbitMQ
from activation.domain.task import TaskId
from activation.encryption import EncryptionKey
from activation.garbage import spare_collector
from activation.key_file import KeyFile
from activation.ports import TaskStore
from activation.server import HttpServer
from activation.service import run_service
from activation.start import open_encryption_keys, open_store_patiently
from activation.telemetry.admin import Readiness, admin_app
from activation.telemetry.logging import get_logger
from activation.telemetry.masking import Masker
from activation.telemetry.metrics import tell_build
from activation_gateway.api.app import create_app
from activation_gateway.api.guard import Guard
from activation_gateway.api_keys import ApiKey, ApiKeyCheck, read_keys
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.observer import Observer
from activation_gateway.oidc.issuer import IssuerKeys
from activation_gateway.oidc.tokens import TokenCheck
from activation_gateway.reaper import Reaper
from activation_gateway.relay import Relay
from activation_gateway.settings import GatewaySettings

log = get_logger()


def main() -> None:
    """Serve until SIGTERM."""
    run_service("gateway", GatewaySettings, _open)


async def _open(settings: GatewaySettings, stop: asyncio.Event) -> None:
    tell_build("gateway")
    encryption_keys = await open_encryption_keys(settings)
    store = await open_store_patiently(settings, stop, encryption_keys)
    if store is None:
        return
    try:
        await _work(settings, stop, store, encryption_keys)
    finally:
        await store.close()


async def _work(
    settings: GatewaySettings,
    stop: asyncio.Event,
    store: TaskStore,
    encryption_keys: KeyFile[EncryptionKey] | None,
) -> None:
    api_keys = await _open_api_keys(settings)
    queues = Queues(settings.task_queue, settings.dead_queue)
    rabbitmq = RabbitMQ(
        settings.amqp_url.get_secret_value(),
        name=f"gateway {settings.instance}",
        queues=queues,
        timeout_s=settings.broker_timeout_s,
    )
    broker = Broker(rabbitmq.open_session)
    relay = Relay(
        store,
        broker,
        queues,
        sweep_every_s=settings.sweep_every_s,
        publish_at_once=settings.publish_at_once,
        lost_message_after_s=settings.lost_message_after_s,
        caller_share=settings.caller_share,
    )
    intake = Intake(
        store,
        relay.offer,
        patience_s=settings.accept_patience_s,
        max_backlog=settings.max_backlog,
        max_waiting_per_equipment=settings.max_waiting_per_equipment,
        caller_share=settings.caller_share,
    )
    endings = Endings(store, on_ready=relay.wake)
    reaper = Reaper(
        store,
        policy=settings.retry_policy(),
        every_s=settings.reap_every_s,
        patience_s=settings.reap_patience_s,
        retention_s=settings.retention_s,
    )
    observer = Observer(store)
    issuer_keys = _open_issuer_keys(settings)
    guard = _guard(settings, store, api_keys, issuer_keys)
    readiness = Readiness({"store": store.ping})
    app = create_app(
        store=store,
        intake=intake,
        endings=endings,
        readiness=readiness,
        masker=Masker(settings.secret_words),
        policy_max_attempts=settings.max_attempts,
        queue_status=relay.queue_status,
        new_id=lambda: TaskId(uuid7()),
        guard=guard,
    )
    api = HttpServer(app, host=settings.host, port=settings.port, shutdown_s=settings.shutdown_s)
    admin = HttpServer(admin_app(readiness), host=settings.host, port=settings.admin_port)
    answered, done = asyncio.Event(), asyncio.Event()
    spare_collector()
    async with asyncio.TaskGroup() as group:
        background = [
            group.create_task(work.run(), name=type(work).__name__)
            for work in (
                *(intake, relay, endings, reaper, observer),
                *(api_keys, issuer_keys, encryption_keys),
            )
            if work is not None
        ]
        serving = group.create_task(api.serve_until(answered), name="api")
        group.create_task(admin.serve_until(done), name="admin")
        await stop.wait()
        log.info("draining")
        readiness.draining = True
        await asyncio.sleep(settings.drain_delay_s)
        endings.close()
        answered.set()
        await serving
        done.set()
        for task in background:
            task.cancel()


async def _open_api_keys(settings: GatewaySettings) -> KeyFile[ApiKey] | None:
    """Return the file of API keys; None where no key is asked for."""
    if settings.api_keys_file is None:
        return None
    keys = KeyFile(
        settings.api_keys_file, read_keys, kind="API keys", every_s=settings.api_keys_poll_s
    )
    await keys.open()
    return keys


def _open_issuer_keys(settings: GatewaySettings) -> IssuerKeys | None:
    """Return the keys that tokens are signed with; None where no token is taken."""
    if settings.oidc_issuer is None:
        return None
    return IssuerKeys(
        httpx.AsyncClient(verify=ssl.create_default_context()),  # the authorities of the system
        issuer=settings.oidc_issuer,
        jwks_url=settings.oidc_jwks_url,
        monotonic_s=time.monotonic,
    )


def _guard(
    settings: GatewaySettings,
    store: TaskStore,
    api_keys: KeyFile[ApiKey] | None,
    issuer_keys: IssuerKeys | None,
) -> Guard | None:
    """Return who lets requests in; None where all come in."""
    rules = settings.token_rules()
    keys = None if api_keys is None else ApiKeyCheck(api_keys.current, now=store.now)
    tokens = None
    if rules is not None and issuer_keys is not None:
        tokens = TokenCheck(rules, issuer_keys.find, now=store.now)
    if keys is None and tokens is None:
        return None
    return Guard(keys=keys, tokens=tokens, monotonic_s=time.monotonic)
