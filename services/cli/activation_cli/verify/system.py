"""A whole system as processes, with a fault proxy between every two parts."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from activation_cli.client import connect
from activation_cli.documents import Task
from activation_cli.local.ports import LOOPBACK, free_port
from activation_cli.local.postgres import PostgresServer
from activation_cli.local.rabbitmq import RabbitMQNode
from activation_cli.local.service import Service
from activation_cli.side_by_side import together
from activation_cli.verify.clocks import set_clock, steppable
from activation_cli.verify.mock_handler import MockHandler
from activation_cli.verify.proxy import PASS, FaultProxy
from activation_cli.verify.servers import Servers

_CALL_S: Final = 10.0

# Quick, so that a scenario takes seconds, and slow enough for a machine that does other things too.
_SETTINGS: Final[Mapping[str, object]] = {
    "host": LOOPBACK,
    "log_format": "json",
    "store_timeout_s": 2,
    "publish_lease_s": 2,
    "broker_timeout_s": 5,
    "reap_every_s": 0.5,
    "reap_patience_s": 3,
    "retry_base_s": 0.2,
    "retry_cap_s": 2,
    "lost_message_after_s": 2,
    "lease_s": 5,
    "drain_s": 20,
    "grace_s": 1,
    "concurrency": 20,
    "max_attempts": 20,
    "max_waiting_per_equipment": 0,
    "breaker_base_s": 0.5,
    "breaker_cap_s": 1,
    "limit_recovery_s": 2,
}


class Link(StrEnum):
    """Where a fault proxy stands."""

    CLIENT_GATEWAY_1 = "client-gateway-1"
    CLIENT_GATEWAY_2 = "client-gateway-2"
    GATEWAY_BROKER = "gateway-broker"
    WORKER_BROKER = "worker-broker"
    GATEWAY_STORE = "gateway-store"
    WORKER_STORE = "worker-store"
    WORKER_HANDLER = "worker-handler"


_CLIENT_GATEWAY: Final = (Link.CLIENT_GATEWAY_1, Link.CLIENT_GATEWAY_2)


class System:
    """Handler, two gateways and two workers, over a broker and a store.

    Attributes:
        gateway_url: The first gateway, not through a proxy.
        mock: The handler, for scripts and the ledger; not through a proxy.
        outage_s: How long an outage lasts.
        task_queue: Its name at the broker.
        database_url: Of the store, not through a proxy.
        proxies: Those between the parts; SQLite is a file and has none.
        meant_to_be_down: Services that a fault has ended, and will start again.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        broker: RabbitMQNode,
        database: PostgresServer | None,
        database_url: str,
        proxies: Mapping[Link, FaultProxy],
        handler_port: int,
        http: httpx.AsyncClient,
        outage_s: float,
        settings: Mapping[str, object],
        stepped_clocks: bool = False,
    ) -> None:
        self.broker = broker
        self.database = database
        self.database_url = database_url
        self.proxies = proxies
        self.outage_s = outage_s
        self.gateway_url = f"http://{LOOPBACK}:{proxies[Link.CLIENT_GATEWAY_1].server_port}"
        self._handler_url = f"http://{LOOPBACK}:{handler_port}"
        self.mock = MockHandler(http, self._handler_url)
        self.task_queue = f"activation.tasks.{name}"
        self.meant_to_be_down: set[str] = set()
        self._replacing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._folder = folder
        self._stepped_clocks = stepped_clocks
        self._settings = {
            **_SETTINGS,
            "task_queue": self.task_queue,
            "dead_queue": f"activation.dead.{name}",
            **settings,
        }
        self.handler = self._service("handler", 1, handler_port=handler_port)
        self.gateways = [
            self._gateway(n, proxies[link].server_port) for n, link in enumerate(_CLIENT_GATEWAY, 1)
        ]
        self.workers = [self._worker(n) for n in (1, 2)]

    @property
    def services(self) -> list[Service]:
        """All its processes but the servers."""
        return [self.handler, *self.gateways, *self.workers]

    def of(self, kind: str) -> list[Service]:
        """Return the gateways or the workers."""
        return self.gateways if kind == "gateway" else self.workers

    def addresses(self) -> list[str]:
        """Return the gateways that a load balancer would choose from: those that run."""
        return [
            f"http://{LOOPBACK}:{self.proxies[link].port}"
            for link, gateway in zip(_CLIENT_GATEWAY, self.gateways, strict=True)
            if gateway.process.running and gateway.process.name not in self.meant_to_be_down
        ]

    async def start(self) -> None:
        """Start the services and wait until all are ready."""
        for service in self.services:
            service.launch()
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Wait until all services are ready; errors as in `Child.wait_ready`."""
        await together(*(asyncio.to_thread(service.wait_ready) for service in self.services))

    @asynccontextmanager
    async def replacing(self, service: Service) -> AsyncIterator[None]:
        """Have a service to oneself to end it, and start it again; two faults may want the same."""
        name = service.process.name
        async with self._replacing[name]:
            self.meant_to_be_down.add(name)
            yield
            service.launch()
            await asyncio.to_thread(service.wait_ready)
            self.meant_to_be_down.discard(name)

    async def stop(self) -> None:
        """Mend what is broken, and end the services; they have nothing left to lose."""
        for proxy in self.proxies.values():
            proxy.behave(PASS)
        await together(*(asyncio.to_thread(service.stop) for service in self.services))

    def set_clock(self, service: Service, *, by_s: int) -> None:
        """Have the clock of a service go wrong by so many seconds; 0 sets it right."""
        set_clock(self._clock(service.process.name), by_s=by_s)

    async def task(self, task_id: str) -> Task:
        """Return a task as the store has it; errors as in `Gateway.task`."""
        async with connect(self.gateway_url, timeout_s=_CALL_S) as gateway:
            return await gateway.task(task_id)

    def fallen(self) -> list[str]:
        """Say which services have ended although nobody ended them."""
        return [
            f"{service.process.name} {service.process.how_it_ended} (log: {service.process.log})"
            for service in self.services
            if not service.process.running and service.process.name not in self.meant_to_be_down
        ]

    def _gateway(self, n: int, port: int) -> Service:
        return self._service(
            "gateway",
            n,
            port=port,
            amqp_url=self._through(Link.GATEWAY_BROKER, self.broker.amqp_url),
            database_url=self._through(Link.GATEWAY_STORE, self.database_url),
        )

    def _worker(self, n: int) -> Service:
        return self._service(
            "worker",
            n,
            amqp_url=self._through(Link.WORKER_BROKER, self.broker.amqp_url),
            database_url=self._through(Link.WORKER_STORE, self.database_url),
            handler_url=self._through(Link.WORKER_HANDLER, self._handler_url),
        )

    def _through(self, link: Link, url: str) -> str:
        """Return the address of a server behind its proxy."""
        proxy = self.proxies.get(link)
        return url if proxy is None else with_port(url, proxy.port)

    def _service(self, package: str, n: int, **own: object) -> Service:
        name = f"{package}-{n}"
        admin_port = own.get("handler_port") or free_port()
        settings = {**self._settings, **own, "instance": name, "admin_port": admin_port}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ACTIVATION_")}
        clock = steppable(self._clock(name)) if self._stepped_clocks else {}
        return Service(
            name,
            package=package,
            log=self._folder / f"{name}.log",
            ready_url=f"http://{LOOPBACK}:{admin_port}/readyz",
            env={f"ACTIVATION_{key.upper()}": str(value) for key, value in settings.items()},
            inherited={**inherited, **clock},
        )

    def _clock(self, name: str) -> Path:
        return self._folder / f"{name}.clock"


@asynccontextmanager
async def running_system(
    name: str,
    folder: Path,
    servers: Servers,
    *,
    postgres: bool,
    http: httpx.AsyncClient,
    outage_s: float,
    settings: Mapping[str, object],
    stepped_clocks: bool = False,
) -> AsyncIterator[System]:
    """Provide a system with a store and queues of its own.

    Args:
        name: Tells it from others on the same servers.
        folder: For logs, and for a SQLite database.
        servers: Where its queue is, and with PostgreSQL its database.
        postgres: Whether its store is PostgreSQL, and not SQLite.
        http: For the handler's own interface.
        outage_s: How long an outage lasts.
        settings: Of all services, beyond the usual ones.
        stepped_clocks: Whether its services can have their clocks set.

    Raises:
        StartError: A part cannot be started.
    """
    await asyncio.to_thread(folder.mkdir)
    broker = await servers.broker()
    database, database_url = None, f"sqlite:///{folder}/activation.db"
    if postgres:
        database, database_url = await servers.database(name)
    handler_port = free_port()
    behind = {
        Link.CLIENT_GATEWAY_1: free_port(),
        Link.CLIENT_GATEWAY_2: free_port(),
        Link.GATEWAY_BROKER: _port_of(broker.amqp_url),
        Link.WORKER_BROKER: _port_of(broker.amqp_url),
        Link.WORKER_HANDLER: handler_port,
    }
    if database is not None:
        behind |= dict.fromkeys((Link.GATEWAY_STORE, Link.WORKER_STORE), _port_of(database_url))
    async with AsyncExitStack() as stack:
        proxies = {
            link: await stack.enter_async_context(FaultProxy(link, port))
            for link, port in behind.items()
        }
        system = System(
            name,
            folder,
            broker=broker,
            database=database,
            database_url=database_url,
            proxies=proxies,
            handler_port=handler_port,
            http=http,
            outage_s=outage_s,
            settings=settings,
            stepped_clocks=stepped_clocks,
        )
        try:
            await system.start()
            yield system
        finally:
            await system.stop()


def with_port(url: str, port: int) -> str:
    """Return a URL that leads to another port of this machine."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{LOOPBACK}:{port}").geturl()


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise ValueError("an address of a local server names its port")
    return port
